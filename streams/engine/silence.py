"""What silence does next: the derived fact that it had an effect, and whether appeal limits can be invoked.

Silence is an output of a clock, never a fact on the bus; clocks that follow from it (appeal, withdrawal) take it as if it
were one, dated as the law names the day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from schemas.rules import SILENCE
from streams.engine.clocktypes import ClockFact, ClockRun

PAPER_MENTIONS = ("received-on", "implied-date", "service", "missing-pieces", "silence-meaning")
ELECTRONIC_MENTIONS = ("received-on", "service", "silence-meaning", "implied-date")


class Silence(NamedTuple):
    """Silence had an effect. `key` is that of the clock's first fact, so that what it starts keeps its identity."""

    date: int
    key: bytes
    data: Mapping[str, Any]
    body: str = ""
    type: str = SILENCE


def took_effect(run: ClockRun, today: int) -> Silence | None:
    """The effect that silence has had by `today` under one clock, if any."""
    found = run.silence(today)
    if found is None or run.start is None:
        return None
    effect, day = found
    return Silence(day, run.start + b"/" + run.rule.encode(), {"effect": effect.value, "rule": run.rule})


def with_silence(facts: Sequence[ClockFact], run: ClockRun, today: int) -> Sequence[ClockFact]:
    """The facts, and the silence after those of its day or before, for the clocks that follow from it."""
    silence = took_effect(run, today)
    if silence is None:
        return facts
    place = sum(1 for fact in facts if fact.date <= silence.date)
    return [*facts[:place], silence, *facts[place:]]


def observed_late(run: ClockRun, admitted_at: int) -> bool:
    """Whether the start of the clock was learnt (ms since the epoch) after silence had already had its effect."""
    return run.due_at is not None and admitted_at >= run.due_at


def outlasts(opinion: ClockRun, decision: ClockRun) -> bool:
    """Whether a consulted body may still answer when the time to decide is over (C. urb. R*423-59: one month of one)."""
    ends = opinion.due_on is not None and decision.due_on is not None and opinion.due_on >= decision.due_on
    return ends and opinion.stopped_on is None and decision.stopped_on is None


class NotOpposable(StrEnum):
    """Why the time to appeal cannot be held against a person."""

    NOT_NOTIFIED = "not-notified"
    ROUTES_NOT_STATED = "routes-not-stated"
    NOT_ACKNOWLEDGED = "not-acknowledged"
    ACKNOWLEDGEMENT_INCOMPLETE = "acknowledgement-incomplete"
    UNKNOWN = "unknown"


class Opposability(NamedTuple):
    """Whether the time to appeal can be invoked, why not, and on what article that rests."""

    opposable: bool | None
    reason: NotOpposable | None
    articles: tuple[str, ...]


def opposability(facts: Sequence[ClockFact], silence: Silence | None) -> Opposability:
    """Whether the limit to appeal against what was decided, or against silence, can be invoked.

    An express decision: notified, with routes and times stated (CJA R421-5). Silence: acknowledged with the mentions
    (CRPA L112-6 on paper, L112-12 electronically). `None` where the facts do not say; a decision that counts on being
    opposable must say so.
    """
    if any(fact.type in ("case.decided", "case.notified") for fact in facts):
        return _of_decision(facts)
    return Opposability(None, None, ()) if silence is None else _of_silence(facts)


def _of_decision(facts: Sequence[ClockFact]) -> Opposability:
    decided = next((fact for fact in reversed(facts) if fact.type == "case.decided"), None)
    if not any(fact.type == "case.notified" for fact in facts):
        return Opposability(False, NotOpposable.NOT_NOTIFIED, ("CRPA L221-8", "CJA R421-5"))
    stated = decided.data.get("routes_stated") if decided is not None else None
    if stated is None:
        return Opposability(None, NotOpposable.UNKNOWN, ("CJA R421-5",))
    return Opposability(bool(stated), None if stated else NotOpposable.ROUTES_NOT_STATED, ("CJA R421-5",))


def _of_silence(facts: Sequence[ClockFact]) -> Opposability:
    opened = next((fact for fact in facts if fact.type == "case.opened"), None)
    electronic = opened is not None and opened.data.get("channel") == "electronic"
    article = ("CRPA L112-12",) if electronic else ("CRPA L112-6",)
    receipts = [fact for fact in facts if fact.type == "case.acknowledged" and fact.data.get("kind") == "receipt"]
    if not receipts:
        return Opposability(False, NotOpposable.NOT_ACKNOWLEDGED, article)
    mentions = receipts[0].data.get("mentions")
    if not isinstance(mentions, (list, tuple)):
        return Opposability(None, NotOpposable.UNKNOWN, article)
    missing = set(ELECTRONIC_MENTIONS if electronic else PAPER_MENTIONS) - set(map(str, mentions))
    return Opposability(not missing, NotOpposable.ACKNOWLEDGEMENT_INCOMPLETE if missing else None, article)
