"""Realistic traffic, every choice from one seed: many small stories of bodies that hand work to each other, and what goes wrong on the way.

Facts come late, twice, in any order, by one door or another; a claim is confirmed at once, later or never; bodies link, unlink, retract and
contradict themselves; strangers name numbers that are none of their business; and some records are no facts at all.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

from deploy.chaos.rules import BODIES, PROCEDURE, SPEAKER, STRANGER, SYSTEM, UNCONNECTED
from schemas import catalog
from schemas.codec import MARKER, bus, events

FIRST_DAY = 20_000
"""Legal date of the first day of a led run, days since 1970-01-01."""
POISON = 0.002
"""Share of records that are no facts."""
SPAN = 60
"""Days after its beginning within which all of a story has come, but for what is unusually late."""

_FIELDS = {s.name: [f["name"] for f in s.json["fields"] if f["name"] != "header"] for s in catalog.events()}


class Arrival(NamedTuple):
    """A record on its way in."""

    day: int
    """Day of the run on which it comes, from 0."""
    door: str
    """Empty: `case-events`; else the body whose own topic it goes to."""
    subject: str
    value: bytes
    refused: str
    """Empty for a fact; else the reason of its dead letter."""


class Story:
    """The facts of one request, and of whoever has to do with it. Stories share no reference."""

    def __init__(self, seed: int, number: int, day: int, first_day: int) -> None:
        self.rnd = random.Random(f"{seed}/{number}")  # noqa: S311
        self.number, self.day, self.first_day = number + 1, day, first_day
        self.said: list[tuple[int, str, str, dict[str, Any]]] = []
        self.cases: list[str] = []
        self.handoffs: list[str] = []
        self.ids: Counter[str] = Counter()
        for _ in range(self.rnd.choice((1, 1, 2))):
            self._chain()
        for chance, tell in ((0.4, self._links), (0.15, self._contradicts), (0.15, self._retracts), (0.3, self._stranger),
                             (0.1, self._by_convention), (0.15, self._at_an_external_id)):  # fmt: skip
            if self.rnd.random() < chance:
                tell()

    def _say(self, type_: str, subject: str, on: int, refs: tuple[str, ...] = (), **more: Any) -> None:
        """A fact of legal day `on`, counted from the beginning of the story."""
        r = self.rnd
        body = _body(subject)
        self.ids[subject] += 1
        source = f"{body}/{r.choice('aab')}"
        self.ids[source] += 1
        more.setdefault("id", str(self.ids[subject]))
        more.setdefault("at", r.choice((None, None, 9, 14)))
        more.setdefault("sequence", self.number * 100 + self.ids[source] if r.random() < 0.6 else None)
        more.setdefault("source", source)
        self.said.append((on, type_, subject, {**more, "refs": tuple(dict.fromkeys(x for x in refs if x != subject))}))

    def _case(self, body: str) -> str:
        self.ids["case"] += 1
        self.cases.append(f"case:{body}/{self.number:06d}-{self.ids['case']}")
        return self.cases[-1]

    def _issued(self, kind: str, body: str) -> str:
        self.ids[kind] += 1
        return f"{kind}:{body}:{self.number * 256 + self.ids[kind]:032x}"

    def _chain(self) -> None:
        r, day = self.rnd, self.rnd.randint(0, 5)
        at = self._case(r.choice(BODIES))
        jid = self._issued("journey", _body(at)) if r.random() < 0.5 else ""
        self._say("case.opened", at, day, (jid,) if jid else ())
        for _ in range(r.choice((0, 1, 1, 2, 2, 3))):
            self._work(at, day)
            at, day = self._pass_on(at, day, jid, r.choice(("handoff", "parent", "journey", "all")))
        self._work(at, day)
        if r.random() < 0.6:
            self._say("case.decided", at, day + r.randint(2, 16), outcome="granted")
        if r.random() < 0.3:
            self._say("case.closed", at, day + r.randint(10, 20), reason="done")

    def _work(self, at: str, day: int) -> None:
        r = self.rnd
        if r.random() < 0.4:
            pause = day + r.randint(0, 12)
            self._say("case.suspended", at, pause, cause="enquiry")
            if r.random() < 0.8:
                self._say("case.resumed", at, pause + r.randint(0, 6))
        if r.random() < 0.3:
            self._say("case.extended", at, day + r.randint(0, 14), length=5, unit="days", cause="consultation")
        if r.random() < 0.7:
            self._say("case.step-started", at, day + 1, step="examination")

    def _pass_on(self, at: str, day: int, jid: str, style: str) -> tuple[str, int]:
        r = self.rnd
        body = _body(at)
        to = r.choice([b for b in BODIES if b != body])
        handoff = self._issued("handoff", body)
        self.handoffs.append(handoff)
        if r.random() < 0.92:  # now and then its `sent` never comes: the claim of the other body is never confirmed
            self._say("handoff.sent", at, day + r.randint(0, 3), handoff=handoff, to=to, kind="transfer")
        others = [c for c in self.cases if c.startswith(f"case:{to}/")]
        after = self._case(to) if r.random() < 0.85 or not others else r.choice(others)
        day += r.randint(0, 6)
        back = {"handoff": (handoff,), "parent": (at,), "journey": (jid or at,), "all": (handoff, at, jid or at)}[style]
        if r.random() < 0.85:
            self._say("handoff.received", after, day, tuple(x for x in back if x != handoff), handoff=handoff)
        if r.random() < 0.7:
            self._say("handoff.accepted", after, day + r.randint(0, 7), handoff=handoff)
        if r.random() < 0.4:
            end, why = r.choice(
                (("completed", {}), ("returned", {"reason": "incomplete"}), ("refused", {"reason": "not_competent"}))
            )
            self._say(f"handoff.{end}", after, day + r.randint(1, 25), handoff=handoff, **dict[str, Any](why))
        if r.random() < 0.7:
            self._say("case.opened", after, day, back)
        return after, day

    def _links(self) -> None:
        for _ in range(self.rnd.choice((1, 2))):
            case = self.rnd.choice(self.cases)
            others = [x for x in (*self.cases, *self.handoffs) if x != case]
            if others:
                kind = self.rnd.choice(("correction.linked", "correction.linked", "correction.unlinked"))
                self._say(kind, case, self.rnd.randint(0, 30), (self.rnd.choice(others),))

    def _contradicts(self) -> None:
        on, type_, subject, more = self.rnd.choice(self.said)
        self.said.append((on + self.rnd.choice((1, 3)), type_, subject, more | {"at": None}))

    def _retracts(self) -> None:
        on, _, subject, more = self.rnd.choice(self.said)
        self._say("correction.retracted", subject, on + self.rnd.randint(0, 9), fact=more["id"], source=more["source"])

    def _stranger(self) -> None:
        named = self.rnd.sample([*self.cases, *self.handoffs], min(3, len(self.cases) + len(self.handoffs)))
        mine = f"case:{STRANGER}/{self.number:06d}"
        kind = self.rnd.choice(("case.opened", "correction.linked", "handoff.received"))
        taken = (
            {"handoff": self.rnd.choice(self.handoffs or [self._issued("handoff", BODIES[0])])}
            if kind == "handoff.received"
            else {}
        )
        self._say(kind, mine, self.rnd.randint(0, 30), tuple(named), **taken)

    def _by_convention(self) -> None:
        silent = f"case:{UNCONNECTED}/{self.number:06d}"
        for body in self.rnd.sample(("delta", "delta", "bravo"), 2):
            self._say("case.opened", self._case(body), self.rnd.randint(0, 20), (silent,))

    def _at_an_external_id(self) -> None:
        giver, taker = self.rnd.sample(BODIES, 2)
        shared = f"external:{SYSTEM}:{self.number:06d}"
        handoff = self._issued("handoff", giver)
        self._say(
            "handoff.sent",
            self._case(giver),
            self.rnd.randint(0, 20),
            (shared,),
            handoff=handoff,
            to=taker,
            kind="transfer",
        )
        claimed = self.rnd.choice((giver, giver, STRANGER))
        self._say("case.opened", self._case(taker), self.rnd.randint(0, 20), (shared,), from_body=claimed)

    def arrivals(self) -> Iterator[Arrival]:
        """Every fact, once or more, when and by whatever door it comes."""
        r = self.rnd
        slow = r.choice((2, 8, 25))
        for on, type_, subject, more in self.said:
            for _ in range(1 + (r.random() < 0.15) + (r.random() < 0.03)):
                late = r.choice((0, r.randint(0, 1), r.randint(0, slow)))
                own = subject.startswith(f"case:{SPEAKER}/") and r.random() < 0.5
                value = event(
                    type_,
                    subject,
                    self.first_day + self.day + on,
                    "body" if own else r.choice(("gateway", "operator")),
                    **more,
                )
                yield Arrival(self.day + on + late, SPEAKER if own else "", subject, value, "")


def _body(case: str) -> str:
    return case[5:].partition("/")[0]


def event(type_: str, subject: str, on: int, attested_by: str, **more: Any) -> bytes:
    """One event as published; `on` is its legal date."""
    hour, refs = more.pop("at"), more.pop("refs")
    at = f"{(date(1970, 1, 1) + timedelta(days=on)).isoformat()}T{hour:02}:00:00+02:00" if hour else None
    header = {
        "id": more.pop("id"), "source": more.pop("source"), "attested_by": attested_by, "subject": subject, "references": list(refs),
        "procedure": PROCEDURE, "from_body": more.pop("from_body", None), "occurred_on": on, "occurred_at": at, "recorded_at": None,
        "sequence": more.pop("sequence"), "previous": None, "visibility": None, "key_id": None, "signature": None, "traceparent": None,
    }  # fmt: skip
    return events().encode(type_, {"header": header, **dict.fromkeys(_FIELDS[type_]), **more})


def poison(rnd: random.Random, subject: str, good: bytes) -> tuple[bytes, str]:
    """A record that cannot be taken, and why."""
    return rnd.choice((
        (rnd.randbytes(rnd.randint(1, 60)).lstrip(b"\0\xc3") or b"?", "unreadable"),
        (b"", "unreadable"),
        (good[: rnd.randint(11, len(good) - 1)], "unreadable"),
        (good + subject.encode(), "unreadable"),
        (MARKER + rnd.randbytes(8) + good[10:], "unknown-schema"),
        (MARKER + bus().latest("link").fingerprint + b"\x02", "unreadable"),
    ))  # fmt: skip


def days(seed: int, facts: int, length: int, first_day: int) -> list[list[Arrival]]:
    """At least `facts` facts, and what comes twice or is none, over about `length` days and what comes after; each day in random order."""
    rnd = random.Random(seed)  # noqa: S311
    found: list[list[Arrival]] = [[] for _ in range(length + SPAN)]
    count = number = 0
    while count < facts:
        story = Story(seed, number, rnd.randrange(length), first_day)
        number += 1
        count += len(story.said)
        for arrival in story.arrivals():
            day = min(arrival.day, len(found) - 1)
            found[day].append(arrival._replace(day=day))
            if rnd.random() < POISON:
                value, why = poison(rnd, arrival.subject, arrival.value)
                found[day].append(Arrival(day, "", arrival.subject, value, why))
    for records in found:
        rnd.shuffle(records)
    return found
