"""Does a rule speak the language of the contract? Triggers name event types, fields and values that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, get_args

from schemas.models import MODELS
from schemas.rules import SILENCE, Clock, Effect, Trigger

_SILENCE = frozenset({"effect", "rule"})


def trigger_problems(trigger: Trigger) -> Iterator[str]:
    """What is wrong with one trigger: an unknown event type, a field that it has not, a value that the field never has."""
    if trigger.on == SILENCE:
        yield from (f"silence has no field {name!r}" for name in trigger.where if name not in _SILENCE)
        known = {effect.value for effect in Effect}
        yield from (f"there is no effect {value!r}" for value in trigger.where.get("effect", ()) if value not in known)
        return
    model = MODELS.get(trigger.on)
    if model is None:
        yield f"there is no event type {trigger.on!r}"
        return
    for name in (*trigger.where, *([trigger.date] if trigger.date else [])):
        if name not in model.model_fields:
            yield f"{trigger.on} has no field {name!r}"
    for name, values in trigger.where.items():
        allowed = _values(model.model_fields[name].annotation) if name in model.model_fields else set()
        if allowed:
            yield from (
                f"{trigger.on}.{name} is never {value!r}"
                for value in values
                if value is not None and value not in allowed
            )


def clock_problems(clock: Clock) -> Iterator[str]:
    """What is wrong with the triggers of a clock."""
    for trigger in (*clock.starts, *clock.stops, *clock.reopens):
        yield from trigger_problems(trigger)
    for modifier in clock.modifiers:
        for name in ("asks", "supplies", "begins", "ends", "on", "until", "of"):
            for trigger in getattr(modifier, name, ()):
                yield from (f"{modifier.op}: {problem}" for problem in trigger_problems(trigger))


def fact_problems(type_: str, data: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a payload written by hand: a field that the type has not, a value that it never has."""
    model = MODELS.get(type_)
    if model is None:
        yield f"there is no event type {type_!r}"
        return
    for name, value in data.items():
        if name not in model.model_fields:
            yield f"{type_} has no field {name!r}"
        elif (
            (allowed := _values(model.model_fields[name].annotation))
            and isinstance(value, str)
            and value not in allowed
        ):
            yield f"{type_}.{name} is never {value!r}"


def _values(annotation: Any) -> set[str]:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {str(member.value) for member in annotation}
    return {value for part in get_args(annotation) for value in _values(part)}
