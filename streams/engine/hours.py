"""Service promises in working hours: openings with breaks, holidays and closures, pauses that do not count. Pure.

Legal limits count in days (`counting`); hours serve promises only. Instants are milliseconds since the epoch; openings
are local wall-clock times of the body, so that a day on which clocks change keeps its opening hours and a span over the
change has its real length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from streams.engine.calendars import Calendar
from streams.engine.counting import local_day, to_date

MINUTE = 60_000
SEARCH_DAYS = 3660


class Span(NamedTuple):
    """An opening within a day, local time, in minutes since midnight; 24:00 is 1440."""

    opens: int
    closes: int


Week = tuple[tuple[Span, ...], ...]
"""Openings of Monday to Sunday; a break is the gap between two spans of a day."""


def week(text: Sequence[str]) -> Week:
    """Seven texts such as `"09:00-12:00 14:00-17:30"` (empty: closed) as a week. ValueError if they make no sense."""
    if len(text) != 7:
        raise ValueError("a week has seven days, from Monday to Sunday")
    return tuple(tuple(_spans(day)) for day in text)


def _spans(text: str) -> Iterator[Span]:
    last = 0
    for part in text.split():
        opens, dash, closes = part.partition("-")
        if not dash:
            raise ValueError("an opening reads 09:00-12:00")
        span = Span(_minutes(opens), _minutes(closes))
        if not last <= span.opens < span.closes <= 1440:
            raise ValueError("openings of a day are in order and do not overlap")
        last = span.closes
        yield span


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


class Hours:
    """The working time of one body."""

    def __init__(self, openings: Week, calendar: Calendar) -> None:
        """`openings` by weekday; holidays and closures of `calendar` are shut, and its zone is the local time."""
        self._openings = openings
        self._calendar = calendar
        self._zone = ZoneInfo(calendar.zone)

    def spans(self, day: date) -> Iterator[tuple[int, int]]:
        """Openings of a local date as pairs of instants."""
        if self._calendar.is_holiday(day) or self._calendar.is_closed(day):
            return
        for span in self._openings[day.weekday()]:
            yield self._instant(day, span.opens), self._instant(day, span.closes)

    def _instant(self, day: date, minutes: int) -> int:
        if minutes == 1440:
            day, minutes = day + timedelta(days=1), 0
        local = datetime.combine(day, time(minutes // 60, minutes % 60), tzinfo=self._zone)
        return int(local.astimezone(UTC).timestamp()) * 1000

    def between(self, start: int, end: int) -> int:
        """Working time from one instant to another, ms; 0 if the end comes first."""
        return sum(max(0, min(end, closes) - max(start, opens)) for opens, closes in self._from(start, end))

    def add(self, start: int, length: int, pauses: Iterable[tuple[int, int | None]] = ()) -> int | None:
        """The instant at which `length` ms of working time have passed since `start`, without the pauses.

        `None` while a pause is open, or if no opening is found within ten years. Pauses may overlap.
        """
        merged = _merged(pauses)
        if merged and merged[-1][1] is None:
            return None
        left = length
        for opens, closes in self._from(start, None):
            for first, last in _without(max(opens, start), closes, merged):
                if last - first >= left:
                    return first + left
                left -= last - first
        return None

    def _from(self, start: int, end: int | None) -> Iterator[tuple[int, int]]:
        day = to_date(local_day(start, self._calendar.zone) - 1)
        for _ in range(SEARCH_DAYS):
            for opens, closes in self.spans(day):
                if end is not None and opens >= end:
                    return
                if closes > start:
                    yield opens, closes
            day += timedelta(days=1)


def _merged(pauses: Iterable[tuple[int, int | None]]) -> list[tuple[int, int | None]]:
    found: list[tuple[int, int | None]] = []
    for first, last in sorted(pauses, key=lambda pause: pause[0]):
        if last is not None and last <= first:
            continue
        if found and (found[-1][1] is None or first <= found[-1][1]):
            before = found[-1][1]
            found[-1] = (found[-1][0], None if before is None or last is None else max(before, last))
        else:
            found.append((first, last))
    return sorted(found, key=lambda pause: (pause[1] is None, pause[0]))


def _without(first: int, last: int, pauses: Sequence[tuple[int, int | None]]) -> Iterator[tuple[int, int]]:
    """What is left of [first, last) without the pauses (merged, all closed)."""
    for begins, ends in pauses:
        assert ends is not None
        if ends <= first or begins >= last:
            continue
        if begins > first:
            yield first, begins
        first = max(first, ends)
    if first < last:
        yield first, last
