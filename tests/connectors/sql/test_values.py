"""Values become JSON exactly, and windows begin early enough on the days when the clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sql.values import UnreadableError, before, key_of, local, moment_of, moment_text, no_later, to_json

PARIS = ZoneInfo("Europe/Paris")
naive = datetime.fromisoformat


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (Decimal("1234567890123456789.10"), "1234567890123456789.10"),
        (Decimal("1E+3"), "1000"),
        (2**63 - 1, 2**63 - 1),
        (True, True),
        (b"\x00\xff", "AP8="),
        (naive("2026-07-01T10:00"), "2026-07-01T10:00:00+02:00"),
        (datetime(2026, 1, 1, 9, 0, 0, 250, tzinfo=UTC), "2026-01-01T10:00:00.000250+01:00"),
        (date(2026, 2, 28), "2026-02-28"),
        (time(8, 30), "08:30:00"),
        (timedelta(hours=-1, milliseconds=-500), "-PT3600.5S"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([Decimal("0.1"), {"a": date(2026, 1, 1)}], ["0.1", {"a": "2026-01-01"}]),
    ],
)
def test_values_keep_all_they_say(value: Any, json: Any) -> None:
    assert to_json(value, PARIS) == json


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_has_no_exact_form_is_refused(value: Any) -> None:
    with pytest.raises(UnreadableError):
        to_json(value, PARIS)


def test_a_time_of_the_hour_that_comes_twice_is_the_earlier_one() -> None:
    assert to_json(naive("2026-10-25T02:30"), PARIS) == "2026-10-25T02:30:00+02:00"
    assert to_json(datetime(2026, 10, 25, 1, 30, tzinfo=UTC), PARIS) == "2026-10-25T02:30:00+01:00"


def test_keys_of_several_columns_cannot_be_confused() -> None:
    assert key_of(["a|b", "c"], PARIS) != key_of(["a", "b|c"], PARIS)
    assert key_of([7], PARIS) == "7"
    assert key_of(["a", None], PARIS) is None


@given(
    st.datetimes(naive("2026-10-24T00:00"), naive("2026-10-27T00:00")),
    st.integers(0, 7_200),
    st.integers(0, 7_200),
    st.integers(1, 7_200),
)
def test_a_local_window_holds_every_row_that_is_committed_within_the_overlap(
    start: datetime, later_s: int, before_s: int, overlap: int
) -> None:
    """A row is stamped, another is seen, the first is committed: whatever the clocks did meanwhile."""
    instant = start.replace(tzinfo=UTC)
    seen = instant + timedelta(seconds=later_s)
    stamped = seen - timedelta(seconds=min(before_s, overlap))
    for late in (stamped, seen + timedelta(seconds=before_s)):  # one that was late, one that came after
        written = late.astimezone(PARIS).replace(tzinfo=None)
        edge = before(seen.astimezone(PARIS).replace(tzinfo=None), overlap, PARIS)
        assert edge <= written  # type: ignore[operator]


def test_windows_of_days_numbers_and_moments() -> None:
    assert before(date(2026, 3, 1), 600, PARIS) == date(2026, 2, 28)
    assert before(1_000, 600, PARIS) == 400
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert before(noon, 600, PARIS) == noon - timedelta(minutes=10)
    for moment in (date(2026, 3, 1), 12, noon, naive("2026-03-01T12:00")):
        assert moment_of(moment_text(moment)) == moment


def test_a_date_in_the_future_is_not_gone_by() -> None:
    now = datetime(2026, 11, 26, 9, tzinfo=UTC)
    assert no_later(naive("2206-01-01T00:00"), now, PARIS) == naive("2026-11-26T10:00")
    assert no_later(date(2206, 1, 1), now, PARIS) == date(2026, 11, 26)
    assert local(naive("2026-11-26T10:00"), PARIS) == now
