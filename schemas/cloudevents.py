"""Events at the HTTP edge: CloudEvents 1.0, structured JSON.

{"specversion": "1.0", "id": …, "source": "body/system", "type": "fr.relais.case.opened", "subject": "case:…", "time":
RFC 3339 with the local offset, "datacontenttype": "application/json", "traceparent": …, "data": {"occurred_on": …,
"references": […], …further header fields, …fields of the type}}

`time` is `occurred_at`; `occurred_on` may be left out where `time` has a local offset (`Z` does not say the local
date). Who attests is not said by the sender: the edge that took the event adds it (extension attribute `attestedby` on
the way out).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import ValidationError

from schemas.models import ANY_EVENT, MODELS, AnyEvent, Attestation, Event, Header
from schemas.problems import Problem, ProblemCode, UnsoundEventError

Named = Callable[[str], str]
"""How a path in the datum is told to whoever sent it."""
PREFIX = "fr.relais."
"""What precedes the name of an event in the attribute `type`."""
MEDIA_TYPE = "application/cloudevents+json"
"""Media type of one event."""
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"
"""Media type of a list of events."""

_ATTRIBUTES = {
    "id": "id",
    "source": "source",
    "subject": "subject",
    "time": "occurred_at",
    "traceparent": "traceparent",
}
_OUTSIDE = {*_ATTRIBUTES, "specversion", "type", "datacontenttype", "dataschema", "attestedby", "data"}
_IN_DATA = [n for n in Header.model_fields if n not in _ATTRIBUTES.values() and n != "attested_by"]
_SAID = frozenset(Header.model_fields) - {"id", "source", "attested_by"}
_ATTRIBUTE_OF = {field: attribute for attribute, field in _ATTRIBUTES.items()}

_NAME = re.compile(r"[A-Za-z_]{1,40}")

_CODES = {"missing": ProblemCode.MISSING_FIELD, "extra_forbidden": ProblemCode.UNKNOWN_FIELD}
_MENDS = {
    "missing": "this field is mandatory",
    "extra_forbidden": "this type has no such field: remove it or correct its name",
    "string_type": "write a text",
    "int_type": "write a whole number, without quotes",
    "less_than": "write a smaller number",
    "greater_than_equal": "write a greater number",
    "bool_type": "write true or false, without quotes",
    "tuple_type": "write a list",
    "model_type": "write an object",
}


def parse(message: object, *, attested_by: Attestation = Attestation.GATEWAY) -> AnyEvent:
    """The event of a decoded JSON value. Raises `UnsoundEventError` naming fields as the sender wrote them."""
    if not isinstance(message, dict):
        raise _refuse(ProblemCode.NOT_AN_EVENT, "", "send a JSON object in CloudEvents 1.0 structured form")
    if message.get("specversion") != "1.0":
        raise _refuse(ProblemCode.NOT_AN_EVENT, "specversion", 'write "specversion": "1.0"')
    model = _model(message.get("type"))
    data = message.get("data", {})
    if not isinstance(data, dict):
        raise _refuse(ProblemCode.WRONG_TYPE, "data", "write an object")
    unknown = sorted(str(name) for name in set(message) - _OUTSIDE)
    if unknown:
        known = "id, source, type, subject, time, datacontenttype, traceparent, data"
        field = unknown[0] if _NAME.fullmatch(unknown[0]) else ""
        raise _refuse(ProblemCode.UNKNOWN_FIELD, field, f"an event has the attributes {known}: remove any other")
    if message.get("datacontenttype", "application/json") != "application/json":
        raise _refuse(ProblemCode.NOT_AN_EVENT, "datacontenttype", "data is application/json")
    try:
        return ANY_EVENT.validate_python(_record(message, data, attested_by, model))
    except ValidationError as error:
        raise _unsound(error, _message_field) from None


def from_fields(
    name: str, fields: Mapping[str, Any], *, source: str, id_: str, attested_by: Attestation = Attestation.GATEWAY
) -> AnyEvent:
    """The event of a type; fields of its header and its own lie beside each other under the names of the catalog.

    Raises `UnsoundEventError` naming fields so.
    """
    if name not in MODELS:
        raise _refuse(ProblemCode.UNKNOWN_TYPE, "type", "write one of the types of the catalog, such as case.opened")
    header: dict[str, Any] = {"id": id_, "source": source, "references": []}
    payload: dict[str, Any] = {}
    for field, value in fields.items():
        (header if field in _SAID else payload)[field] = value
    try:
        return ANY_EVENT.validate_python(_joined(name, header, payload, attested_by, catalog_field))
    except ValidationError as error:
        raise _unsound(error, catalog_field) from None


def render(event: Event) -> dict[str, Any]:
    """The event as a JSON value that `parse` reads; fields that are absent are left out."""
    header = event.header.model_dump(mode="json", exclude_none=True)
    name = MODELS_BACK[type(event)]
    message: dict[str, Any] = {"specversion": "1.0", "type": PREFIX + name}
    message |= {attribute: header[field] for attribute, field in _ATTRIBUTES.items() if field in header}
    payload = event.model_dump(mode="json", exclude_none=True, exclude={"header", "type"})
    message |= {"attestedby": header["attested_by"], "datacontenttype": "application/json"}
    return message | {"data": {n: header[n] for n in _IN_DATA if n in header} | payload}


MODELS_BACK: dict[type[Event], str] = {model: name for name, model in MODELS.items()}
"""The event type of each model."""


def outer_field(field: str) -> str:
    """The path of a field of the datum (as `schemas.checks` names it) in the CloudEvents form."""
    if not field:
        return ""
    if not field.startswith("header."):
        return f"data.{field}"
    name = field.removeprefix("header.")
    return _ATTRIBUTE_OF.get(name, f"data.{name}")


def catalog_field(field: str) -> str:
    """The path of a field of the datum by its name in the catalog alone, whether of the header or not."""
    return field.removeprefix("header.")


def _refuse(code: ProblemCode, field: str, mend: str) -> UnsoundEventError:
    return UnsoundEventError([Problem(code, field, mend)])


def _model(name: object) -> type[Event]:
    if isinstance(name, str) and name.startswith(PREFIX):
        model = MODELS.get(name.removeprefix(PREFIX))
        if model is not None:
            return model
    raise _refuse(ProblemCode.UNKNOWN_TYPE, "type", f"write {PREFIX}<family>.<event>, one of the types of the catalog")


def _record(
    message: dict[str, Any], data: dict[str, Any], attested_by: Attestation, model: type[Event]
) -> dict[str, Any]:
    """Take the flat form apart into header and payload."""
    header: dict[str, Any] = {field: message[name] for name, field in _ATTRIBUTES.items() if name in message}
    header |= {name: data[name] for name in _IN_DATA if name in data}
    header.setdefault("references", [])
    payload = {name: value for name, value in data.items() if name not in _IN_DATA}
    return _joined(MODELS_BACK[model], header, payload, attested_by, _message_field)


def _joined(
    name: str, header: dict[str, Any], payload: dict[str, Any], attested_by: Attestation, named: Named
) -> dict[str, Any]:
    """What the model of a type validates; `occurred_on` of the instant where it is left out."""
    header["attested_by"] = attested_by
    moment = header.get("occurred_at")
    if "occurred_on" not in header and isinstance(moment, str) and not moment.endswith("Z"):
        header["occurred_on"] = moment[:10]
    for reserved in ("header", "type"):
        if reserved in payload:
            raise _refuse(ProblemCode.UNKNOWN_FIELD, named(reserved), _MENDS["extra_forbidden"])
    return {"type": name, "header": header, **payload}


def _message_field(path: str) -> str:
    return outer_field(path) or "data"


def _unsound(error: ValidationError, named: Named) -> UnsoundEventError:
    return UnsoundEventError([_problem(e["loc"], e["type"], e.get("ctx", {}), named) for e in error.errors()])


def _problem(loc: tuple[int | str, ...], kind: str, context: dict[str, Any], named: Named) -> Problem:
    """A problem in the sender's terms; an unknown name is repeated only if it can be a name."""
    code = _CODES.get(kind, ProblemCode.WRONG_TYPE)
    parts = list(loc[1:])
    if code is ProblemCode.UNKNOWN_FIELD and not _NAME.fullmatch(str(parts[-1])):
        parts.pop()
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).removeprefix(".")
    field = named(path)
    mend = _MENDS.get(kind)
    if kind in ("enum", "literal_error"):
        mend = f"write one of {context['expected']}"
    elif kind == "value_error":
        mend = str(context["error"])
    if path == "header.occurred_on" and code is ProblemCode.MISSING_FIELD:
        moment = named("header.occurred_at")
        mend = f"give {field}, or {moment} with its local offset (Z does not say the local date)"
    return Problem(code, field, mend or "write a value of the type that the catalog gives")


_COLLISIONS = set(_IN_DATA) & {name for m in get_args(get_args(AnyEvent)[0]) for name in m.model_fields}
assert not _COLLISIONS, "a payload field must not bear the name of a header field"
