"""Service promises in working hours."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import holidays
from streams.engine.calendars import Closure, calendar_of
from streams.engine.hours import MINUTE, Hours, week

PARIS = ZoneInfo("Europe/Paris")
OFFICE = week([*["09:00-12:00 14:00-17:00"] * 4, "09:00-12:00", "", ""])
HOUR = 60 * MINUTE


def hours(commune: str = "75056", *closures: Closure) -> Hours:
    return Hours(OFFICE, calendar_of(holidays.load(), commune, closures=closures))


def at(text: str, zone: ZoneInfo = PARIS) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1000


def local(instant: int | None) -> str | None:
    return None if instant is None else datetime.fromtimestamp(instant / 1000, UTC).astimezone(PARIS).isoformat()[:16]


@pytest.mark.parametrize(
    ("start", "length", "end"),
    [
        ("2026-03-02T09:00", 3, "2026-03-02T12:00"),  # the end of an opening, not the start of the next
        ("2026-03-02T11:00", 2, "2026-03-02T15:00"),  # over the break
        ("2026-03-06T11:00", 2, "2026-03-09T10:00"),  # Friday noon to Monday
        ("2026-03-07T22:00", 1, "2026-03-09T10:00"),  # asked on a Saturday night
        ("2026-04-30T16:00", 2, "2026-05-04T10:00"),  # 1 May
        ("2026-03-27T11:00", 2, "2026-03-30T10:00"),  # clocks change on Sunday
    ],
)
def test_working_hours(start: str, length: int, end: str) -> None:
    assert local(hours().add(at(start), length * HOUR)) == end


def test_a_closure_and_a_local_holiday_are_shut() -> None:
    shut = hours("75056", Closure(date(2026, 3, 3), date(2026, 3, 4)))
    assert local(shut.add(at("2026-03-02T16:00"), 2 * HOUR)) == "2026-03-05T10:00"
    assert local(hours("67482").add(at("2026-04-02T16:00"), 2 * HOUR)) == "2026-04-07T10:00"


def test_pauses_do_not_count_even_if_they_overlap() -> None:
    pauses = [(at("2026-03-02T10:00"), at("2026-03-02T15:00")), (at("2026-03-02T14:30"), at("2026-03-03T10:00"))]
    assert local(hours().add(at("2026-03-02T09:00"), 2 * HOUR, pauses)) == "2026-03-03T11:00"
    assert hours().add(at("2026-03-02T09:00"), HOUR, [*pauses, (at("2026-03-02T09:30"), None)]) is None
    backwards = [(at("2026-03-02T12:00"), at("2026-03-02T09:00"))]
    assert local(hours().add(at("2026-03-02T09:00"), HOUR, backwards)) == "2026-03-02T10:00"


def test_a_body_that_never_opens_promises_nothing() -> None:
    assert Hours(week([""] * 7), calendar_of(holidays.load(), None)).add(at("2026-03-02T09:00"), HOUR) is None


def test_a_night_shift_over_the_clock_change_has_its_real_length() -> None:
    nights = Hours(week(["00:00-24:00"] * 7), calendar_of(holidays.load(), None))
    assert nights.between(at("2026-03-29T00:00"), at("2026-03-30T00:00")) == 23 * HOUR
    assert nights.between(at("2026-10-25T00:00"), at("2026-10-26T00:00")) == 25 * HOUR


@settings(max_examples=60)
@given(st.integers(0, 500_000), st.integers(1, 6_000), st.integers(1, 6_000))
def test_adding_and_measuring_agree(offset: int, one: int, two: int) -> None:
    place, start = hours(), at("2026-01-01T00:00") + offset * MINUTE
    end = place.add(start, one * MINUTE)
    assert end is not None
    assert place.between(start, end) == one * MINUTE
    both = place.add(start, (one + two) * MINUTE)
    assert both is not None
    assert both > end
    assert place.between(end, both) == two * MINUTE
    assert place.between(end, start) == 0


@pytest.mark.parametrize(
    "text",
    [
        ["09:00-12:00"],
        ["09:00"] * 7,
        ["12:00-09:00"] * 7,
        ["09:00-12:00 11:00-13:00"] * 7,
        ["09:00-25:00"] * 7,
        ["a-b"] * 7,
    ],
)
def test_openings_that_make_no_sense_are_refused(text: list[str]) -> None:
    with pytest.raises(ValueError, match=r"week|opening|invalid literal"):
        week(text)
