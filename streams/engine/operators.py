"""The operators of clocks: what each kind of fact does to a running one.

Every handler has the same form, `(running, fact, day, operator) -> bool`: `day` is the legal date of the fact for this
rule, `False` means that the fact says nothing to this operator. None raises, whatever the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schemas.rules import Birth, Effect
from streams.engine.clocktypes import ClockFact, Op
from streams.engine.counting import Part, Unit
from streams.engine.lengths import Counted
from streams.engine.running import LONGEST, Pause, Running, day_of

__all__ = ["Counted", "Operator", "Running"]


class Operator(NamedTuple):
    """The parameters of one modifier; each operator reads its own."""

    place: int
    articles: tuple[str, ...]
    within: tuple[Part, ...]
    pieces: frozenset[str]
    user_limit: tuple[Part, ...]
    unsupplied: Effect | None
    birth: Birth
    effect: Effect | None
    maximum: tuple[Part, ...]
    min_remaining: tuple[Part, ...]
    once: bool
    causes: Mapping[str, tuple[bool, tuple[Part, ...]]]
    open: bool
    before_end: bool
    cumulate: bool
    due: str | None
    waits: bool
    ignored: bool
    length: tuple[Part, ...]


def start(run: Running, fact: ClockFact, day: int, _: None) -> bool:
    """The clock starts, on the receipt that its rule names (CRPA L114-3: first or competent body)."""
    context, where = run.context, run.rule.starts_at
    elsewhere = context.received_first if where == "first-body" else context.received_competent
    if where != "own" and elsewhere is not None and elsewhere != day:
        if where == "first-body" and elsewhere > day:
            run.note(Op.ENDS_BEFORE_START, fact, (), own=day, first=elsewhere)
        else:
            run.note(Op.STARTED_ELSEWHERE, fact, (), own=day, day=elsewhere, whose=where)
            day = elsewhere
    run.begin(fact, day)
    run.note(Op.STARTED, fact, (), day=day)
    if run.early is not None:
        early, early_day = run.early
        run.note(Op.STOPPED_BEFORE_START, early, (), day=early_day, start=day)
        run.halt(early, day)
    return True


def started_already(run: Running, fact: ClockFact, day: int, _: None) -> bool:
    """A second start says nothing new: the first in fold order counts."""
    if fact.key != run.start_key:
        run.note(Op.ALREADY_STARTED, fact, ())
    return True


def before_start(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """A change to a clock that has not started has no effect."""
    run.note(Op.BEFORE_START, fact, operator.articles)
    return True


def after_stop(run: Running, fact: ClockFact, day: int, operator: Operator | None) -> bool:
    """Nothing but a reopening changes a stopped clock."""
    run.note(Op.AFTER_STOP, fact, ())
    return True


def stop_early(run: Running, fact: ClockFact, day: int, _: None) -> bool:
    """A stop before any start is remembered: a later start finds the clock stopped at once."""
    if run.early is None:
        run.early = (fact, day)
    return True


def stop(run: Running, fact: ClockFact, day: int, _: None) -> bool:
    """The clock stops; if it had run out before, silence had its effect and keeps it."""
    if run.start is not None and day < run.start:
        run.note(Op.STOPPED_BEFORE_START, fact, (), day=day, start=run.start)
        day = run.start
    late = run.due is not None and day > run.due
    if late and run.ends_with_effect():
        run.lapse()
        run.note(Op.STOPPED_LATE, fact, (), day=day, due=run.due, born=run.took_on, effect=run.took and run.took.value)
    else:
        run.note(Op.STOPPED, fact, (), day=day)
    run.halt(fact, day)
    return True


def reopen(run: Running, fact: ClockFact, day: int, _: None) -> bool:
    """A reopened case has the whole time again."""
    run.note(Op.REOPENED, fact, (), day=day)
    run.again(day)
    return True


def _asked_in_time(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    if operator.within and run.origin is not None:
        last = run.count(run.origin, operator.within)
        if day > last:
            run.note(Op.ASKED_LATE, fact, operator.articles, last=last)
            return False
    if fact.data.get("listed") is False:
        run.note(Op.ASKED_UNLISTED, fact, operator.articles)
        return False
    asked = fact.data.get("pieces")
    if (
        operator.pieces
        and isinstance(asked, (list, tuple))
        and asked
        and not operator.pieces.intersection(map(str, asked))
    ):
        run.note(Op.ASKED_UNLISTED, fact, operator.articles)
        return False
    return True


def ask_restart(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """A valid request for pieces: the clock waits for the person. A later valid request replaces it (R*423-40)."""
    if run.is_over(fact, day, operator.articles) or not _asked_in_time(run, fact, day, operator):
        return True
    limit = run.count(day, operator.user_limit) if operator.user_limit else None
    run.wait(day, limit, operator.unsupplied, "applicant", operator.place)
    run.unsupplied_birth = operator.birth
    run.note(Op.ASKED, fact, operator.articles, limit=limit, effect=operator.unsupplied and operator.unsupplied.value)
    return True


def supply_restart(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """The file is complete: the clock starts anew, whole, from the receipt of the last piece."""
    if run.waiting_since is None or run.waiter != operator.place:
        run.note(Op.SUPPLIED_UNASKED, fact, operator.articles)
        return True
    if run.wait_limit is not None and day > run.wait_limit and run.unsupplied is not None:
        run.note(Op.SUPPLIED_LATE, fact, operator.articles, limit=run.wait_limit, effect=run.unsupplied.value)
        return True
    run.pause_from(run.waiting_since, day)
    run.restart(day)
    run.note(Op.SUPPLIED, fact, operator.articles, day=day)
    return True


def ask_bounded(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """A request with a limit suspends until that limit, or until the pieces come (CRPA L114-5)."""
    if run.is_over(fact, day, operator.articles) or not _asked_in_time(run, fact, day, operator):
        return True
    limit = day_of(fact.data.get("due_on"))
    if limit is None:
        run.note(Op.ASKED_WITHOUT_LIMIT, fact, operator.articles)
        return True
    if limit <= day:
        run.note(Op.LIMIT_BEFORE_REQUEST, fact, operator.articles, limit=limit)
        return True
    since = max([day, *(pause.last for pause in run.pauses if pause.bounded and pause.last is not None)])
    if since >= limit:
        run.note(Op.SUSPENDED_AGAIN, fact, operator.articles, limit=limit)
        return True
    run.pauses.append(Pause(since, limit, bounded=True, articles=operator.articles))
    run.note(Op.ASKED, fact, operator.articles, limit=limit, effect=None)
    return True


def supply_bounded(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """The pieces have come: a suspension that still runs ends that day."""
    open_pauses = [pause for pause in run.pauses if pause.bounded and pause.last is not None and pause.last > day]
    if not open_pauses:
        run.note(Op.SUPPLIED_UNASKED, fact, operator.articles)
        return True
    for pause in open_pauses:
        if pause.first >= day:
            run.pauses.remove(pause)
        else:
            pause.last = day
    run.note(Op.SUPPLIED, fact, operator.articles, day=day)
    return True


def suspend(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """The clock stands still. Suspensions that overlap count once: it goes on when the last has ended."""
    if run.is_over(fact, day, operator.articles):
        return True
    cause = str(fact.data.get("cause") or "")
    current = run.open_pause(day)
    if current is not None:
        run.open_causes.add(cause)
        until = day_of(fact.data.get("until"))
        if current.last is not None:
            current.last = max(current.last, until) if until is not None else None
        run.note(Op.SUSPENDED_AGAIN, fact, operator.articles, cause=cause)
        return True
    if operator.once and any(pause.operator == operator.place for pause in run.pauses):
        run.note(Op.SUSPENDED_ONCE_ONLY, fact, operator.articles, cause=cause)
        return True
    last = day_of(fact.data.get("until"))
    if operator.maximum:
        longest = run.count(day, operator.maximum)
        last = longest if last is None else min(last, longest)
    if last is not None and last <= day:
        run.note(Op.LIMIT_BEFORE_REQUEST, fact, operator.articles, limit=last)
        return True
    run.open_causes = {cause}
    run.pauses.append(
        Pause(day, last, operator=operator.place, least=operator.min_remaining, articles=operator.articles)
    )
    run.note(Op.SUSPENDED, fact, operator.articles, cause=cause, until=last)
    return True


def resume(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """A suspension ends; one resumption without a cause ends them all."""
    current = run.open_pause(day)
    if current is None:
        run.note(Op.RESUMED_UNSUSPENDED, fact, operator.articles)
        return True
    cause = fact.data.get("cause")
    if isinstance(cause, str) and cause in run.open_causes and len(run.open_causes) > 1:
        run.open_causes.discard(cause)
        run.note(Op.RESUMED_PARTLY, fact, operator.articles, cause=cause)
        return True
    run.open_causes = set()
    current.last = day
    run.floor = day
    run.note(Op.RESUMED, fact, operator.articles, day=day)
    return True


def _own_change(fact: ClockFact) -> tuple[tuple[Part, ...], int | None]:
    """The length, or the date, that an extension states itself; bad data gives neither."""
    count, name, due = fact.data.get("length"), fact.data.get("unit"), day_of(fact.data.get("due_on"))
    if isinstance(count, int) and not isinstance(count, bool) and 0 < count <= LONGEST and name in set(Unit):
        return (Part(count, Unit(str(name))),), due
    return (), due


def extend(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """A longer limit, if the person was told in time; of several that do not add up the longest counts."""
    cause = str(fact.data.get("cause") or "")
    change = operator.causes.get(cause) or operator.causes.get("*")
    own_due: int | None = None
    if change is None and operator.open:
        own, own_due = _own_change(fact)
        change = (False, own) if own else None
    if change is None and own_due is None:
        return False
    if run.is_over(fact, day, operator.articles):
        return True
    last = run.count(run.origin, operator.within) if operator.within and run.origin is not None else None
    if last is not None and day > last:
        run.note(Op.EXTENDED_LATE, fact, operator.articles, last=last)
        return True
    if operator.before_end and run.due is not None and day > run.due:
        run.note(Op.EXTENDED_LATE, fact, operator.articles, last=run.due)
        return True
    if change is None:
        if run.due is not None and own_due is not None and own_due <= run.due:
            run.note(Op.EXTENDED_SHORTER, fact, operator.articles, cause=cause)
        else:
            run.fixed = own_due
            run.note(Op.EXTENDED, fact, operator.articles, cause=cause, due=own_due)
        return True
    counted = run.lengthen(operator.place, change, cumulate=operator.cumulate)
    op = Op.EXTENDED if counted else Op.EXTENDED_SHORTER
    run.note(op, fact, operator.articles, cause=cause, sets=change[0], length=_words(change[1]))
    return True


def _words(parts: tuple[Part, ...]) -> tuple[tuple[int, str], ...]:
    return tuple((part.number, part.unit.value) for part in parts)


def replace(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """A new date or a new limit takes the place of the running one, if told before its end."""
    if run.is_over(fact, day, operator.articles):
        return True
    if operator.before_end and run.due is not None and day > run.due:
        run.note(Op.REPLACED_LATE, fact, operator.articles, last=run.due)
        return True
    if operator.due is None:
        run.restart(day)
        run.note(Op.REPLACED, fact, operator.articles, day=day)
        return True
    due = day_of(fact.data.get(operator.due))
    if due is None:
        return False
    run.fixed = due
    run.waiting_since = run.wait_limit = run.unsupplied = None
    run.note(Op.REPLACED, fact, operator.articles, due=due)
    return True


def interrupt(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """An act that starts the limit anew, at once or when it is answered, or one that a text says does not."""
    if operator.ignored:
        run.note(Op.INTERRUPTS_NOT, fact, operator.articles)
        return True
    if run.is_over(fact, day, operator.articles):
        return True
    if run.due is not None and day > run.due:
        run.note(Op.AFTER_END, fact, operator.articles, due=run.due)
        return True
    if operator.waits:
        run.wait(day, None, None, None, operator.place)
    else:
        run.restart(day)
    run.note(Op.INTERRUPTED, fact, operator.articles, day=day, waits=operator.waits)
    return True


def answered(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """The act that interrupted is answered: the whole limit again."""
    if run.waiting_since is None or run.waiter != operator.place:
        return False
    run.pause_from(run.waiting_since, day)
    run.restart(day)
    if operator.length:
        run.set_parts = operator.length
    run.note(Op.RESTARTED, fact, operator.articles, day=day)
    return True


def cap(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """The fact from which the longest time runs; only the first counts. Other operators see the fact as well."""
    if run.capped_at is None:
        run.capped_at = run.count(day, operator.length)
        run.cap_articles = operator.articles
    return True


def change_effect(run: Running, fact: ClockFact, day: int, operator: Operator) -> bool:
    """Silence means something else for this request. Other operators see the fact as well."""
    turned = None if operator.effect is None else (operator.effect, operator.birth, operator.articles)
    if operator.effect is not None and run.turned != turned:
        run.turned = turned
        run.note(Op.EFFECT_CHANGED, fact, operator.articles, effect=operator.effect.value)
    return True


BESIDE = frozenset({cap, change_effect})
"""Operators that leave a fact to the others as well."""
