"""Lengths as rules count them: the end of one, sums, and what a pause does to an end. Pure; ends are kept with the calendar."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from streams.engine.calendars import Calendar
from streams.engine.counting import (
    FIRST_DAY,
    LAST_DAY,
    FirstDay,
    Part,
    Roll,
    Unit,
    add_parts,
    back,
    to_date,
    to_day,
    weekday_before,
)

WORKING = frozenset({Unit.OUVRES, Unit.OUVRABLES})
MEMO_LIMIT = 1 << 16


class Counted(NamedTuple):
    """How a rule counts its own length."""

    parts: tuple[Part, ...]
    franc: bool = False
    roll: Roll = Roll.NONE
    first_day: FirstDay = FirstDay.EXCLUDED
    back_to: int | None = None
    """Weekday (Monday is 0) back to which weeks count."""
    backwards: bool = False
    """Whether it counts back from the start."""

    @property
    def ahead(self) -> bool:
        """Whether the end comes after the start."""
        return self.back_to is None and not self.backwards


def end_of(start: int, counted: Counted, calendar: Calendar) -> int:
    """Last day of a limit, remembered with the calendar it was counted by; never outside 1800 to 2400."""
    memo = calendar.memo
    key = (start, counted)
    found = memo.get(key)
    if found is None:
        if len(memo) >= MEMO_LIMIT:
            memo.clear()
        parts, franc, roll, first_day, back_to, backwards = counted
        if backwards:
            end = _before(to_date(start), parts, franc, calendar)
        elif back_to is not None:
            end = weekday_before(to_date(start), back_to, parts[0].number)
        else:
            try:
                end = add_parts(to_date(start), parts, calendar, franc=franc, roll=roll, first_day=first_day)
            except (OverflowError, ValueError):
                end = to_date(LAST_DAY)
        found = max(FIRST_DAY, min(to_day(end), LAST_DAY))
        memo[key] = found
    return found


def _before(end: date, parts: tuple[Part, ...], franc: bool, calendar: Calendar) -> date:
    """Latest day to act before `end`, one day earlier if `franc`."""
    try:
        for count, unit in parts:
            end = back(end, count, unit, calendar)
        return end - timedelta(days=1) if franc else end
    except (OverflowError, ValueError):
        return to_date(FIRST_DAY)


def summed(base: tuple[Part, ...], more: list[tuple[Part, ...]]) -> tuple[Part, ...]:
    """Lengths of one unit add up (2 months and 1 month are 3 months from the start), others follow."""
    total: dict[Unit, int] = {}
    for parts in (base, *more):
        for count, unit in parts:
            total[unit] = total.get(unit, 0) + count
    return tuple(Part(count, unit) for unit, count in total.items())


def moved_by(due: int, first: int, last: int, units: set[Unit], calendar: Calendar) -> int:
    """`due` moved by a pause from `first` to `last`: what was left at its beginning is left at its end."""
    if not units & WORKING or due <= first:
        return min(due + last - first, LAST_DAY)
    works = calendar.is_ouvre if Unit.OUVRES in units else calendar.is_ouvrable
    day, end = to_date(first), to_date(due)
    left = 0
    while day < end:
        day += timedelta(days=1)
        left += works(day)
    unit = Unit.OUVRES if Unit.OUVRES in units else Unit.OUVRABLES
    return end_of(last, Counted((Part(left, unit),)), calendar)
