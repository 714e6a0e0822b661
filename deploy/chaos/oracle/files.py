"""One body's case, and one handoff: what takes effect, in which order, and what each clock says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deploy.chaos.oracle.said import Record, Said, issuer
from deploy.chaos.rules import ANSWER_DAYS, LIMITS
from schemas.types import RANK

ENDS = ("refused", "returned", "completed", "cancelled")
STAGES = ("sent", "received", "accepted", *ENDS)


@dataclass
class Clock:
    """One time limit; `overdue` holds its closed episodes, `breach` the first day on which it has run out."""

    rule: str
    start: bytes
    state: str
    due: int | None
    breach: int | None
    overdue: list[tuple[int, int]] = field(default_factory=list)


def places(facts: list[Said]) -> dict[bytes, tuple[Any, ...]]:
    """Place in fold order of each of the facts of one case; places of two cases can be compared too."""
    found: dict[bytes, tuple[Any, ...]] = {}
    for f in facts:
        same = [g for g in facts if (g.date, g.source) == (f.date, f.source) and g.sequence is not None]
        before = [g for g in same if f.sequence is not None and g.sequence is not None and g.sequence <= f.sequence]
        reached = max((g.moment, RANK[g.type]) for g in [f, *before])
        found[f.key] = (f.date, reached, f.source, f.sequence is None, f.sequence or 0, f.id, f.digest)
    return found


def effective(facts: list[Said]) -> tuple[list[Said], int, int]:
    """The facts of one case that take effect, in fold order; its first day; how many were stated again with another content."""
    place = places(facts)
    ordered = sorted(facts, key=lambda f: place[f.key])
    first: dict[tuple[str, str, str], Said] = {}
    for f in ordered:
        first.setdefault(f.identity, f)
    gone = {(f.source, f.data["fact"]) for f in first.values() if f.type == "correction.retracted"}
    counted = [
        f
        for f in ordered
        if first[f.identity] is f and (f.type == "correction.retracted" or (f.source, f.id) not in gone)
    ]
    return counted, ordered[0].date, len(ordered) - len(first)


def case(facts: list[Said]) -> tuple[Record, list[Clock], list[Said]]:
    """What a status says of a case, its clock, and the facts that take effect."""
    counted, began, conflicts = effective(facts)
    seen: Record = {"case": facts[0].subject, "state": "open", "since": began, "opened_on": None, "outcome": None,
                    "decided_on": None, "conflicts": conflicts}  # fmt: skip
    for f in counted:
        kind, state = f.type.partition(".")[2], seen["state"]
        moves = {
            "suspended": ("open",),
            "resumed": ("suspended",),
            "decided": ("open", "suspended"),
            "closed": ("open", "suspended", "decided"),
        }
        to = "open" if kind == "resumed" else kind
        if f.type == "case.opened" and seen["opened_on"] is None:
            seen["opened_on"] = seen["since"] = f.date
        elif f.type.startswith("case.") and state in moves.get(kind, ()):
            seen["state"], seen["since"] = to, f.date
        if f.type == "case.decided":
            seen |= {"outcome": f.data["outcome"], "decided_on": f.date}
    clock = _answer(counted)
    seen["clocks"] = [(clock.rule, clock.state, clock.due)] if clock else []
    return seen, [clock] if clock else [], counted


def _answer(facts: list[Said]) -> Clock | None:
    """Ten days from the opening, more by each extension; while it is suspended no day counts."""
    stops = ("case.decided", "case.closed")
    at = next((i for i, f in enumerate(facts) if f.type == "case.opened"), None)
    if at is None:
        return None
    start = facts[at]
    clock = Clock("answer", start.key, "running", start.date + ANSWER_DAYS, start.date + ANSWER_DAYS + 1)
    if any(f.type in stops for f in facts[:at]):
        return Clock("answer", start.key, "stopped", clock.due, None)
    days, away, since, floor = ANSWER_DAYS, 0, None, 0
    for f in facts[at + 1 :]:
        if f.type in stops:
            if clock.breach is not None and f.date >= clock.breach:
                clock.overdue.append((clock.breach, f.date))
            clock.state, clock.breach = "stopped", None
            return clock
        if f.type == "case.suspended" and since is None:
            since = f.date
        elif f.type == "case.resumed" and since is not None:
            away, since, floor = away + f.date - since, None, f.date
        elif f.type == "case.extended":
            days += f.data["length"]
        else:
            continue
        due = None if since is not None else start.date + days + away
        if clock.breach is not None and f.date >= clock.breach and (due is None or due >= f.date):
            clock.overdue.append((clock.breach, f.date))
        clock.due, clock.breach = due, None if due is None else max(due + 1, floor)
        clock.state = "running" if due is not None else "paused"
    return clock


@dataclass
class Handoff:
    """One passage from a body to another."""

    key: str
    sent: Said
    others: list[Said]
    state: str = "sent"
    since: int = 0
    days: dict[str, int] = field(default_factory=dict)
    clocks: list[Clock] = field(default_factory=list)
    to_case: str | None = None

    @property
    def to(self) -> str:
        """Addressee."""
        return str(self.sent.data["to"])


def handoffs(facts: list[Said]) -> list[Handoff]:
    """The passages of a journey, from the facts that take effect; joined by state, not by date."""

    def order(f: Said) -> tuple[int, int, bytes]:
        return f.date, f.moment, f.key

    found = []
    said = [f for f in facts if f.data.get("handoff")]
    for key in {f.data["handoff"] for f in said}:
        mine = [f for f in said if f.data["handoff"] == key]
        sent = min((f for f in mine if f.type == "handoff.sent" and issuer(key) == f.body), key=order, default=None)
        if sent is None:
            continue
        others = [f for f in mine if f.type != "handoff.sent" and f.body == sent.data["to"]]
        others.sort(key=lambda f: (STAGES.index(f.type[8:]), *order(f)))
        found.append(_passage(Handoff(key, sent, others, since=sent.date)))
    return found


def _passage(h: Handoff) -> Handoff:
    for f in h.others:
        stage = f.type[8:]
        if stage in ENDS:
            if f.date >= h.days.get("ended", 10**9):
                continue
            h.days["ended"] = f.date
        h.days.setdefault(stage, f.date)
        if h.state not in ENDS or stage in ENDS:
            h.state, h.since = stage, f.date
    if "accepted" in h.days:
        h.days.setdefault("received", h.days["accepted"])
    h.to_case = h.others[0].subject if h.others else None
    for stage, begins in (("received", "sent"), ("accepted", "received"), ("completed", "accepted")):
        start = h.sent if begins == "sent" else next((f for f in h.others if f.type[8:] == begins), None)
        later = [s for s in STAGES[STAGES.index(stage) :] if s not in ("received",) or stage == "received"]
        later = ["completed", "returned", "refused"] if stage == "completed" else later
        stop = next((f for f in h.others if f.type[8:] in later), None)
        if start is not None:
            due = start.date + LIMITS[stage]
            clock = Clock(f"handoff.transfer.{stage}", start.key, "running", due, due + 1)
            if stop is not None:
                day = max(stop.date, start.date)
                clock.state, clock.breach, clock.overdue = "stopped", None, [(due + 1, day)] if day > due else []
            h.clocks.append(clock)
    return h
