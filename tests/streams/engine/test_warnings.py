"""Warnings before an end: when they begin and end, from facts alone, and the alerts that they make."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.codec import bus
from schemas.rules import Clock
from streams.engine.alerts import NEVER
from streams.engine.book import Book
from streams.engine.clocktypes import ClockRun
from streams.engine.view import Memo, fold, view
from tests.support.books import book
from tests.support.clock_tools import fact, iso, made, notified, opened, run
from tests.support.facts import event
from tests.support.scenario import CONVENTIONS, Scenario
from tests.support.world import DAY, READER

LEVELS = ("5 days", "2 days")
CHANGES = [
    {"op": "suspend"},
    {"op": "extend", "open": True, "before_end": False, "cumulate": True},
    {"op": "restart-on-complete", "user_limit": "1 month", "unsupplied": "refused"},
]
RULE = made(warn=LEVELS, modifiers=CHANGES, length="20 days")
START = fact(opened, "2026-03-02")  # the last day is 22 March: warn on 17 and 20


def told(found: ClockRun) -> list[tuple[int, str | None, str | None]]:
    return [(level, iso(first), iso(last)) for level, first, last in found.warned]


def days(found: ClockRun) -> list[str | None]:
    return [iso(day) for day, _ in found.warns]


def test_a_running_clock_knows_when_to_warn() -> None:
    found = run(RULE, START)
    assert (days(found), told(found)) == (["2026-03-17", "2026-03-20"], [])


def test_working_days_are_those_of_the_body() -> None:
    rule = made(warn=["3 ouvres"], length="1 month")
    assert days(run(rule, fact(opened, "2026-03-07"))) == ["2026-04-01"]  # 7 April, Easter Monday the day before
    assert days(run(rule, fact(opened, "2026-03-07"), commune="67482")) == ["2026-03-31"]  # and Good Friday


@pytest.mark.parametrize(
    ("day", "warned"),
    [
        ("2026-03-16", []),
        ("2026-03-17", [(0, "2026-03-17", "2026-03-17")]),
        ("2026-03-21", [(0, "2026-03-17", "2026-03-21"), (1, "2026-03-20", "2026-03-21")]),
        ("2026-04-10", [(0, "2026-03-17", "2026-03-23"), (1, "2026-03-20", "2026-03-23")]),
    ],
)
def test_a_stop_ends_the_warnings_that_had_begun(day: str, warned: list[Any]) -> None:
    found = run(RULE, START, fact("case.closed", day))
    assert (told(found), found.warns) == (warned, ())


def test_a_later_end_ends_a_warning_and_begins_a_new_one() -> None:
    found = run(RULE, START, fact("case.extended", "2026-03-18", length=10, unit="days", cause="x"))
    assert told(found) == [(0, "2026-03-17", "2026-03-18")]
    assert days(found) == ["2026-03-27", "2026-03-30"]


def test_an_end_that_stays_near_keeps_the_warning() -> None:
    later = fact("case.extended", "2026-03-21", length=3, unit="days", cause="x")
    found = run(RULE, START, later)
    assert told(found) == [(1, "2026-03-20", "2026-03-21")]
    assert days(found) == ["2026-03-17", "2026-03-23"]  # the first level lasts since the 17th, though 20 would be new
    ended = run(RULE, START, later, fact("case.closed", "2026-03-22"))
    assert told(ended) == [(1, "2026-03-20", "2026-03-21"), (0, "2026-03-17", "2026-03-22")]


def test_an_end_that_was_passed_and_moved_warns_anew() -> None:
    found = run(RULE, START, fact("case.extended", "2026-03-25", length=4, unit="days", cause="x"))
    assert told(found) == [(0, "2026-03-17", "2026-03-23"), (1, "2026-03-20", "2026-03-23")]
    assert days(found) == ["2026-03-25", "2026-03-25"]


def test_a_clock_that_stands_warns_nobody() -> None:
    suspended = run(RULE, START, fact("case.suspended", "2026-03-18", cause="x"))
    assert (told(suspended), suspended.warns) == ([(0, "2026-03-17", "2026-03-18")], ())
    waiting = run(RULE, START, fact("case.pieces-requested", "2026-03-10", pieces=["a"]))
    assert (told(waiting), waiting.warns) == ([], ())


def test_a_warning_never_begins_before_the_clock() -> None:
    found = run(made(warn=["15 days", "1 day"], length="4 days"), START)
    assert days(found) == ["2026-03-02", "2026-03-05"]


def test_a_limit_that_binds_the_person_warns_no_body() -> None:
    assert run("urb.appeal", fact(notified, "2026-03-02")).warns == ()
    assert not made(warn=LEVELS, holder="applicant").warn


def test_levels_go_from_far_to_near() -> None:
    plain = RULE.clock.model_dump()
    with pytest.raises(ValidationError, match="from far to near"):
        Clock.model_validate({**plain, "warn": ["2 days", "5 days"]})


# -- the alerts
@cache
def rules() -> Book:
    return book(conventions=CONVENTIONS, warn=LEVELS)


def alerts(values: Iterable[bytes], now: float) -> list[dict[str, Any]]:
    seen = view(fold(READER.copy(value, 0) for value in values), int(now * DAY), rules())
    found = [bus().decode(o.value)[1] for o in seen.outputs.values() if o.topic == "alerts"]
    return sorted(found, key=lambda a: a["episodes"][0]["raised_on"])


def test_each_level_is_an_alert_of_its_own() -> None:
    case = "case:alpha/1"
    facts = [event("case.opened", case, 100, 1, procedure="test.simple")]
    assert alerts(facts, 104.9) == []
    (far,) = alerts(facts, 106)
    assert (far["reason"], far["severity"], far["rule"], far["due_on"]) == ("about-to-breach", "info", "answer", 110)
    assert far["episodes"] == [{"raised_on": 105, "resolved_on": None}]
    assert [a["severity"] for a in alerts(facts, 109)] == ["info", "warning"]
    late = alerts(facts, 111)
    assert len({a["alert"] for a in late}) == 3
    assert [(a["reason"], a["episodes"]) for a in late] == [
        ("about-to-breach", [{"raised_on": 105, "resolved_on": 111}]),
        ("about-to-breach", [{"raised_on": 108, "resolved_on": 111}]),
        ("breached", [{"raised_on": 111, "resolved_on": None}]),
    ]
    closed = [*facts, event("case.closed", case, 107, 2)]
    assert [a["episodes"] for a in alerts(closed, 300)] == [[{"raised_on": 105, "resolved_on": 107}]]


def test_a_view_with_memory_equals_a_fresh_one_and_tells_when_to_look_again() -> None:
    moved = raised = 0
    for seed in range(20):
        r, memo = random.Random(seed), Memo(rules())
        cases = fold(READER.copy(a.value, 0) for a in Scenario(seed).arrivals())
        for _ in range(6):
            now = r.randint(-1, 60 * DAY)
            seen = view(cases, now, rules())
            kept = view(cases, now, rules(), (), memo)
            assert (kept.outputs, kept.next_due) == (seen.outputs, seen.next_due)
            until = min(seen.next_due, now + 500 * DAY) - 1
            assert view(cases, until, rules()).outputs == seen.outputs
            raised += any(b"about-to-breach" in o.value for o in seen.outputs.values())
            moved += seen.next_due != NEVER and view(cases, seen.next_due, rules()).outputs != seen.outputs
    assert moved > 20
    assert raised > 20
