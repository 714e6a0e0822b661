"""What tests of clocks lean on: facts in one line, calendars by commune, runs by the name of a rule."""

from datetime import date
from functools import cache
from typing import Any, NamedTuple

from schemas import holidays, library
from schemas.rules import Clock
from streams.engine import clocks, silence
from streams.engine.calendars import Calendar, calendar_of
from streams.engine.clocktypes import ClockContext, ClockRun
from streams.engine.counting import to_date, to_day


class Fact(NamedTuple):
    type: str
    date: int
    key: bytes
    data: dict[str, Any]
    body: str = "body"


def day(text: str) -> int:
    return to_day(date.fromisoformat(text))


def iso(value: int | None) -> str | None:
    return None if value is None else to_date(value).isoformat()


def fact(type_: str, on: str, /, **data: Any) -> Fact:
    """A fact; `on` is its date, any ISO date in the data becomes a day."""
    values = {
        name: day(value) if isinstance(value, str) and value[:2] == "20" else value for name, value in data.items()
    }
    return Fact(type_, day(on), f"{type_}@{on}".encode(), values)


opened = "case.opened"
asked = "case.pieces-requested"
supplied = "case.pieces-received"
notified = "case.notified"


@cache
def calendar(commune: str = "75056") -> Calendar:
    return calendar_of(holidays.load(), commune)


@cache
def rule(name: str) -> clocks.ClockRule:
    return clocks.ClockRule(library.load()[name])


def made(**keys: Any) -> clocks.ClockRule:
    """A rule of one's own, on top of a plain one."""
    plain = {
        "id": "test.rule",
        "title": {"fr": "Essai", "en": "Test"},
        "kind": "service",
        "starts": ["case.opened"],
        "stops": ["case.closed"],
        "length": "10 days",
        "effect": "service-target",
    }
    return clocks.ClockRule(Clock.model_validate({**plain, **keys}))


def context(commune: str = "75056", **known: str) -> ClockContext:
    place = calendar(commune)
    return ClockContext(place, place.zone, **{name: day(value) for name, value in known.items()})


def run(
    which: str | clocks.ClockRule, *facts: Any, commune: str = "75056", explain: bool = False, **known: str
) -> ClockRun:
    """Run a rule; it must have started. The explained run must say the same as the plain one."""
    chosen = rule(which) if isinstance(which, str) else which
    found = clocks.run(chosen, facts, context(commune, **known))
    assert found is not None
    told = clocks.run(chosen, facts, context(commune, **known), explain=True)
    assert told is not None
    assert told._replace(derivation=()) == found
    assert told.derivation
    return told if explain else found


def follow(which: str, first: ClockRun, today: str, *facts: Any, commune: str = "75056") -> ClockRun:
    """Run a rule that follows from the silence of another."""
    return run(which, *silence.with_silence(facts, first, day(today)), commune=commune)


def ops(found: ClockRun) -> list[str]:
    return [line.op.value for line in found.derivation]
