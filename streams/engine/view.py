"""The view: every output of a set of facts at an instant. Pure: no I/O, no clock of its own, no exception for bad data.

Status, handoffs and alerts of each journey among the cases given. Values hold no root, no arrival time, no age. What depends on
one case or one handoff alone is kept in a `Memo` and worked out again only when its facts change; a test proves the result equal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from schemas.codec import Codec
from schemas.codec import bus as bus_codec
from streams.engine import alerts as alerting
from streams.engine import claims, clocks
from streams.engine.alerts import NEVER, Alerts
from streams.engine.book import Book
from streams.engine.cases import Case
from streams.engine.claims import Journey
from streams.engine.clocktypes import ClockContext, ClockRun
from streams.engine.facts import Copy
from streams.engine.handoffs import Handoff, laps, stated
from streams.engine.rules import ClockRule

Runs = list[tuple[ClockRule, ClockRun]]


class Output(NamedTuple):
    """One output value."""

    topic: str
    """statuses, handoffs or alerts."""
    value: bytes
    digest: bytes
    """Digest of the content, 8 bytes."""


class View(NamedTuple):
    """All outputs of a set of facts at an instant."""

    outputs: dict[bytes, Output]
    rows: dict[bytes, Journey]
    """Journey of each status key: tells into which row another has merged."""
    next_due: int
    """When the view may change by itself, ms since the epoch."""
    purge_at: int
    """When all that is here has passed its retention, ms since the epoch."""


class Memo:
    """What is remembered between two views of the same root."""

    __slots__ = ("book", "handoffs", "runs", "seen")

    def __init__(self, book: Book) -> None:
        self.book = book
        self.runs: dict[bytes, tuple[Case, Runs, dict[str, Any]]] = {}
        self.handoffs: dict[bytes, tuple[Handoff, dict[int, Output], dict[str, Any]]] = {}
        self.seen: dict[bytes, tuple[dict[str, Any], Output]] = {}


def output(topic: str, name: str, datum: dict[str, Any], codec: Codec) -> Output:
    """Encode an output and digest it."""
    value = codec.encode(name, datum)
    return Output(topic, value, blake2b(value, digest_size=8).digest())


def fold(copies: Iterable[Copy]) -> dict[bytes, Case]:
    """The cases of some facts."""
    grouped: dict[bytes, list[Copy]] = {}
    for copy in copies:
        grouped.setdefault(copy.fact.case, []).append(copy)
    return {key: Case(key, group) for key, group in grouped.items()}


def view(
    cases: Mapping[bytes, Case], now: int, book: Book, inert: Collection[bytes] = (), memo: Memo | None = None
) -> View:
    """Every output of these cases at `now` (ms since the epoch). `inert`: purged cases, claims on which rest."""
    memo = memo if memo is not None and memo.book is book else Memo(book)
    outputs: dict[bytes, Output] = {}
    rows: dict[bytes, Journey] = {}
    next_due, purge_at = NEVER, 0 if cases else NEVER
    codec = bus_codec()
    for journey in claims.journeys(cases.values(), inert, book.convention):
        found = _Found(journey, book, memo)
        key = journey.cases[0].key
        rows[key] = journey
        outputs[key] = output("statuses", "status", found.status(), codec)
        found.put_handoffs(outputs, codec)
        raised = Alerts(now, (f for c in journey.cases for f in c.acknowledgements))
        for case, runs in found.runs:
            alerting.of_case(raised, case, runs, book)
        alerting.of_handoffs(raised, found.handoffs)
        for alert, datum in raised.found.items():
            outputs[alert] = _remember(memo, alert, datum, codec)
        next_due = min(next_due, raised.next_due)
        purge_at = max(purge_at, found.purge_at)
    return View(outputs, rows, next_due if purge_at <= now else min(next_due, purge_at), purge_at)


def _remember(memo: Memo, key: bytes, datum: dict[str, Any], codec: Codec) -> Output:
    known = memo.seen.get(key)
    if known is None or known[0] != datum:
        known = memo.seen[key] = (datum, output("alerts", "alert", datum, codec))
    return known[1]


class _Found:
    """One journey under way to its outputs."""

    def __init__(self, journey: Journey, book: Book, memo: Memo) -> None:
        self._journey = journey
        self._book = book
        self._memo = memo
        self.runs: list[tuple[Case, Runs]] = []
        self._cases: list[dict[str, Any]] = []
        for case in journey.cases:
            known = memo.runs.get(case.key)
            if known is None or known[0] is not case:
                runs = case_clocks(case, book)
                known = memo.runs[case.key] = (case, runs, _case_status(case, runs))
            self.runs.append((case, known[1]))
            self._cases.append(known[2])
        self.handoffs: list[Handoff] = []
        self._passages: list[dict[str, Any]] = []
        for said in stated(journey.cases):
            kept = memo.handoffs.get(said.key)
            if kept is None or kept[0].signature != said.signature:
                made = Handoff(said, book)
                kept = memo.handoffs[said.key] = (made, {}, made.passage())
            self.handoffs.append(kept[0])
            self._passages.append(kept[2])

    def status(self) -> dict[str, Any]:
        """The status record."""
        cases = self._journey.cases
        door = min(cases, key=lambda c: (c.opened_on is None, c.opened_on or 0, c.started_on, c.key))
        return {
            "references": b"".join(self._journey.references),
            "door": door.text,
            "procedure": door.procedure or None,
            "opened_on": door.opened_on if door.opened_on is not None else door.started_on,
            "cases": self._cases,
            "handoffs": self._passages,
            "degraded": sum(c.count for c in cases) > self._book.crowd,
        }

    def put_handoffs(self, outputs: dict[bytes, Output], codec: Codec) -> None:
        """Add the handoff records to the outputs."""
        circles = laps(self.handoffs) if len(self.handoffs) > 1 else []
        for handoff in self.handoffs:
            loops = sum(1 for day, h in circles if h.to == handoff.to and day <= handoff.sent.date)
            made = self._memo.handoffs[handoff.key][1]
            if loops not in made:
                made[loops] = output("handoffs", "handoff", handoff.record(loops), codec)
            outputs[handoff.key] = made[loops]

    @property
    def purge_at(self) -> int:
        """When every case here has passed its retention; NEVER while one has not ended."""
        return max(retention_end(c, self._book) for c in self._journey.cases)


def case_clocks(case: Case, book: Book, explain: bool = False) -> Runs:
    """The time limits of one case, by its own procedure and the rules in force when it began."""
    calendar = book.calendar(case.body)
    context = ClockContext(calendar, calendar.zone)
    found: Runs = []
    for rule in book.rules(case.procedure, case.started_on).case:
        run = clocks.run(rule, case.facts, context, explain)
        if run is not None:
            found.append((rule, run))
    return found


def retention_end(case: Case, book: Book) -> int:
    """Instant at which the facts of an ended case are to be dropped, ms since the epoch."""
    days = book.rules(case.procedure, case.started_on).journey.retention_days
    if days is None or not case.ended:
        return NEVER
    return (case.since + days + 1) * 86_400_000


def _case_status(case: Case, runs: Runs) -> dict[str, Any]:
    return {
        "case": case.text, "body": case.body, "procedure": case.procedure or None, "place": case.place,
        "visibility": case.visibility, "state": case.state.value, "opened_on": case.opened_on, "since": case.since,
        "outcome": case.outcome, "decided_on": case.decided_on, "notified_on": case.notified_on, "asked": case.asked,
        "asked_until": case.asked_until, "steps": list(case.steps.values()), "access_code": case.access_code,
        "conflicts": case.conflicts,
        "clocks": [{"rule": rule.id, "state": run.state.value, "due_on": run.due_on} for rule, run in runs],
    }  # fmt: skip
