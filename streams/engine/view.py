"""The view: every output of a set of facts at an instant. Pure: no I/O, no clock of its own, no exception for bad data.

Status, handoffs and alerts of each journey among the cases given. Values hold no root, no arrival time, no age. What depends on
one case or one handoff alone is kept in a `Memo` and worked out again only when its facts change; a test proves the result equal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from streams.engine import alerts as alerting
from streams.engine import status
from streams.engine.alerts import NEVER, Alerts
from streams.engine.book import Book
from streams.engine.cases import Case
from streams.engine.claims import Journey
from streams.engine.facts import Copy
from streams.engine.memo import File, Memo, Output, Passages, case_clocks, output

__all__ = ["Memo", "Output", "View", "case_clocks", "fold", "view"]


class View(NamedTuple):
    """All outputs of a set of facts at an instant."""

    outputs: dict[bytes, Output]
    rows: dict[bytes, Journey]
    """Journey of each status key: tells into which row another has merged."""
    next_due: int
    """When the view may change by itself, ms since the epoch; where alerts were left out, when there may be one."""
    purge_at: int
    """When all that is here has passed its retention, ms since the epoch."""


def fold(copies: Iterable[Copy]) -> dict[bytes, Case]:
    """The cases of some facts."""
    grouped: dict[bytes, list[Copy]] = {}
    for copy in copies:
        grouped.setdefault(copy.fact.case, []).append(copy)
    return {key: Case(key, group) for key, group in grouped.items()}


def view(
    cases: Mapping[bytes, Case],
    now: int,
    book: Book,
    inert: Collection[bytes] = (),
    memo: Memo | None = None,
    alerts: bool = True,
) -> View:
    """Every output of these cases at `now` (ms since the epoch). `inert`: purged cases, claims on which rest.

    `alerts`: whether to work them out; who may not write them yet saves what they cost.
    """
    memo = memo if memo is not None and memo.book is book else Memo(book)
    outputs: dict[bytes, Output] = {}
    rows: dict[bytes, Journey] = {}
    next_due, purge_at = NEVER, 0 if cases else NEVER
    for journey in memo.journeys(cases, inert):
        key = journey.cases[0].key
        rows[key] = journey
        files = [memo.file(case) for case in journey.cases]
        passages = memo.passages(key, files)
        outputs[key] = _status(journey, files, passages, book)
        outputs.update(passages.outputs)
        purge_at = max(purge_at, *(f.purge_at for f in files))
        due = min(passages.due, *(f.due for f in files))
        if alerts and due <= now:
            due = _alerts(journey, files, passages, now, memo, outputs)
        next_due = min(next_due, due)
    return View(outputs, rows, next_due if purge_at <= now else min(next_due, purge_at), purge_at)


def _status(journey: Journey, files: list[File], passages: Passages, book: Book) -> Output:
    value = status.writer().status(
        b"".join(journey.references),
        status.door(journey.cases),
        [f.written for f in files],
        passages.written,
        sum(c.count for c in journey.cases) > book.crowd,
    )
    return output("statuses", value)


def _alerts(
    journey: Journey, files: list[File], passages: Passages, now: int, memo: Memo, outputs: dict[bytes, Output]
) -> int:
    """Add the alerts of a journey; when there may be another (ms)."""
    raised = Alerts(now, (f for c in journey.cases for f in c.acknowledgements))
    for file in files:
        alerting.of_case(raised, file.case, file.runs, passages.handoffs, memo.book)
    alerting.of_handoffs(raised, passages.handoffs)
    for alert, datum in raised.found.items():
        outputs[alert] = memo.alert(alert, datum)
    return raised.next_due
