"""One clock while its facts are folded: what it knows so far, and how its end follows from that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.rules import Birth, Effect
from streams.engine.clocktypes import ClockContext, ClockFact, Line, Op
from streams.engine.counting import Part, Roll, midnight, rolled, sane, to_date, to_day
from streams.engine.lengths import Counted, end_of, moved_by, summed
from streams.engine.warning import Warns, warnings

if TYPE_CHECKING:
    from streams.engine.rules import ClockRule

MOST_ADDITIONS = 32
LONGEST = 1200
"""Most units that a fact may add to a limit by itself."""


class Pause:
    """One time that does not count: from `first` to `last` (`None`: still open)."""

    __slots__ = ("articles", "bounded", "first", "last", "least", "operator")

    def __init__(
        self,
        first: int,
        last: int | None,
        *,
        bounded: bool = False,
        operator: int = -1,
        least: tuple[Part, ...] = (),
        articles: tuple[str, ...] = (),
    ) -> None:
        self.first = first
        self.last = last
        self.bounded = bounded
        self.operator = operator
        self.least = least
        self.articles = articles


def day_of(value: Any) -> int | None:
    """A date in a payload, or `None` for anything that is not a sensible one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and sane(value) else None


class Running:
    """The state of one clock. Handlers change it; `settle` works out the end that follows."""

    __slots__ = (
        "additions",
        "cap_articles",
        "capped_at",
        "context",
        "due",
        "early",
        "episodes",
        "fixed",
        "floor",
        "lines",
        "open_causes",
        "origin",
        "pauses",
        "rule",
        "set_parts",
        "start",
        "start_key",
        "stop",
        "stopped",
        "took",
        "took_on",
        "turned",
        "unsupplied",
        "unsupplied_birth",
        "wait_limit",
        "waited",
        "waiter",
        "waiting_for",
        "waiting_since",
        "warned",
        "warning",
    )

    def __init__(self, rule: ClockRule, context: ClockContext, lines: list[Line] | None) -> None:
        self.rule = rule
        self.context = context
        self.lines = lines
        self.origin: int | None = None
        self.start: int | None = None
        self.start_key: bytes | None = None
        self.early: tuple[ClockFact, int] | None = None
        self.due: int | None = None
        self.stopped: int | None = None
        self.stop: bytes | None = None
        self.floor = 0
        self.took: Effect | None = None
        self.took_on: int | None = None
        self.turned: tuple[Effect, Birth, tuple[str, ...]] | None = None
        """What silence means instead of what the rule says, how its day is named, and by which articles."""
        self.episodes: list[tuple[int, int]] = []
        self.warned: list[tuple[int, int, int]] = []
        self.waited: list[tuple[int, int | None]] = []
        self._clear()

    def _clear(self) -> None:
        self.pauses: list[Pause] = []
        self.open_causes: set[str] = set()
        self.additions: list[tuple[int, tuple[Part, ...]]] = []
        self.set_parts: tuple[Part, ...] | None = None
        self.fixed: int | None = None
        self.waiting_since: int | None = None
        self.wait_limit: int | None = None
        self.unsupplied: Effect | None = None
        self.unsupplied_birth = Birth.SAME_DAY
        self.waiting_for: str | None = None
        self.waiter = -1
        self.capped_at: int | None = None
        self.cap_articles: tuple[str, ...] = ()
        self.warning: dict[int, int] = {}
        """By level, since when a warning lasts that a later end has not ended."""

    def note(self, op: Op, fact: ClockFact | None, articles: tuple[str, ...], **params: Any) -> None:
        """Add a line to the derivation, if one is wanted; without articles it stands on those of the rule."""
        if self.lines is not None:
            date, key = (fact.date, fact.key) if fact is not None else (None, None)
            self.lines.append(Line(op, date, key, articles or self.rule.articles, tuple(sorted(params.items()))))

    def count(self, day: int, parts: tuple[Part, ...]) -> int:
        """Last day of a plain limit from `day`, neither franc nor moved."""
        return end_of(day, Counted(parts), self.context.calendar)

    def begin(self, fact: ClockFact, day: int) -> None:
        """First start."""
        self.origin = self.start = day
        self.start_key = fact.key

    def restart(self, day: int) -> None:
        """The whole limit again from `day`; additions already notified and suspensions still open stay."""
        self.start = day
        self.waiting_since = self.wait_limit = self.unsupplied = self.waiting_for = self.fixed = None
        still = [pause for pause in self.pauses if pause.last is None or pause.last > day]
        for pause in self.pauses:
            self.waited.append((pause.first, day if pause in still else pause.last))
        for pause in still:
            pause.first = day
        self.pauses = still

    def again(self, day: int) -> None:
        """A new life after a stop: nothing of the former one counts."""
        self.stopped = self.stop = None
        self.waited.extend((pause.first, pause.last) for pause in self.pauses)
        self._clear()
        self.origin = self.start = day
        self.floor = day

    def wait(self, day: int, limit: int | None, effect: Effect | None, who: str | None, waiter: int) -> None:
        """Stand until somebody else acts; `waiter` is the place of the operator that will say so."""
        self.waiter = waiter
        self.waiting_since, self.wait_limit, self.unsupplied, self.waiting_for = day, limit, effect, who

    def pause_from(self, first: int, last: int) -> None:
        """Remember a time of waiting, for those who look at the run."""
        self.waited.append((first, last))

    def open_pause(self, day: int) -> Pause | None:
        """The true suspension that is open on `day`, if any."""
        for pause in reversed(self.pauses):
            if not pause.bounded and (pause.last is None or pause.last > day):
                return pause
        return None

    def lengthen(self, index: int, change: tuple[bool, tuple[Part, ...]], *, cumulate: bool) -> bool:
        """Apply an addition or a new length. False if it changes nothing because a longer one already counts."""
        sets, parts = change
        assert self.start is not None
        if sets:
            longer = self.set_parts is None or self.count(self.start, parts) > self.count(self.start, self.set_parts)
            self.set_parts = parts if longer else self.set_parts
            return longer
        if self.set_parts is not None or len(self.additions) >= MOST_ADDITIONS:
            return False
        old = None if cumulate else next((entry for entry in self.additions if entry[0] == index), None)
        if old is not None:
            if self.count(self.start, parts) <= self.count(self.start, old[1]):
                return False
            self.additions.remove(old)
        self.additions.append((index, parts))
        return True

    def ends_with_effect(self) -> bool:
        """Whether running out means something in law."""
        return self.effect() not in (Effect.NONE, Effect.SERVICE_TARGET)

    def effect(self) -> Effect:
        """What running out means now: the rule's effect, what took its place, or that of a person who did not answer."""
        if self.waiting_since is not None and self.unsupplied is not None:
            return self.unsupplied
        return self.turned[0] if self.turned is not None else self.rule.effect

    def born_on(self) -> int | None:
        """The day that the law names for the effect."""
        if self.due is None:
            return None
        birth = self.rule.birth
        if self.waiting_since is not None and self.unsupplied is not None:
            birth = self.unsupplied_birth
        elif self.turned is not None:
            birth = self.turned[1]
        if birth is Birth.SAME_DAY:
            return self.due
        return self.due + 1 if birth is Birth.NEXT_DAY else self.start

    def breach_on(self) -> int | None:
        """First day on which the clock has run out."""
        return None if self.due is None else max(self.due + 1, self.floor)

    def warns(self) -> Warns:
        """Day and instant of each level of warning before the present end; empty if it does not run."""
        levels = self.rule.warn
        if levels is None or self.due is None or self.stopped is not None or self.waiting_for is not None:
            return ()
        found = warnings(self.due, levels, self.context)
        if self.warning or found[0][0] < (self.start or 0):
            zone, start = self.context.zone, self.start or 0
            days = [self.warning.get(level, max(day, start)) for level, (day, _) in enumerate(found)]
            return tuple((day, midnight(day, zone)) for day in days)
        return found

    def end_warnings(self, before: Warns, breach: int, day: int) -> None:
        """A fact of `day` changed the end: warnings that had begun end with it, unless the new end is as near."""
        self.warning = {}
        after = self.warns()
        for level, (first, _) in enumerate(before):
            if day < first:
                continue
            if after and after[level][0] <= day:
                self.warning[level] = first if day < breach else day
                if day >= breach:
                    self.warned.append((level, first, breach))
            else:
                self.warned.append((level, first, min(day, breach)))

    def lapse(self) -> None:
        """Silence has had its effect."""
        if self.took is None:
            self.took, self.took_on = self.effect(), self.born_on()

    def halt(self, fact: ClockFact, day: int) -> None:
        """Stop."""
        self.stopped, self.stop = day, fact.key
        for pause in self.pauses:
            if pause.last is None or pause.last > day:
                pause.last = max(day, pause.first)

    def is_over(self, fact: ClockFact, day: int, articles: tuple[str, ...]) -> bool:
        """Whether silence had its effect before `day`, so that nothing but a decision matters any more."""
        if self.rule.ignores_after_end and self.due is not None and day > self.due:
            self.note(Op.AFTER_END, fact, articles, due=self.due)
            return True
        return False

    def settle(self, *, explain: bool = False) -> None:
        """Work out the end from all that is known."""
        if self.start is None:
            return
        if self.waiting_since is not None:
            self.due = self._capped(self.wait_limit, explain=explain)
            return
        counted = self.counted()
        calendar = self.context.calendar
        if self.fixed is not None:
            due: int | None = self.fixed
        elif not self.pauses:
            due = end_of(self.start, counted, calendar)
        else:
            due = self._paused_end(counted, explain=explain)
        due = self._capped(due, explain=explain)
        if due is not None and due < self.start and counted.ahead:
            if explain:
                self.note(Op.ENDS_BEFORE_START, None, (), due=due, start=self.start)
            due = self.start
        self.due = due

    def counted(self) -> Counted:
        """The length that counts now: the rule's, with what was added, or what took its place."""
        rule = self.rule.counted
        if self.set_parts is not None:
            return rule._replace(parts=self.set_parts)
        if self.additions:
            return rule._replace(parts=summed(rule.parts, [parts for _, parts in self.additions]))
        return rule

    def _paused_end(self, counted: Counted, *, explain: bool) -> int | None:
        assert self.start is not None
        roll = counted.roll
        calendar = self.context.calendar
        raw = end_of(self.start, counted._replace(roll=Roll.NONE), calendar)
        units = {part.unit for part in counted.parts}
        for pause in sorted(self.pauses, key=lambda pause: pause.first):
            if pause.last is None:
                return None
            first, last = max(pause.first, self.start), max(pause.first, pause.last)
            if last <= first:
                continue
            moved = moved_by(raw, first, last, units, calendar)
            if explain:
                self.note(Op.PAUSE_COUNTED, None, pause.articles, first=first, last=last, due=moved)
            if pause.least:
                least = end_of(last, Counted(pause.least), calendar)
                if moved < least:
                    moved = least
                    if explain:
                        self.note(Op.MIN_REMAINING, None, pause.articles, due=least)
            raw = moved
        return to_day(rolled(to_date(raw), roll, calendar)) if roll is not Roll.NONE else raw

    def _capped(self, due: int | None, *, explain: bool) -> int | None:
        assert self.origin is not None
        limit, articles = self.capped_at, self.cap_articles
        if self.rule.origin_cap is not None:
            own = self.count(self.origin, self.rule.origin_cap[0])
            if limit is None or own < limit:
                limit, articles = own, self.rule.origin_cap[1]
        if limit is None or (due is not None and due <= limit):
            return due
        if explain:
            self.note(Op.CAPPED, None, articles, due=limit)
        return limit
