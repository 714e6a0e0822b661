"""Steps of a journey as its definition names them: done, current, still to come, possible. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from schemas.definitions import Journey, Step
from schemas.rules import Trigger
from streams.engine.facts import Fact


class StepState(StrEnum):
    """Where a step stands."""

    DONE = "done"
    CURRENT = "current"
    TO_COME = "to_come"
    POSSIBLE = "possible"
    """It only happens if something triggers it."""


class StepView(NamedTuple):
    """One step, and since when (days since 1970-01-01) it is done or current."""

    step: Step
    state: StepState
    since: int | None


def steps(journey: Journey, facts: Iterable[Fact], ended: bool) -> list[StepView]:
    """Every step of a definition in its order, by the facts that a viewer may know.

    The first step that is to come is current where no other is, unless the journey has ended.
    """
    ordered = sorted(facts, key=lambda f: (f.date, f.moment, f.rank, f.key))
    found = [_view(step, ordered) for step in journey.steps]
    if ended or any(view.state is StepState.CURRENT for view in found):
        return found
    first = next((i for i, view in enumerate(found) if view.state is StepState.TO_COME), None)
    if first is not None:
        found[first] = found[first]._replace(state=StepState.CURRENT)
    return found


def _view(step: Step, facts: list[Fact]) -> StepView:
    """A potential step is done only once it has begun; one that is done begins again only in the file in which it began."""
    state = StepState.POSSIBLE if step.kind == "potential" else StepState.TO_COME
    since: int | None = None
    begun_in: bytes | None = None
    for fact in facts:
        ended = fact.type == "case.step-completed" and fact.data["step"] == step.id
        if ended or (_says(fact, step.done_by) and not (state is StepState.POSSIBLE and step.begun_by)):
            if state is not StepState.DONE:
                state, since = StepState.DONE, fact.date
        elif (
            _says(fact, step.begun_by) or (fact.type == "case.step-started" and fact.data["step"] == step.id)
        ) and not (state is StepState.CURRENT or (state is StepState.DONE and fact.case != begun_in)):
            state, since, begun_in = StepState.CURRENT, fact.date, fact.case
    return StepView(step, state, since)


def _says(fact: Fact, triggers: Iterable[Trigger]) -> bool:
    return any(
        fact.type == trigger.on and all(fact.data.get(field) in values for field, values in trigger.where.items())
        for trigger in triggers
    )
