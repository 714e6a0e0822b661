"""What can be set in the file of a connector, field by field, those of the parts of its configuration too."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic.fields import FieldInfo

from connectors.kit.contract import ConnectorConfig
from connectors.kit.zones import FIELD, Zoned


class Told(NamedTuple):
    """One field."""

    name: str
    """As a path: `vanished.ledger`; `format[csv].delimiter` where a part may have several forms."""
    need: str
    """Whether it is needed, or its default."""
    about: str


def fields(model: type[ConnectorConfig], before: str = "") -> Iterator[Told]:
    """The fields, each followed by those of the part that it is."""
    for name, field in model.model_fields.items():
        if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1 and before:
            continue  # the form itself, which stands in the path
        zone = name == FIELD and issubclass(model, Zoned)
        yield Told(before + name, "as the head of the file says" if zone else _need(field), field.description or "")
        parts = list(_parts(field.annotation))
        for part in parts:
            yield from fields(part, f"{before}{name}{_form(part) if len(parts) > 1 else ''}.")


def _need(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, ConnectorConfig):
        return "optional"
    plain = default.value if isinstance(default, Enum) else default
    return "optional" if plain is None else f"default {plain!r}"


def _parts(annotation: Any) -> Iterator[type[ConnectorConfig]]:
    if isinstance(annotation, type) and issubclass(annotation, ConnectorConfig):
        yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)


def _form(part: type[ConnectorConfig]) -> str:
    """By what a part with several forms is told apart: the one value of a field of it, if there is such a field."""
    kinds = [get_args(f.annotation) for f in part.model_fields.values() if get_origin(f.annotation) is Literal]
    return next((f"[{one[0]}]" for one in kinds if len(one) == 1), "")
