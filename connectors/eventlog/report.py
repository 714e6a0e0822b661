"""What a replay found: computed from what the engine wrote (statuses, handoffs, alerts) and the facts that it kept.

Every figure follows from its docstring, in calendar days, so that anybody can compute it again from the log without relais.
`report(…).model_dump(mode="json", by_alias=True)` is the documented JSON.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

Datum = Mapping[str, Any]

_EPOCH = date(1970, 1, 1).toordinal()
_ENTERS = frozenset({"case.opened", "handoff.accepted"})


class Model(BaseModel):
    """Frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True)


class Pair(Model):
    """Handoffs from one body to another."""

    from_body: str = Field(alias="from")
    """Sender."""
    to: str
    """Addressee."""
    handoffs: int
    """How many."""
    received: int
    """How many of them the addressee has received."""
    days_between: int
    """Sum, over those received, of the days from the date of sending to that of receipt."""


class Stays(Model):
    """Work inside one body. A stay begins when a case is opened or a handoff accepted, and ends when the case sends a handoff."""

    body: str
    """The body."""
    cases: int
    """Cases of the body."""
    stays: int
    """Stays of all its cases."""
    days_inside: int
    """Sum, over the stays, of the days from the fact that begins one to the last fact in it (for the last stay of a journey, the last
    fact of its case)."""


class Pauses(Model):
    """Waiting for the person. A pause begins when pieces are asked for, unless the case waits already, and ends when the file is
    complete."""

    begun: int
    """How many began."""
    ended: int
    """How many of them ended."""
    days: int
    """Sum of the days of those that ended."""


class Alerts(Model):
    """Alerts of one limit."""

    limit: str
    """Id of the limit in the mapping file."""
    raised: int
    """Episodes: times that the limit was passed."""
    open: int
    """How many of them were not resolved when the clock stopped."""


class Report(Model):
    """The result of a replay."""

    until: date | None
    """Day to which the clock was led."""
    facts: int
    """Facts, each counted once however often it was sent."""
    first_on: date | None
    """Date of the first fact."""
    last_on: date | None
    """Date of the last fact."""
    journeys: int
    """Journeys: statuses published."""
    cases: int
    """Cases of all journeys."""
    handoffs: int
    """Handoffs of all journeys."""
    handoffs_by_pair: tuple[Pair, ...]
    """By sender and addressee."""
    days_between: int
    """Time between bodies: sum over the pairs."""
    inside: tuple[Stays, ...]
    """Time inside each body."""
    days_inside: int
    """Sum over the bodies."""
    pauses: Pauses
    """Waiting for the person."""
    alerts: tuple[Alerts, ...]
    """By limit, in the order of the mapping file."""


class _Fact(NamedTuple):
    sequence: int
    id: str
    type: str
    on: int
    complete: bool


def report(
    statuses: Iterable[Datum],
    handoffs: Iterable[Datum],
    alerts: Iterable[Datum],
    facts: Iterable[tuple[str, Datum]],
    *,
    limits: Iterable[str],
    until: int | None = None,
) -> Report:
    """The report of a replay from decoded values: rows of the three output topics (no tombstones), and (type, datum) of the facts.

    `limits` are the ids of the limits of the mapping file; alerts of other rules are not counted. `until` is the day to which the
    clock was led (days since 1970-01-01).
    """
    shown = list(statuses)
    cases = _cases(facts)
    days = [f.on for case in cases.values() for f in case]
    pairs = _pairs(handoffs)
    inside = _inside(cases)
    return Report(
        until=_date(until),
        facts=len(days),
        first_on=_date(min(days, default=None)),
        last_on=_date(max(days, default=None)),
        journeys=len(shown),
        cases=sum(len(status["cases"]) for status in shown),
        handoffs=sum(p.handoffs for p in pairs),
        handoffs_by_pair=pairs,
        days_between=sum(p.days_between for p in pairs),
        inside=inside,
        days_inside=sum(s.days_inside for s in inside),
        pauses=_pauses(cases.values()),
        alerts=_alerts(alerts, limits),
    )


def _cases(facts: Iterable[tuple[str, Datum]]) -> dict[str, list[_Fact]]:
    """The facts of each case in the order of the log, each identity once."""
    seen: dict[str, dict[tuple[str, str], _Fact]] = defaultdict(dict)
    for name, datum in facts:
        header = datum["header"]
        fact = _Fact(header["sequence"] or 0, header["id"], name, header["occurred_on"], bool(datum.get("complete")))
        seen[header["subject"]][header["source"], header["id"]] = fact
    return {subject: sorted(found.values()) for subject, found in sorted(seen.items())}


def _pairs(handoffs: Iterable[Datum]) -> tuple[Pair, ...]:
    found: dict[tuple[str, str], list[int | None]] = defaultdict(list)
    for handoff in handoffs:
        received = handoff["received_on"]
        between = None if received is None else received - handoff["sent_on"]
        found[handoff["from_body"], handoff["to"]].append(between)
    return tuple(
        Pair(
            from_body=sender,
            to=to,
            handoffs=len(days),
            received=sum(d is not None for d in days),
            days_between=sum(d or 0 for d in days),
        )
        for (sender, to), days in sorted(found.items())
    )


def _inside(cases: Mapping[str, list[_Fact]]) -> tuple[Stays, ...]:
    number: Counter[str] = Counter()
    stays: Counter[str] = Counter()
    days: Counter[str] = Counter()
    for subject, facts in cases.items():
        body = subject.removeprefix("case:").partition("/")[0]
        number[body] += 1
        for begun, ended in _stays(facts):
            stays[body] += 1
            days[body] += ended - begun
    return tuple(Stays(body=b, cases=n, stays=stays[b], days_inside=days[b]) for b, n in sorted(number.items()))


def _stays(facts: list[_Fact]) -> Iterable[tuple[int, int]]:
    """(first day, last day) of each stay of a case."""
    begun: int | None = None
    last = 0
    for fact in facts:
        if begun is None and fact.type in _ENTERS:
            begun = fact.on
        last = fact.on
        if fact.type == "handoff.sent" and begun is not None:
            yield begun, last
            begun = None
    if begun is not None:
        yield begun, last


def _pauses(cases: Iterable[list[_Fact]]) -> Pauses:
    begun = ended = days = 0
    for facts in cases:
        since: int | None = None
        for fact in facts:
            if fact.type == "case.pieces-requested" and since is None:
                begun, since = begun + 1, fact.on
            elif fact.type == "case.pieces-received" and fact.complete and since is not None:
                ended, days, since = ended + 1, days + fact.on - since, None
    return Pauses(begun=begun, ended=ended, days=days)


def _alerts(alerts: Iterable[Datum], limits: Iterable[str]) -> tuple[Alerts, ...]:
    raised: Counter[str] = Counter()
    unresolved: Counter[str] = Counter()
    for alert in alerts:
        for episode in alert["episodes"]:
            raised[alert["rule"]] += 1
            unresolved[alert["rule"]] += episode["resolved_on"] is None
    return tuple(Alerts(limit=limit, raised=raised[limit], open=unresolved[limit]) for limit in limits)


def _date(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day + _EPOCH)
