"""What follows when silence has had its effect: the clocks that it starts (withdrawal, appeal), and where a case then stands.

Nothing here is on the bus, since it changes with the hour: whoever answers a question works it out for a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas.rules import APPLICANT, SILENCE, Effect
from streams.engine import clocks
from streams.engine.clocktypes import ClockContext, ClockFact, ClockRun
from streams.engine.rules import ENDS_OF_RIGHTS, IMPLIED, ClockRule
from streams.engine.silence import Opposability, Silence, opposability, took_effect, with_silence

OF_SILENCE = IMPLIED - ENDS_OF_RIGHTS
"""Effects that silence has; the others only end somebody's time."""
DECIDES = frozenset({Effect.REFUSED, Effect.OPPOSED, Effect.CONFIRMED})
"""Effects against which the person may appeal."""


class Standing(NamedTuple):
    """One clock of a case on a day."""

    rule: ClockRule
    run: ClockRun
    silence: Silence | None
    """The effect that silence has had under it."""
    follows: str | None
    """Id of the clock whose silence started this one; none for a clock that a fact started."""


def standing(
    rules: Iterable[ClockRule],
    facts: Sequence[ClockFact],
    context: ClockContext,
    today: int,
    *,
    explain: bool = False,
) -> list[Standing]:
    """Every clock of a case as it is known on `today` (days since 1970-01-01), those that silence started included.

    A clock that a fact starts as well is started by what came first; but the time to appeal starts again if an express decision
    comes while it runs (CJA R421-2).
    """
    rules = list(rules)
    found: list[Standing] = []
    silences: list[tuple[ClockRule, ClockRun, Silence]] = []
    waiting: list[tuple[ClockRule, ClockRun | None]] = []
    for rule in rules:
        run = clocks.run(rule, facts, context, explain)
        started = run if run is not None and run.start is not None else None
        if SILENCE in rule.start_types:
            waiting.append((rule, started))
            continue
        if started is None:
            continue
        silence = took_effect(started, today) if started.effect in OF_SILENCE or started.took_effect else None
        found.append(Standing(rule, started, silence, None))
        if silence is not None:
            silences.append((rule, started, silence))
    for rule, plain in waiting:
        chosen: Standing | None = Standing(rule, plain, None, None) if plain is not None else None
        for cause, before, silence in silences:
            run = clocks.run(rule, with_silence(facts, before, today), context, explain)
            if run is not None and run.start == silence.key and not _starts_again(rule, run, plain):
                chosen = Standing(rule, run, None, cause.id)
                break
        if chosen is not None:
            found.append(chosen)
    order = {rule.id: place for place, rule in enumerate(rules)}
    return sorted(found, key=lambda one: order[one.rule.id])


def _starts_again(rule: ClockRule, run: ClockRun, plain: ClockRun | None) -> bool:
    if rule.effect is not Effect.BARRED or rule.holder != APPLICANT or plain is None or plain.origin_on is None:
        return False
    return run.due_on is not None and plain.origin_on <= run.due_on


def withdrawable_until(standings: Iterable[Standing], effect_of: str) -> int | None:
    """Last day on which what the silence of one clock gave may be withdrawn, if a clock of the definition says so."""
    return next(
        (one.run.due_on for one in standings if one.follows == effect_of and is_withdrawal(one.rule)),
        None,
    )


def is_withdrawal(rule: ClockRule) -> bool:
    """Whether a clock bounds the time in which the body may take its decision back (CRPA L242-1, C. urb. L424-5)."""
    return rule.id.rpartition(".")[2] == "withdrawal"


def appeal(standings: Iterable[Standing], facts: Sequence[ClockFact]) -> Opposability | None:
    """Whether the time to appeal counts against the person; `None` before there is anything to appeal against."""
    silence = next(
        (one.silence for one in standings if one.silence is not None and one.silence.data["effect"] in DECIDES), None
    )
    decided = any(fact.type in ("case.decided", "case.notified") for fact in facts)
    return opposability(facts, silence) if decided or silence is not None else None
