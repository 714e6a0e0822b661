"""What a change of rules would do to cases that are under way, before it is applied. Pure.

Each case is run under the rules as they are and as they would be, on the same facts and the same day. A case keeps the rules of its
start: a new version that begins later leaves it alone, and the comparison says so by finding no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.definitions import Definitions
from streams.engine.calendars import Calendar
from streams.engine.clocktypes import ClockContext, ClockFact
from streams.engine.consequences import Standing, standing
from streams.engine.counting import to_date
from streams.engine.rules import JourneyRules, compile_journey


class Passing(NamedTuple):
    """One handoff of a case: its facts, and whose calendars may count."""

    name: str
    kind: str
    facts: Sequence[ClockFact]
    sender: Calendar
    addressee: Calendar


class Subject(NamedTuple):
    """One case under way."""

    name: str
    """Its reference, or what stands for it."""
    procedure: str
    started_on: int
    """Day that decides which version of the rules it keeps."""
    facts: Sequence[ClockFact]
    calendar: Calendar
    received_first: int | None = None
    received_competent: int | None = None
    passings: Sequence[Passing] = ()


class Difference(NamedTuple):
    """One clock of a case or handoff that the change touches; the side on which there is no such clock is `None`."""

    case: str
    handoff: str | None
    rule: str
    before: Standing | None
    after: Standing | None

    @property
    def shift(self) -> int | None:
        """Days by which the last day moves; `None` unless both sides have one."""
        days = [one.run.due_on for one in (self.before, self.after) if one is not None and one.run.due_on is not None]
        return days[1] - days[0] if len(days) == 2 else None


class Rules:
    """Definitions, compiled when they are first asked for."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._compiled: dict[bytes, JourneyRules] = {}

    def of(self, procedure: str, day: int) -> JourneyRules:
        """The rules of a procedure for a case that starts on `day`."""
        journey = self._definitions.of(procedure or None, to_date(day))
        found = self._compiled.get(journey.digest)
        if found is None:
            found = self._compiled[journey.digest] = compile_journey(journey)
        return found


def differences(
    subjects: Iterable[Subject], before: Rules, after: Rules, today: int, explain: bool = True
) -> tuple[list[Difference], int]:
    """Every clock that the change touches, by case in the order given, and how many cases were looked at."""
    found: list[Difference] = []
    seen = 0
    for subject in subjects:
        seen += 1
        old, new = (rules.of(subject.procedure, subject.started_on) for rules in (before, after))
        if old.journey.digest == new.journey.digest:
            continue
        context = ClockContext(
            subject.calendar, subject.calendar.zone, subject.received_first, subject.received_competent
        )
        sides = (_of_case(rules, subject, context, today, explain) for rules in (old, new))
        found += _differ(subject.name, None, *sides)
        for passing in subject.passings:
            sides = (_of_passing(rules, passing, today, explain) for rules in (old, new))
            found += _differ(subject.name, passing.name, *sides)
    return found, seen


def _of_case(
    rules: JourneyRules, subject: Subject, context: ClockContext, today: int, explain: bool
) -> dict[str, Standing]:
    return {s.rule.id: s for s in standing(rules.case, subject.facts, context, today, explain=explain)}


def _of_passing(rules: JourneyRules, passing: Passing, today: int, explain: bool) -> dict[str, Standing]:
    sort = rules.journey.handoff(passing.kind, passing.facts[0].data) if passing.facts else None
    found: dict[str, Standing] = {}
    for rule in rules.of_handoff(sort) if sort is not None else ():
        calendar = passing.sender if rule.calendar_of == "sender" else passing.addressee
        for one in standing([rule], passing.facts, ClockContext(calendar, calendar.zone), today, explain=explain):
            found[rule.id] = one
    return found


def _differ(
    case: str, handoff: str | None, before: Mapping[str, Standing], after: Mapping[str, Standing]
) -> list[Difference]:
    names = [*before, *(name for name in after if name not in before)]
    pairs = ((name, before.get(name), after.get(name)) for name in names)
    return [Difference(case, handoff, name, a, b) for name, a, b in pairs if _told(a) != _told(b)]


def _told(one: Standing | None) -> tuple[Any, ...] | None:
    """What a person would notice of a clock."""
    if one is None:
        return None
    run = one.run
    silence = None if one.silence is None else (one.silence.data["effect"], one.silence.date)
    return (run.state, run.due_on, run.effect, run.born_on, run.stopped_on, run.episodes, silence, one.follows)
