"""Counting of time limits: dated examples of courts and official pages, and the properties that must hold."""

import os
import subprocess
import sys
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import holidays
from streams.engine.calendars import Calendar, Closure, calendar_of
from streams.engine.counting import (
    FirstDay,
    Part,
    Roll,
    Unit,
    add,
    add_parts,
    back,
    local_day,
    midnight,
    to_date,
    to_day,
    weekday_before,
)

TABLE = holidays.load()
PARIS = calendar_of(TABLE, "75056")
STRASBOURG = calendar_of(TABLE, "67482")
GUADELOUPE = calendar_of(TABLE, "97105")
REUNION = calendar_of(TABLE, "97411")
DAYS = st.dates(date(1990, 1, 1), date(2090, 1, 1))
UNITS = st.sampled_from(list(Unit))
LENGTHS = st.integers(1, 60)


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        (date(2025, 12, 31), 2, date(2026, 2, 28)),  # CPC 641: no such day, last day of the month
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2026, 8, 31), 6, date(2027, 2, 28)),
        (date(2026, 7, 1), 2, date(2026, 9, 1)),  # not 60 days, which give 30 August
        (date(2026, 1, 1), 2, date(2026, 3, 1)),  # nor here, where they give 2 March
        (date(2026, 1, 30), 1, date(2026, 2, 28)),  # the day after only, then the month, would be the same by luck
        (date(2026, 3, 14), 2, date(2026, 5, 14)),  # Ascension: an implied decision does not move
        (date(2014, 11, 12), 2, date(2015, 1, 12)),  # circulaire 5749/SG: first implied acceptances
    ],
)
def test_months_end_on_the_same_number(start: date, months: int, end: date) -> None:
    assert add(start, months, Unit.MONTHS, PARIS) == end


@pytest.mark.parametrize(
    ("calendar", "start", "length", "end"),
    [
        (PARIS, date(2026, 4, 2), 1, date(2026, 4, 3)),  # CRPA R112-11-2: AEE in one jour ouvré
        (STRASBOURG, date(2026, 4, 2), 1, date(2026, 4, 7)),  # Good Friday, week-end, Easter Monday
        (PARIS, date(2026, 3, 30), 10, date(2026, 4, 14)),  # ARE in ten
        (GUADELOUPE, date(2026, 3, 30), 10, date(2026, 4, 14)),
        (REUNION, date(2026, 3, 30), 10, date(2026, 4, 14)),
        (STRASBOURG, date(2026, 3, 30), 10, date(2026, 4, 15)),
        (PARIS, date(2026, 5, 18), 10, date(2026, 6, 2)),
        (GUADELOUPE, date(2026, 5, 18), 10, date(2026, 6, 3)),  # 27 May
        (PARIS, date(2026, 12, 24), 10, date(2027, 1, 11)),
    ],
)
def test_jours_ouvres_are_those_of_the_body(calendar: Calendar, start: date, length: int, end: date) -> None:
    assert add(start, length, Unit.OUVRES, calendar) == end


@pytest.mark.parametrize(
    ("notified", "end"),
    [
        (date(2026, 5, 13), date(2026, 7, 15)),  # 13 July, franc 14 July, a holiday
        (date(2026, 10, 31), date(2027, 1, 4)),  # 31 December, franc 1 January, then a week-end
        (date(2007, 8, 12), date(2007, 10, 15)),  # CE 5 June 2009 n° 312682
        (date(2007, 10, 1), date(2007, 12, 3)),  # A. Icard
        (date(2018, 1, 11), date(2018, 3, 12)),
        (date(2019, 2, 4), date(2019, 4, 5)),
        (date(2021, 1, 3), date(2021, 3, 4)),
        (date(2017, 9, 20), date(2017, 11, 21)),
        (date(2008, 1, 16), date(2008, 3, 17)),  # CE 23 Oct. 2013: déféré on a tacit non-opposition
    ],
)
def test_an_appeal_is_franc_and_moves(notified: date, end: date) -> None:
    assert add(notified, 2, Unit.MONTHS, PARIS, franc=True, roll=Roll.OUVRABLE) == end


def test_an_appeal_from_overseas_has_a_month_more() -> None:
    """CJA R421-7, computed: notified 10 March 2026, resident of La Réunion, court in Paris."""
    assert add(date(2026, 3, 10), 3, Unit.MONTHS, PARIS, franc=True, roll=Roll.OUVRABLE) == date(2026, 6, 11)


@pytest.mark.parametrize(
    ("unit", "end"),
    [
        (Unit.DAYS, date(2020, 7, 19)),
        (Unit.FRANCS, date(2020, 7, 20)),
        (Unit.OUVRABLES, date(2020, 7, 21)),
        (Unit.OUVRES, date(2020, 7, 22)),
    ],
)
def test_seven_days_of_four_kinds(unit: Unit, end: date) -> None:
    """service-public F35697 (DILA, 2021-03-02): counted from a Monday, the Wednesday a holiday."""
    calendar = calendar_of(TABLE, "75056", local=())
    shifted = Calendar(
        "example", "Europe/Paris", [h._replace(month=7, day=15) for h in calendar.holidays if h.month == 7]
    )
    assert shifted.is_holiday(date(2020, 7, 15))
    assert add(date(2020, 7, 13), 7, unit, shifted, first_day=FirstDay.COUNTED) == end


def test_days_that_are_not_franc_end_on_the_last() -> None:
    """A. Icard: result proclaimed on a Sunday, five days: Friday at 24:00."""
    sunday = date(2026, 3, 15)
    assert add(sunday, 5, Unit.DAYS, PARIS) == date(2026, 3, 20)


def test_the_sixth_friday_before_the_ballot() -> None:
    """Code électoral L17."""
    assert weekday_before(date(2026, 3, 15), 4, 6) == date(2026, 2, 6)
    assert weekday_before(date(2026, 3, 13), 4, 1) == date(2026, 3, 6)


def test_backwards() -> None:
    assert back(date(2026, 4, 30), 2, Unit.MONTHS, PARIS) == date(2026, 2, 28)
    assert back(date(2026, 3, 15), 7, Unit.FRANCS, PARIS) == date(2026, 3, 7)
    assert back(date(2026, 4, 7), 1, Unit.OUVRES, STRASBOURG) == date(2026, 4, 2)


def test_months_come_before_days() -> None:
    """CPC 641: when a limit has both."""
    parts = (Part(10, Unit.DAYS), Part(1, Unit.MONTHS))
    assert add_parts(date(2026, 1, 31), parts, PARIS) == date(2026, 3, 10)


def test_a_closure_is_not_a_holiday() -> None:
    closed = calendar_of(TABLE, "75056", closures=[Closure(date(2026, 12, 28), date(2026, 12, 31))])
    assert add(date(2026, 12, 24), 2, Unit.OUVRES, closed) == date(2027, 1, 5)
    assert add(date(2026, 12, 24), 2, Unit.OUVRABLES, closed) == date(2026, 12, 28)
    assert add(date(2026, 11, 30), 1, Unit.MONTHS, closed, roll=Roll.OUVRABLE) == date(2026, 12, 30)


@given(DAYS, DAYS, LENGTHS, UNITS, st.sampled_from(list(Roll)), st.booleans())
def test_later_starts_never_end_earlier(a: date, b: date, length: int, unit: Unit, roll: Roll, franc: bool) -> None:
    first, second = sorted((a, b))
    ends = [add(day, length, unit, STRASBOURG, roll=roll, franc=franc) for day in (first, second)]
    assert ends[0] <= ends[1]


@given(DAYS, LENGTHS, UNITS)
def test_longer_limits_never_end_earlier(start: date, length: int, unit: Unit) -> None:
    assert start < add(start, length, unit, PARIS) < add(start, length + 1, unit, PARIS)


@given(DAYS, LENGTHS, LENGTHS, st.sampled_from([Unit.DAYS, Unit.WEEKS, Unit.OUVRES, Unit.OUVRABLES]))
def test_days_and_working_days_add_up(start: date, one: int, two: int, unit: Unit) -> None:
    assert add(add(start, one, unit, PARIS), two, unit, PARIS) == add(start, one + two, unit, PARIS)


@given(DAYS, LENGTHS, LENGTHS)
def test_months_add_up_where_every_month_has_the_day(start: date, one: int, two: int) -> None:
    start = start.replace(day=min(start.day, 28))
    assert add(add(start, one, Unit.MONTHS, PARIS), two, Unit.MONTHS, PARIS) == add(
        start, one + two, Unit.MONTHS, PARIS
    )


@given(DAYS, LENGTHS, UNITS, st.booleans())
def test_no_moved_end_falls_on_a_day_off(start: date, length: int, unit: Unit, franc: bool) -> None:
    end = add(start, length, unit, STRASBOURG, roll=Roll.OUVRABLE, franc=franc)
    assert end.weekday() < 5
    assert not STRASBOURG.is_holiday(end)
    assert STRASBOURG.is_ouvre(add(start, length, unit, STRASBOURG, roll=Roll.OUVRE, franc=franc))


@given(DAYS, LENGTHS, st.sampled_from([Unit.DAYS, Unit.WEEKS, Unit.FRANCS, Unit.MONTHS, Unit.YEARS]), st.booleans())
def test_paris_and_strasbourg_agree_where_no_holiday_counts(start: date, length: int, unit: Unit, franc: bool) -> None:
    assert add(start, length, unit, PARIS, franc=franc) == add(start, length, unit, STRASBOURG, franc=franc)


@given(DAYS, LENGTHS, st.sampled_from([Unit.OUVRES, Unit.OUVRABLES]))
def test_they_differ_only_across_a_local_holiday(start: date, length: int, unit: Unit) -> None:
    paris, strasbourg = (add(start, length, unit, calendar) for calendar in (PARIS, STRASBOURG))
    span = [start + timedelta(days=i) for i in range(1, (strasbourg - start).days + 1)]
    works = (lambda c, d: c.is_ouvre(d)) if unit is Unit.OUVRES else (lambda c, d: c.is_ouvrable(d))
    local = [day for day in span if works(PARIS, day) and not works(STRASBOURG, day)]
    assert (paris != strasbourg) == bool([day for day in local if day <= paris])


@given(DAYS, LENGTHS, UNITS)
def test_backwards_never_leaves_too_little_time(end: date, length: int, unit: Unit) -> None:
    latest = back(end, length, unit, PARIS)
    assert latest < end
    if unit in (Unit.DAYS, Unit.WEEKS):
        assert add(latest, length, unit, PARIS) == end


@pytest.mark.parametrize(
    ("zone", "hour"), [("Europe/Paris", 22), ("Indian/Reunion", 20), ("America/Guadeloupe", 4), ("Pacific/Noumea", 13)]
)
def test_midnight_is_local(zone: str, hour: int) -> None:
    """The first instant of 2 July 2026, as an hour of UTC."""
    assert midnight(to_day(date(2026, 7, 2)), zone) // 3_600_000 % 24 == hour


def test_days_of_the_clock_change_are_23_and_25_hours_long() -> None:
    for day, hours in ((date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)):
        first = to_day(day)
        assert midnight(first + 1, "Europe/Paris") - midnight(first, "Europe/Paris") == hours * 3_600_000


@given(
    st.integers(-20_000, 60_000),
    st.sampled_from(["Europe/Paris", "America/Miquelon", "Pacific/Tahiti", "Indian/Mayotte"]),
)
def test_midnight_begins_its_day(day: int, zone: str) -> None:
    instant = midnight(day, zone)
    assert local_day(instant, zone) == day
    assert local_day(instant - 1, zone) == day - 1
    assert to_day(to_date(day)) == day


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_the_zone_of_the_machine_does_not_matter(zone: str) -> None:
    program = (
        "from datetime import date\nfrom schemas import holidays\nfrom streams.engine import calendars, counting as c\n"
        "k = calendars.calendar_of(holidays.load(), '67482')\n"
        "print(c.add(date(2026, 4, 2), 1, c.Unit.OUVRES, k), c.midnight(20636, k.zone), c.local_day(1782943200000, k.zone))"
    )
    environment = {**os.environ, "TZ": zone}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["2026-04-07", str(midnight(20636, "Europe/Paris")), "20636"]
