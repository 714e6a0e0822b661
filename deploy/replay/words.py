"""The report of a replay in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.eventlog.mapping import Mapping
    from connectors.eventlog.report import Report

LONGEST = 10
"""Rows of a table; `--json` has them all."""


def lines(report: Report, mapping: Mapping) -> Iterator[str]:
    """The report, line by line."""
    yield f"{mapping.title.en}, {report.first_on} to {report.last_on} (clock led to {report.until})"
    yield ""
    yield f"{report.journeys:>9} journeys, {report.cases} cases, {report.facts} facts"
    yield f"{report.handoffs:>9} handoffs, {report.days_between} days between bodies in all"
    yield f"{report.days_inside:>9} days inside bodies in all"
    pauses = report.pauses
    mean = f", {pauses.days / pauses.ended:.1f} days on average" if pauses.ended else ""
    yield f"{pauses.begun:>9} pauses for the applicant, {pauses.ended} ended{mean}"
    titles = {limit.id: f"{limit.title.en}, {limit.days} days" for limit in mapping.limits}
    for alert in report.alerts:
        yield f"{alert.raised:>9} alerts of {alert.limit} ({titles[alert.limit]}), {alert.open} still open"
    yield ""
    pairs = sorted(report.handoffs_by_pair, key=lambda p: (-p.days_between, p.from_body, p.to))
    yield from _table(
        "Between bodies", ("from", "to", "handoffs", "received", "days"),
        [(p.from_body, p.to, p.handoffs, p.received, p.days_between) for p in pairs],
    )  # fmt: skip
    yield ""
    inside = sorted(report.inside, key=lambda s: (-s.days_inside, s.body))
    yield from _table(
        "Inside each body", ("body", "cases", "stays", "days"),
        [(s.body, s.cases, s.stays, s.days_inside) for s in inside],
    )  # fmt: skip


def _table(title: str, heads: tuple[str, ...], rows: list[tuple[object, ...]]) -> Iterator[str]:
    shown = [tuple(map(str, row)) for row in rows[:LONGEST]]
    more = f", the {LONGEST} with most days of {len(rows)}" if len(rows) > LONGEST else ""
    yield title + more
    widths = [max(map(len, column)) for column in zip(heads, *shown, strict=True)]
    for row in (heads, *shown):
        cells = (
            cell.rjust(width) if head not in {"from", "to", "body"} else cell.ljust(width)
            for cell, width, head in zip(row, widths, heads, strict=True)
        )
        yield "  " + "  ".join(cells).rstrip()
