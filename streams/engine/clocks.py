"""Run one clock over its facts: when it started, when it ends, what that means, and why.

`run` is pure: no wall clock, no input or output, no exception for bad data, the same answer for the same facts. What
depends on the present (is it overdue, has silence had its effect) is asked of the `ClockRun` with a day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.rules import Effect
from streams.engine.clocktypes import ClockContext, ClockFact, ClockRun, Line, Op, State
from streams.engine.counting import FIRST_DAY, LAST_DAY, FirstDay, Roll, midnight, to_date
from streams.engine.lengths import end_of
from streams.engine.operators import BESIDE, stop
from streams.engine.rules import Action, ClockRule, JourneyRules, compile_journey, in_force
from streams.engine.running import Running, day_of

__all__ = [
    "ClockContext",
    "ClockFact",
    "ClockRule",
    "ClockRun",
    "JourneyRules",
    "Line",
    "Op",
    "State",
    "compile_journey",
    "run",
]


UNDATED = frozenset({Effect.BARRED, Effect.LAPSED, Effect.DEEMED_COMPLETE, Effect.TAKEN_OVER})
"""Effects that only begin when the time is over: no decision is born, so the law names no day for one."""


def run(rule: ClockRule, facts: Sequence[ClockFact], context: ClockContext, explain: bool = False) -> ClockRun | None:
    """Fold `facts` (in fold order, effective ones of one case or one handoff) under `rule`.

    `None` if no fact starts the clock, or if it started when the rule was not in force (with `explain`, a run in state
    `not-started` whose derivation says why). See `ClockRun` for the answer.
    """
    if not explain:
        starts = rule.start_types
        for fact in facts:
            if fact.type in starts:
                break
        else:
            return None
    lines: list[Line] | None = [] if explain else None
    state = Running(rule, context, lines)
    table = rule.starting
    for fact in facts:
        actions = table.get(fact.type)
        if actions is None:
            continue
        if not FIRST_DAY <= fact.date <= LAST_DAY:
            state.note(Op.DATE_ABSURD, fact, ())
            continue
        _step(state, fact, actions)
        if state.start is not None:
            table = rule.running if state.stopped is None else rule.stopped
    origin = state.origin
    if origin is None or not in_force(rule, origin):
        if lines is None:
            return None
        if origin is not None:
            state.note(Op.NOT_IN_FORCE, None, (), day=origin, first=rule.valid_from, last=rule.valid_to)
        return _not_started(rule, tuple(lines))
    if lines is not None:
        _explain_end(state)
    return _result(state)


def _matches(where: tuple[tuple[str, tuple[Any, ...]], ...], data: Mapping[str, Any]) -> bool:
    for name, values in where:  # noqa: SIM110  # a plain loop: this runs for every fact
        if data.get(name) not in values:
            return False
    return True


def _step(state: Running, fact: ClockFact, actions: tuple[Action, ...]) -> None:
    breach = state.breach_on() if state.stopped is None and state.waiting_for is None else None
    warns = state.warns() if breach is not None and state.rule.warn is not None else ()
    before, fresh, understood, handled = state.due, state.start is None, False, False
    data, day = fact.data, fact.date
    for where, field, shift, handle, what in actions:
        if where and not _matches(where, data):
            continue
        stated = None if field is None else day_of(data.get(field))
        day = (fact.date if stated is None else stated) + shift
        if handle is stop and state.lines is not None:
            _explain_count(state)
        if handle(state, fact, day, what):
            handled = True
            if handle not in BESIDE:
                break
        else:
            understood = True
    if not handled:
        if understood:
            state.note(Op.CAUSE_UNKNOWN, fact, (), cause=str(data.get("cause") or ""))
        return
    if state.stopped is None or fresh:
        state.settle()
        if state.due != before and state.stopped is None and state.lines is not None:
            state.lines.append(Line(Op.DUE, fact.date, fact.key, (), (("due", state.due),)))
    if breach is not None and day >= breach and (state.stopped is not None or state.due is None or state.due >= day):
        state.episodes.append((breach, day))
    if (
        warns
        and breach is not None
        and (state.stopped is not None or state.due != before or state.waiting_for is not None)
    ):
        state.end_warnings(warns, breach, day)


def _explain_end(state: Running) -> None:
    if state.due is None or state.stopped is not None:
        return
    _explain_count(state)
    if state.ends_with_effect():
        articles = state.turned[2] if state.turned is not None and state.waiting_since is None else ()
        effect = state.effect()
        born = None if effect in UNDATED else state.born_on()
        state.note(Op.BIRTH, None, articles, due=state.due, born=born, effect=effect.value)


def _explain_count(state: Running) -> None:
    """Lines that count the present end, step by step, from the last start."""
    if state.start is None or state.due is None:
        return
    calendar = state.context.calendar
    if state.waiting_since is None and state.fixed is None:
        counted = state.counted()
        plain = counted._replace(franc=False, roll=Roll.NONE)
        end = end_of(state.start, plain, calendar)
        length = tuple((part.number, part.unit.value) for part in counted.parts)
        first_day = counted.first_day is FirstDay.COUNTED
        if counted.ahead:
            state.note(Op.COUNTED, None, (), start=state.start, length=length, end=end, first_day=first_day)
        else:
            state.note(Op.COUNTED_BACK, None, (), start=state.start, length=length, end=end, weekday=counted.back_to)
        if counted.franc:
            end = end_of(state.start, counted._replace(roll=Roll.NONE), calendar)
            state.note(Op.FRANC, None, (), end=end)
        if not state.pauses and counted.roll is not Roll.NONE:
            final = end_of(state.start, counted, calendar)
            if final != end:
                holiday = calendar.holiday(to_date(end))
                state.note(Op.ROLLED, None, (), end=end, due=final, roll=counted.roll.value, holiday=holiday)
    state.settle(explain=True)


def _not_started(rule: ClockRule, lines: tuple[Line, ...]) -> ClockRun:
    return ClockRun(
        rule=rule.id,
        start=None,
        origin_on=None,
        started_on=None,
        due_on=None,
        due_at=None,
        breach_on=None,
        state=State.NOT_STARTED,
        waiting_for=None,
        effect=rule.effect,
        born_on=None,
        took_effect=None,
        took_on=None,
        stopped_on=None,
        stop=None,
        pauses=(),
        episodes=(),
        derivation=lines,
    )


def _result(state: Running) -> ClockRun:
    due = state.due
    if state.stopped is not None:
        situation = State.STOPPED
    elif state.waiting_since is not None:
        situation = State.WAITING
    else:
        situation = State.PAUSED if due is None else State.RUNNING
    pauses = state.waited
    if state.pauses:
        pauses = [*pauses, *((pause.first, pause.last) for pause in state.pauses)]
    if state.waiting_since is not None:
        pauses = [*pauses, (state.waiting_since, None)]
    breach = None if due is None else max(due + 1, state.floor)
    return ClockRun(
        state.rule.id,
        state.start_key,
        state.origin,
        state.start,
        due,
        None if breach is None else midnight(breach, state.context.zone),
        breach,
        situation,
        state.waiting_for,
        state.effect(),
        state.born_on(),
        state.took,
        state.took_on,
        state.stopped,
        state.stop,
        tuple(pauses),
        tuple(state.episodes),
        tuple(state.lines) if state.lines is not None else (),
        tuple(state.warned),
        state.warns() if state.rule.warn is not None else (),
    )
