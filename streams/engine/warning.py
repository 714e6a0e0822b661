"""When to warn that an end is near. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from streams.engine.clocktypes import ClockContext
from streams.engine.counting import Part, back, midnight, to_date, to_day

LIMIT = 1 << 16
Warns = tuple[tuple[int, int], ...]
"""Day and instant (ms) of each level, in the order of the rule."""


class Levels:
    """The levels of one rule: lengths before the end. As a key it is itself alone, which is quick to hash."""

    __slots__ = ("lengths",)

    def __init__(self, lengths: Iterable[tuple[Part, ...]]) -> None:
        self.lengths = tuple(lengths)


def warnings(due: int, levels: Levels, context: ClockContext) -> Warns:
    """Each level of warning before the last day `due`, remembered with the calendar."""
    calendar = context.calendar
    key = (due, levels, context.zone)
    found = calendar.warned.get(key)
    if found is None:
        if len(calendar.warned) >= LIMIT:
            calendar.warned.clear()
        days = []
        for parts in levels.lengths:
            day = to_date(due)
            for count, unit in parts:
                day = back(day, count, unit, calendar)
            days.append(to_day(day))
        found = calendar.warned[key] = tuple((day, midnight(day, context.zone)) for day in days)
    return found
