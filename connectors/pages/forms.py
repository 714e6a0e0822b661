"""Forms made from the contract: the fields of a kind of fact as inputs, and what was typed as an event."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin

from connectors.gateway.problems import Flaw
from connectors.pages.facts import CHOICES, FIELDS, FLAW, FLAWS, PARTICULAR
from schemas.models import MODELS, Document, Envelope, Event, Visibility

Options = Sequence[tuple[str, str]]
Said = dict[str, str]
_LEFT_OUT = frozenset({"header", "type", "access_code"})
_WITH_VISIBILITY = frozenset({"case.opened", "handoff.sent"})
_OF_DOCUMENT = ("label", "type", "size", "sha256", "location", "until")
_FLAGS: Options = (("yes", "oui"), ("no", "non"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input of a form."""

    name: str
    label: str
    hint: str = ""
    kind: str = "text"
    """text, lines, day, whole, choice."""
    options: Options = ()
    required: bool = False
    group: str = ""
    """Title of the group to which it belongs."""


def inputs(type_: str, known: Mapping[str, Options]) -> list[Input]:
    """The inputs of a kind of fact; `known` gives the values that some fields may take here (bodies, steps, own facts)."""
    made = [_input(type_, "occurred_on", date, True, known)]
    for name, info in MODELS[type_].model_fields.items():
        kept = _bare(info.annotation)
        if name in _LEFT_OUT or kept is Envelope:
            continue
        if kept == tuple[Document, ...]:
            made += [_of_document(name, part) for part in _OF_DOCUMENT]
        else:
            made.append(_input(type_, name, kept, info.is_required(), known))
    if type_ in ("correction.linked", "correction.unlinked"):
        made.append(_input(type_, "references", tuple, True, known))
    if type_ in _WITH_VISIBILITY:
        made.append(_input(type_, "visibility", Visibility, False, known))
    return made


def _bare(annotation: Any) -> Any:
    """A type without `None` and without annotations."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(a for a in get_args(annotation) if a is not type(None))
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _input(type_: str, name: str, kept: Any, required: bool, known: Mapping[str, Options]) -> Input:
    label, hint = PARTICULAR.get((type_, name)) or FIELDS[name]
    options: Options = ()
    if name in known:
        kind, options = "choice", known[name]
    elif isinstance(kept, type) and issubclass(kept, Enum):
        kind, options = "choice", [(member.value, CHOICES[member.value]) for member in kept]
    elif kept is bool:
        kind, options = "choice", _FLAGS
    elif kept is tuple or get_origin(kept) is tuple:
        kind = "lines"
    else:
        kind = {date: "day", int: "whole"}.get(kept, "text")
    return Input(name=name, label=label, hint=hint, kind=kind, options=options, required=required)


def _of_document(name: str, part: str) -> Input:
    label, hint = FIELDS[part]
    kind = {"size": "whole", "until": "day"}.get(part, "text")
    group = FIELDS[name][0]
    return Input(name=f"{name}.{part}", label=label, hint=hint, kind=kind, group=group)


def data_of(type_: str, said: Said) -> dict[str, Any]:
    """What was typed as the fields of an event. What is empty is left out; what is of a wrong form stays as it is, to be refused."""
    data: dict[str, Any] = {}
    for field in inputs(type_, {}):
        text = said.get(field.name, "").strip().replace("\r\n", "\n")
        if not text:
            continue
        value = _value(MODELS[type_], field, text)
        if "." in field.name:
            group, _, part = field.name.partition(".")
            data.setdefault(group, [{}])[0][part] = value
        else:
            data[field.name] = value
    return data


def _value(model: type[Event], field: Input, text: str) -> Any:
    if field.kind == "lines":
        return [line.strip() for line in text.split("\n") if line.strip()]
    if field.kind == "whole":
        return int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdecimal() and len(text) < 19 else text
    known = model.model_fields.get(field.name)
    if known is not None and _bare(known.annotation) is bool:
        return {"yes": True, "no": False}.get(text, text)
    return text


def errors_of(flaws: Sequence[Flaw], fields: Sequence[Input]) -> dict[str, str]:
    """What is to be mended, by input; what fits none is told of the first."""
    names = {field.name for field in fields}
    found: dict[str, str] = {}
    for flaw in flaws:
        name = flaw.field.removeprefix("data.").replace("[0]", "").partition("[")[0]
        name = {"subject": "number", "type": "occurred_on"}.get(name, name)
        place = name if name in names else next((n for n in names if n.startswith(f"{name}.")), fields[0].name)
        found.setdefault(place, FLAWS.get(flaw.code, FLAW))
    return found
