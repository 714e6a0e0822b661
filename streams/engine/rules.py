"""Clocks compiled for the hot path: one dispatch by event type, no pydantic, no text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from schemas.definitions import Handoff, Journey
from schemas.rules import (
    Birth,
    Cap,
    ChangeEffect,
    Clock,
    Effect,
    Extend,
    Interrupt,
    Length,
    Modifier,
    Replace,
    RestartOnComplete,
    Suspend,
    SuspendBounded,
    Trigger,
)
from streams.engine import operators
from streams.engine.counting import FirstDay, Part, Roll, Unit, to_day
from streams.engine.lengths import Counted
from streams.engine.operators import Running
from streams.engine.warning import Levels

Handler = Callable[[Running, Any, int, Any], bool]


class Action(NamedTuple):
    """What to do on one type of fact: if the payload matches `where`, call `handle`."""

    where: tuple[tuple[str, tuple[Any, ...]], ...]
    field: str | None
    shift: int
    handle: Handler
    what: Any


_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
IMPLIED = frozenset(Effect) - {Effect.SERVICE_TARGET, Effect.NONE}
ENDS_OF_RIGHTS = frozenset({Effect.BARRED, Effect.LAPSED, Effect.DEEMED_NOTIFIED, Effect.DEEMED_COMPLETE})
Dispatch = dict[str, tuple[Action, ...]]


class ClockRule:
    """A clock ready to run. `starting` serves until it has started, `running` after, `stopped` once it is stopped."""

    __slots__ = (
        "alerts",
        "articles",
        "begins",
        "birth",
        "calendar_of",
        "clock",
        "counted",
        "effect",
        "holder",
        "id",
        "ignores_after_end",
        "kind",
        "last_warning",
        "origin_cap",
        "running",
        "scope",
        "start_types",
        "starting",
        "starts_at",
        "stopped",
        "types",
        "valid_from",
        "valid_to",
        "warn",
        "warn_names",
    )

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.id = clock.id
        self.scope = clock.scope
        self.kind = clock.kind
        self.articles = tuple(article.ref for article in clock.articles)
        self.calendar_of = clock.calendar_of
        self.holder = clock.holder
        self.effect = clock.effect
        self.alerts = clock.holder != "applicant" and clock.effect not in ENDS_OF_RIGHTS
        """Whether running out is for an agent to look at: not where it only ends the time that somebody else had."""
        self.starts_at = clock.starts_at
        self.birth = clock.birth
        self.ignores_after_end = (
            clock.after_end == "ignore" if clock.after_end else clock.effect in IMPLIED and clock.kind == "legal"
        )
        self.valid_from = to_day(clock.valid_from) if clock.valid_from else None
        self.valid_to = to_day(clock.valid_to) if clock.valid_to else None
        back = _WEEKDAYS.index(clock.back_to) if clock.back_to else None
        self.counted = Counted(
            parts(clock.length), clock.franc, Roll(clock.roll), FirstDay(clock.first_day), back, clock.backwards
        )
        self.warn = Levels(map(parts, clock.warn)) if clock.warn and self.alerts else None
        """How long before the end to warn, where a body has to act."""
        self.warn_names = tuple(f" warn {length}" for length in clock.warn) if self.alerts else ()
        """What tells the alerts of these levels apart."""
        self.last_warning = len(self.warn_names) - 1
        """The level next to the end; the schema has them from far to near."""
        self.origin_cap: tuple[tuple[Part, ...], tuple[str, ...]] | None = None
        modifiers: dict[str, list[Action]] = {}
        for index, modifier in enumerate(clock.modifiers):
            if isinstance(modifier, Cap) and not modifier.of:
                self.origin_cap = (parts(modifier.length), tuple(article.ref for article in modifier.articles))
            for trigger, handle in _modifier(modifier):
                _put(modifiers, trigger, handle, compiled(modifier, index), first=handle in operators.BESIDE)
        starts: dict[str, list[Action]] = {}
        early: dict[str, list[Action]] = {}
        stops: dict[str, list[Action]] = {}
        reopens: dict[str, list[Action]] = {}
        for trigger in clock.starts:
            _put(starts, trigger, operators.start, None)
        for trigger in clock.stops:
            _put(stops, trigger, operators.stop, None)
            _put(early, trigger, operators.stop_early, None)
        for trigger in clock.reopens:
            _put(reopens, trigger, operators.reopen, None)
        later = {name: [a._replace(handle=operators.started_already) for a in found] for name, found in starts.items()}
        idle = {name: [a._replace(handle=operators.before_start) for a in found] for name, found in modifiers.items()}
        after = {
            name: [a._replace(handle=operators.after_stop) for a in found]
            for name, found in (modifiers | stops).items()
        }
        self.starting = _join(starts, early, idle)
        self.running = _join(modifiers, stops, later)
        self.stopped = _join(reopens, after)
        self.begins = frozenset(starts)
        self.start_types = frozenset(starts)
        """Event types without one of which the clock cannot start."""
        self.types = frozenset(self.starting) | frozenset(self.running) | frozenset(self.stopped)


def parts(length: Length | None) -> tuple[Part, ...]:
    """A length as the counting module wants it; empty for none."""
    return tuple(Part(count, Unit(unit)) for count, unit in length.parts) if length else ()


def _put(into: dict[str, list[Action]], trigger: Trigger, handle: Handler, what: Any, *, first: bool = False) -> None:
    where = tuple((field, tuple(values)) for field, values in sorted(trigger.where.items()))
    actions = into.setdefault(trigger.on, [])
    actions.insert(0 if first else len(actions), Action(where, trigger.date, trigger.shift, handle, what))


def _join(*tables: dict[str, list[Action]]) -> Dispatch:
    names = {name for table in tables for name in table}
    return {name: tuple(action for table in tables for action in table.get(name, ())) for name in sorted(names)}


def _modifier(modifier: Modifier) -> list[tuple[Trigger, Handler]]:
    match modifier:
        case RestartOnComplete():
            pairs = [(modifier.asks, operators.ask_restart), (modifier.supplies, operators.supply_restart)]
        case SuspendBounded():
            pairs = [(modifier.asks, operators.ask_bounded), (modifier.supplies, operators.supply_bounded)]
        case Suspend():
            pairs = [(modifier.begins, operators.suspend), (modifier.ends, operators.resume)]
        case Extend():
            pairs = [(modifier.on, operators.extend)]
        case Replace():
            pairs = [(modifier.on, operators.replace)]
        case Interrupt():
            pairs = [(modifier.on, operators.interrupt), (modifier.until, operators.answered)]
        case Cap():
            pairs = [(modifier.of, operators.cap)]
        case ChangeEffect():
            pairs = [(modifier.on, operators.change_effect)]
    return [(trigger, handle) for triggers, handle in pairs for trigger in triggers]


def compiled(modifier: Modifier, index: int) -> operators.Operator:
    """The parameters of a modifier as the operators read them."""
    causes: Mapping[str, Any] = getattr(modifier, "causes", {})
    return operators.Operator(
        place=index,
        articles=tuple(article.ref for article in modifier.articles),
        within=parts(getattr(modifier, "within", None)),
        pieces=frozenset(getattr(modifier, "pieces", ())),
        user_limit=parts(getattr(modifier, "user_limit", None)),
        unsupplied=getattr(modifier, "unsupplied", None),
        birth=getattr(modifier, "unsupplied_birth", getattr(modifier, "birth", Birth.SAME_DAY)),
        effect=getattr(modifier, "effect", None),
        maximum=parts(getattr(modifier, "max", None)),
        min_remaining=parts(getattr(modifier, "min_remaining", None)),
        once=getattr(modifier, "once", False),
        causes={cause: (change.set is not None, parts(change.set or change.add)) for cause, change in causes.items()},
        open=getattr(modifier, "open", False),
        before_end=getattr(modifier, "before_end", False),
        cumulate=getattr(modifier, "cumulate", False),
        due=getattr(modifier, "due", None),
        waits=bool(getattr(modifier, "until", ())),
        ignored=getattr(modifier, "then", "") == "none",
        length=parts(getattr(modifier, "length", None)),
    )


class JourneyRules(NamedTuple):
    """The compiled clocks of one journey definition."""

    journey: Journey
    case: tuple[ClockRule, ...]
    handoffs: Mapping[str, tuple[ClockRule, ...]]
    """By id of the sort of handoff."""
    concerned: Mapping[str, tuple[ClockRule, ...]]
    """Clocks of a case that a type of fact may move."""

    def of_handoff(self, handoff: Handoff) -> tuple[ClockRule, ...]:
        """The clocks of one sort of handoff."""
        return self.handoffs.get(handoff.id, ())


def compile_journey(journey: Journey) -> JourneyRules:
    """Compile every clock of a definition once; keep the result by `journey.digest`."""
    promises = [clock for step in journey.steps if (clock := step.promise_clock()) is not None]
    named = {clock.id: ClockRule(clock) for clock in (*journey.clocks, *promises)}
    of_case = tuple(rule for rule in named.values() if rule.scope == "case")
    types = {type_ for rule in of_case for type_ in rule.types}
    return JourneyRules(
        journey,
        of_case,
        {
            handoff.id: (*map(ClockRule, handoff.limit_clocks()), *(named[clock] for clock in handoff.clocks))
            for handoff in journey.handoffs
        },
        {type_: tuple(rule for rule in of_case if type_ in rule.types) for type_ in sorted(types)},
    )


def in_force(rule: ClockRule, day: int) -> bool:
    """Whether a case that starts on `day` comes under this rule."""
    return (rule.valid_from is None or rule.valid_from <= day) and (rule.valid_to is None or day <= rule.valid_to)
