"""Random scenarios: chains of bodies with handoffs, late, doubled and conflicting facts, corrections, strangers, conventions, purges."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Any

from schemas.directory import Convention
from tests.support.facts import case, event, handoff, journey
from tests.support.world import Arrival

BODIES = ("alpha", "bravo", "charlie", "delta")
STRANGER = "xray"
PROCEDURE = "test.simple"
CONVENTIONS = (
    Convention(body="delta", owner="echo", procedure="*", since=date(1970, 1, 1)),
    Convention(body="charlie", owner="hubee:", procedure="*", since=date(1970, 1, 1)),
)
"""delta may join references of echo, which is not connected; charlie the numbers of a system that speaks for no body."""


class Scenario:
    """Makes the facts of one scenario; every choice comes from the seed."""

    def __init__(self, seed: int, ends: bool = False, apart: int = 0) -> None:
        """`ends`: cases close, so that retention purges them. `apart`: scenarios with different numbers share no reference."""
        self.rnd = random.Random(seed)
        self.ends = ends
        self.base = apart * 1000
        self.said: list[tuple[int, str, dict[str, Any]]] = []
        self.n: Counter[str] = Counter()
        self.cases: list[str] = []
        self.handoffs: list[str] = []
        for _ in range(self.rnd.randint(1, 3)):
            self._chain()
        self._corrections()
        self._conflicts()
        if self.rnd.random() < 0.5:
            self._stranger()
        if self.rnd.random() < 0.25:
            self._ghost()
        if self.rnd.random() < 0.25:
            self._by_convention()
        if self.rnd.random() < 0.3:
            self._external()

    def say(self, type_: str, subject: str, on: int, **kw: Any) -> None:
        r = self.rnd
        self.n[subject] += 1
        body = subject.removeprefix("case:").split("/")[0]
        source = f"{body}/{r.choice('xxy')}"
        self.n[source] += 1
        kw.setdefault("id_", self.n[subject])
        kw.setdefault("sequence", self.n[source] if r.random() < 0.6 else None)
        kw.setdefault("at", _instant(on, r.choice((None, 9, 10))))
        kw["refs"] = tuple(dict.fromkeys(x for x in kw.get("refs", ()) if x != subject))
        self.said.append((max(0, on), type_, {"subject": subject, "source": source, "procedure": PROCEDURE, **kw}))

    def _new(self, body: str) -> str:
        self.n["case"] += 1
        self.cases.append(case(body, self.base + self.n["case"] + 100))
        return self.cases[-1]

    def _chain(self) -> None:
        r = self.rnd
        day, body = r.randint(0, 25), r.choice(BODIES)
        at = self._new(body)
        self.n["journey"] += 1
        jid = journey(body, self.base + self.n["journey"]) if r.random() < 0.5 else None
        style = r.choice(("handoff", "parent", "journey", "mixed"))
        self.say("case.opened", at, day, refs=(jid,) if jid else ())
        for _ in range(r.randint(0, 3)):
            self._work(at, day)
            at, day = self._pass_on(at, day, jid, style)
        self._work(at, day)
        if self.ends:
            for c in self.cases:
                self.say("case.closed", c, day + r.randint(5, 20))

    def _work(self, at: str, day: int) -> None:
        kinds = ("case.suspended", "case.resumed", "case.extended", "case.step-started", "case.decided", "case.pieces-requested",
                 "case.pieces-received", "case.acknowledged", "case.reopened")  # fmt: skip
        for kind in self.rnd.sample(kinds, self.rnd.randint(0, 3)):
            extra: dict[str, Any] = {"length": 5, "unit": "days"} if kind == "case.extended" else {}
            self.say(kind, at, day + self.rnd.randint(0, 14), **extra)

    def _pass_on(self, at: str, day: int, jid: str | None, style: str) -> tuple[str, int]:
        r = self.rnd
        to = r.choice(BODIES)
        body = at.removeprefix("case:").split("/")[0]
        self.n["handoff"] += 1
        h = handoff(body, self.base + self.n["handoff"])
        self.handoffs.append(h)
        if r.random() < 0.9:
            mine = jid is not None and jid.startswith(f"journey:{body}:") and r.random() < 0.3
            self.say("handoff.sent", at, day + r.randint(0, 3), handoff=h, to=to, refs=(jid,) if mine and jid else ())
        others = [c for c in self.cases if c.startswith(f"case:{to}/")]
        nxt = self._new(to) if r.random() < 0.85 or not others else r.choice(others)
        day += r.randint(0, 6)
        back = {"handoff": (h,), "parent": (at,), "journey": (jid or at,), "mixed": (h, at, jid or h)}[style]
        if r.random() < 0.85:
            self.say("handoff.received", nxt, day, handoff=h, refs=tuple(x for x in back if x != h))
        if r.random() < 0.7:
            self.say("handoff.accepted", nxt, day + r.randint(0, 7), handoff=h)
        if r.random() < 0.3:
            kind = r.choice(("handoff.refused", "handoff.returned", "handoff.completed"))
            self.say(kind, nxt, day + r.randint(0, 12), handoff=h)
        if r.random() < 0.6:
            self.say("case.opened", nxt, day, refs=back)
        return nxt, day

    def _corrections(self) -> None:
        r = self.rnd
        for _ in range(r.choice((0, 0, 1, 2, 3))):
            c = r.choice(self.cases)
            others = [x for x in self.cases + self.handoffs if x != c]
            kind = r.choice(("correction.linked", "correction.unlinked", "case.step-completed", "correction.linked"))
            if others:
                self.say(kind, c, r.randint(0, 50), refs=tuple(r.sample(others, min(len(others), r.randint(1, 2)))))

    def _conflicts(self) -> None:
        r = self.rnd
        for _ in range(r.choice((0, 0, 1))):
            on, type_, kw = r.choice(self.said)
            if type_ != "correction.retracted":
                self.n[kw["subject"]] += 1
                kept = {k: kw[k] for k in ("subject", "source", "procedure")}
                again = {"id_": self.n[kw["subject"]], "fact": str(kw["id_"])}
                self.said.append((on + r.randint(0, 9), "correction.retracted", kept | again))
        for _ in range(r.choice((0, 0, 0, 1, 2))):  # the same id said again with another content
            on, type_, kw = r.choice(self.said)
            moved = max(0, on + r.choice((-2, 3)))
            self.said.append((moved, type_, kw | {"at": None}))

    def _stranger(self) -> None:
        r = self.rnd
        for _ in range(r.randint(1, 3)):
            named = r.sample(self.cases + self.handoffs, min(len(self.cases + self.handoffs), 3))
            mine = case(STRANGER, self.base + r.randint(1, 2) + 900)
            kind = r.choice(
                ("handoff.received", "handoff.accepted", "case.opened", "correction.linked", "handoff.sent")
            )
            extra: dict[str, Any] = {}
            if kind.startswith("handoff."):
                extra["handoff"] = r.choice(self.handoffs or [handoff("alpha", self.base + 999)])
            if kind == "handoff.sent":
                extra["to"] = r.choice(BODIES)
            self.say(kind, mine, r.randint(0, 50), refs=tuple(named), **extra)

    def _ghost(self) -> None:
        """A body names another case of its own that never speaks, then perhaps takes it back."""
        r = self.rnd
        c = r.choice(self.cases)
        ghost = case(c.removeprefix("case:").split("/")[0], f"ghost-{self.base + r.randint(0, 9)}")
        self.say("case.step-started", c, r.randint(0, 40), refs=(ghost,))
        if r.random() < 0.6:
            self.say("correction.unlinked", c, r.randint(40, 60), refs=(ghost,))

    def _by_convention(self) -> None:
        """echo is not connected: a convention lets cases of delta join its number."""
        r = self.rnd
        silent = case("echo", self.base + 500)
        for _ in range(r.randint(1, 3)):
            body = r.choice(("delta", "delta", "alpha"))
            self.say("case.opened", case(body, f"c{self.base + r.randint(1, 4)}0"), r.randint(0, 20), refs=(silent,))

    def _external(self) -> None:
        """Two bodies meet at an id that neither issued; only who was named as addressee gets in."""
        r = self.rnd
        ext = f"external:hubee:{self.base + r.randint(100, 104)}"
        p, q = r.sample(BODIES, 2)
        self.n["handoff"] += 1
        h = handoff(p, self.base + self.n["handoff"])
        self.say("handoff.sent", self._new(p), r.randint(0, 20), handoff=h, to=q, refs=(ext,))
        self.say("case.opened", self._new(q), r.randint(0, 20), refs=(ext,), from_body=r.choice((p, p, STRANGER)))
        if r.random() < 0.3:
            self.say("case.opened", case(STRANGER, self.base + 950), r.randint(0, 20), refs=(ext,), from_body=p)

    def arrivals(self) -> list[Arrival]:
        """Every fact once or more, by one door or another, late or not, in any order."""
        r = self.rnd
        slow = r.choice((2, 10, 30))
        found = []
        for on, type_, kw in self.said:
            for _ in range(1 + (r.random() < 0.25) + (r.random() < 0.05)):
                value = event(
                    type_, kw["subject"], on, **_rest(kw), attested_by=r.choice(("body", "gateway", "operator"))
                )
                found.append(
                    Arrival(on + r.randint(0, r.choice((1, slow))), r.choice(("direct", "direct", "admit")), value)
                )
        r.shuffle(found)
        return found


def _rest(kw: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in kw.items() if k != "subject"}


def _instant(on: int, hour: int | None) -> str | None:
    return f"{date.fromordinal(719_163 + max(0, on)).isoformat()}T{hour:02}:00:00+02:00" if hour else None


def race(seed: int) -> list[Arrival]:
    """Of two copies of a fact the first admitted comes second and brings nothing new: what W without its second stage misses."""
    r, found = random.Random(seed), []
    for i in range(6):
        d, h = r.randint(0, 10), handoff("alpha", i + 1)
        sent = event("handoff.sent", case("alpha", i + 100), d, 1, handoff=h, to="bravo", procedure=PROCEDURE)
        took = event("handoff.received", case("bravo", i + 100), d + 2, 2, handoff=h, procedure=PROCEDURE)
        first = d + 2 + r.randint(0, 2)
        found += [
            Arrival(d, "direct", sent),
            Arrival(first, "admit", took),
            Arrival(first + r.randint(1, 3), "direct", took),
        ]
    return found


def doors(values: Iterable[bytes]) -> list[Arrival]:
    """Facts that come one a day by the direct door."""
    return [Arrival(i, "direct", v) for i, v in enumerate(values)]
