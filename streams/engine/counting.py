"""How French law counts time limits: one end date from a start date, a length and a few explicit choices.

Every function works on local dates of the body whose calendar counts and returns the *last day* of the limit, which
ends at 24:00 local that day. Sources: code de procédure civile 640 to 642 (months "de quantième à quantième", the
starting day does not count, end at 24:00, move to the next working day), CE 5 June 2009 n° 312682 (an implied decision
is born without any move; an appeal limit is "franc" and moves). What a rule does is always a parameter, never implied.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

EPOCH = date(1970, 1, 1).toordinal()
FIRST_DAY = date(1800, 1, 1).toordinal() - EPOCH
LAST_DAY = date(2400, 12, 31).toordinal() - EPOCH
SEARCH_LIMIT = 3660
MAX_LENGTH = 36600


class Unit(StrEnum):
    """What a length counts."""

    DAYS = "days"
    OUVRES = "ouvres"
    OUVRABLES = "ouvrables"
    FRANCS = "francs"
    WEEKS = "weeks"
    MONTHS = "months"
    YEARS = "years"


class Roll(StrEnum):
    """Where a limit that would end on a non-working day moves: nowhere, next ouvrable day, next ouvré day."""

    NONE = "none"
    OUVRABLE = "ouvrable"
    OUVRE = "ouvre"


class FirstDay(StrEnum):
    """Whether the day of the starting event counts (it does not, unless a text says so)."""

    EXCLUDED = "excluded"
    COUNTED = "counted"


class Part(NamedTuple):
    """One part of a length: a positive number and its unit."""

    number: int
    unit: Unit


class WorkingDays(Protocol):
    """What counting asks of a calendar."""

    def is_ouvre(self, day: date, /) -> bool:
        """Whether the body works that day."""

    def is_ouvrable(self, day: date, /) -> bool:
        """Whether that day is neither a Sunday nor a public holiday."""

    def is_legally_working(self, day: date, /) -> bool:
        """Whether that day is neither a Saturday, nor a Sunday, nor a public holiday (CPC 642)."""


_ORDER = {
    Unit.YEARS: 0,
    Unit.MONTHS: 1,
    Unit.WEEKS: 2,
    Unit.DAYS: 3,
    Unit.FRANCS: 3,
    Unit.OUVRABLES: 4,
    Unit.OUVRES: 4,
}


def to_date(day: int) -> date:
    """Date of a number of days since 1970-01-01."""
    return date.fromordinal(day + EPOCH)


def to_day(value: date) -> int:
    """Days since 1970-01-01 of a date."""
    return value.toordinal() - EPOCH


def sane(day: int) -> bool:
    """Whether a day lies in the range in which every computation here is defined (1800 to 2400)."""
    return FIRST_DAY <= day <= LAST_DAY


def add_months(start: date, count: int) -> date:
    """Same number `count` months later (or earlier), last day of the month if there is none (CPC 641)."""
    month = start.year * 12 + start.month - 1 + count
    year, month = divmod(month, 12)
    month += 1
    return date(year, month, min(start.day, monthrange(year, month)[1]))


def _working(start: date, count: int, unit: Unit, calendar: WorkingDays) -> date:
    """The `count`-th ouvré or ouvrable day after `start` (before it if negative); the last day there is, if it never opens again."""
    works = calendar.is_ouvre if unit is Unit.OUVRES else calendar.is_ouvrable
    step = timedelta(days=1 if count > 0 else -1)
    left, day = abs(count), start
    for _ in range(SEARCH_LIMIT + 8 * left):
        if left == 0:
            return day
        day += step
        left -= works(day)
    return to_date(LAST_DAY if count > 0 else FIRST_DAY)  # it never opens again


def _shift(start: date, count: int, unit: Unit, calendar: WorkingDays) -> date:
    match unit:
        case Unit.MONTHS:
            return add_months(start, count)
        case Unit.YEARS:
            return add_months(start, 12 * count)
        case Unit.WEEKS:
            return start + timedelta(weeks=count)
        case Unit.DAYS | Unit.FRANCS:
            return start + timedelta(days=count)
        case _:
            return _working(start, count, unit, calendar)


def add_parts(
    start: date,
    parts: Iterable[Part],
    calendar: WorkingDays,
    *,
    franc: bool = False,
    roll: Roll = Roll.NONE,
    first_day: FirstDay = FirstDay.EXCLUDED,
) -> date:
    """Last day of a limit of several parts: years and months first, then weeks and days, then working days (CPC 641).

    `franc`: neither the first nor the last day counts, so the limit ends one day later; francs days are always so.
    `first_day=counted`: the day of the event is day 1. `roll` applies last.
    """
    end = start - timedelta(days=1) if first_day is FirstDay.COUNTED else start
    last = start
    for count, unit in sorted(parts, key=lambda part: _ORDER[part.unit]):
        end = _shift(end, count, unit, calendar)
        if unit is Unit.FRANCS:
            franc = True
    if franc:
        end += timedelta(days=1)
    return rolled(max(end, last) if first_day is FirstDay.COUNTED else end, roll, calendar)


def add(
    start: date,
    length: int,
    unit: Unit,
    calendar: WorkingDays,
    *,
    franc: bool = False,
    roll: Roll = Roll.NONE,
    first_day: FirstDay = FirstDay.EXCLUDED,
) -> date:
    """Last day of a limit of `length` units from `start`; see `add_parts` for the choices."""
    return add_parts(start, (Part(length, unit),), calendar, franc=franc, roll=roll, first_day=first_day)


def rolled(end: date, roll: Roll, calendar: WorkingDays) -> date:
    """`end`, or the next day on which it may fall (CPC 642: a Saturday, a Sunday and a holiday all move)."""
    if roll is Roll.NONE:
        return end
    works = calendar.is_legally_working if roll is Roll.OUVRABLE else calendar.is_ouvre
    for _ in range(SEARCH_LIMIT):
        if works(end):
            return end
        end += timedelta(days=1)
    return end


def back(end: date, length: int, unit: Unit, calendar: WorkingDays, *, franc: bool = False) -> date:
    """Latest day to act `length` units before `end` (which does not count); one day earlier if `franc`."""
    day = _shift(end, -length, unit, calendar)
    return day - timedelta(days=1) if franc or unit is Unit.FRANCS else day


def weekday_before(end: date, weekday: int, nth: int) -> date:
    """The `nth` such weekday strictly before `end` (Monday is 0): "the sixth Friday before the ballot"."""
    gap = (end.weekday() - weekday) % 7 or 7
    return end - timedelta(days=gap + 7 * (nth - 1))


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=1 << 16)
def midnight(day: int, zone: str) -> int:
    """Instant (ms since the epoch) at which local date `day` (days since 1970-01-01) begins in `zone`.

    Where clocks jump over midnight, the first instant of that date. The end of a limit (24:00) is `midnight(due + 1)`.
    """
    value = to_date(day)
    local = datetime(value.year, value.month, value.day, tzinfo=_zone(zone))
    instant = local.astimezone(UTC)
    if instant.astimezone(_zone(zone)).date() != value:  # pragma: no cover  # no French zone jumps at midnight today
        instant -= timedelta(hours=1)
    return int(instant.timestamp()) * 1000


def local_day(instant: int, zone: str) -> int:
    """Local date in `zone`, as days since 1970-01-01, of an instant in ms since the epoch."""
    return to_day(datetime.fromtimestamp(instant / 1000, UTC).astimezone(_zone(zone)).date())
