"""The OpenAPI 3.1 document of the gateway, made from the same models that check what comes in."""

from __future__ import annotations

from functools import cache
from typing import Any

from connectors.gateway.inbox import ACTIONS
from connectors.gateway.problems import MEDIA_TYPE as PROBLEM_TYPE
from connectors.gateway.problems import Trouble
from schemas.cloudevents import BATCH_MEDIA_TYPE, MEDIA_TYPE, PREFIX
from schemas.models import MODELS, Event, Header
from schemas.problems import ProblemCode

Json = dict[str, Any]

_ATTRIBUTES = {"id", "source", "subject", "occurred_at", "traceparent", "attested_by"}
_REF = "#/components/schemas/{model}"
_DAY: Json = {"type": ["string", "null"], "format": "date"}
_TEXT: Json = {"type": ["string", "null"]}
_STRING: Json = {"type": "string"}
_WORDS: Json = {"oneOf": [{"$ref": "#/components/schemas/Words"}, {"type": "null"}]}


@cache
def document(batch_events: int) -> Json:
    """The document. `batch_events`: events of a batch, at most."""
    components = _events() | _answers()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "relais",
            "version": "1",
            "summary": "State facts about cases, take handoffs, ask where a request is",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": _paths(batch_events),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": components,
            "responses": {
                name: {
                    "description": name,
                    "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
                for name in ("Problem",)
            },
        },
    }


def _events() -> Json:
    """A schema for each type of event in its CloudEvents form, and one for any of them."""
    found: Json = {}
    header = Header.model_json_schema(ref_template=_REF)
    found |= header.pop("$defs", {})
    shared = {n: s for n, s in header["properties"].items() if n not in _ATTRIBUTES}
    for name, model in sorted(MODELS.items()):
        payload = model.model_json_schema(ref_template=_REF)
        defs = payload.pop("$defs", {})
        found |= {n: s for n, s in defs.items() if n != "Header"}
        found[_title(name)] = _event(name, model, payload, shared)
    names = [_title(name) for name in sorted(MODELS)]
    found["AnyEvent"] = {
        "oneOf": [{"$ref": _REF.format(model=n)} for n in names],
        "discriminator": {
            "propertyName": "type",
            "mapping": {PREFIX + n: _REF.format(model=_title(n)) for n in sorted(MODELS)},
        },
    }
    return found


def _event(name: str, model: type[Event], payload: Json, shared: Json) -> Json:
    own = {n: s for n, s in payload["properties"].items() if n not in ("header", "type")}
    required = [n for n in payload.get("required", []) if n not in ("header", "type")]
    return {
        "type": "object",
        "description": (model.__doc__ or "").strip(),
        "additionalProperties": False,
        "required": ["specversion", "id", "source", "type", "subject", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/@+~=-]{0,127}$"},
            "source": {"type": "string", "description": "body/system"},
            "type": {"const": PREFIX + name},
            "subject": {"type": "string", "description": "case:<body>/<number>, or body:<body>"},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "dataschema": {"type": "string"},
            "attestedby": {"type": "string", "description": "Not read: the gateway says who attests."},
            "traceparent": {"type": "string"},
            "data": {
                "type": "object",
                "additionalProperties": False,
                "required": required,
                "properties": shared | own,
            },
        },
    }


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.replace("-", ".").split("."))


def _object(properties: Json, *, optional: tuple[str, ...] = (), closed: bool = True) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": [n for n in properties if n not in optional],
        "additionalProperties": not closed,
    }


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Json:
    return {"$ref": _REF.format(model=name)}


def _answers() -> Json:
    body = _ref("Body")
    integer: Json = {"type": "integer"}
    flag: Json = {"type": "boolean"}
    contact = {"oneOf": [_ref("Contact"), {"type": "null"}]}
    strings = _list(_STRING)
    codes = sorted({c.value for c in ProblemCode})
    case = {
        "body": body, "state": _STRING, "neutral": flag, "case": _STRING, "handed": flag, "procedure": _TEXT, "place": _TEXT,
        "opened_on": _DAY, "since": _DAY, "outcome": _TEXT, "decided_on": _DAY, "notified_on": _DAY, "asked": strings, "asked_until": _DAY,
        "steps": _list(_object({"step": _STRING, "started_on": _DAY, "completed_on": _DAY})), "clocks": _list(_ref("Clock")),
        "opposability": {"oneOf": [_ref("Opposability"), {"type": "null"}]}, "conflicts": integer, "contact": contact,
    }  # fmt: skip
    record = {
        "handoff": _STRING, "from": body, "to": body, "kind": _STRING, "step": _TEXT, "reason": _TEXT, "procedure": _TEXT,
        "from_case": _STRING, "to_case": _TEXT, "state": _STRING, "sent_on": _DAY, "received_on": _DAY, "accepted_on": _DAY,
        "ended_on": _DAY, "result": _TEXT, "redirect_to": _TEXT, "due_on": _DAY,
        "limits": _list(_object({"rule": _STRING, "due_on": _DAY, "state": _STRING})),
        "documents": _list(_object({
            "label": _STRING, "type": _STRING, "size": integer, "sha256": _STRING, "location": _STRING, "until": _DAY,
        })),
        "loops": integer, "connected": flag, "contact": contact, "request_due_on": _DAY, "cursor": _STRING,
    }  # fmt: skip
    return {
        "Words": _object({"fr": _STRING, "en": _STRING}),
        "Body": _object({"id": _STRING, "name": _STRING}),
        "Contact": _object(
            {"service": _STRING, "phone": _STRING, "mail": _STRING, "hours": _STRING}, optional=("phone", "mail", "hours")
        ),
        "Clock": _object(
            {
                "rule": _STRING, "title": _WORDS, "kind": _STRING, "state": _STRING, "started_on": _DAY, "due_on": _DAY,
                "stopped_on": _DAY, "effect": _STRING, "follows": _TEXT,
                "silence": {"oneOf": [_ref("Silence"), {"type": "null"}]}, "articles": strings, "summary": _ref("Words"),
                "derivation": _list(_object({
                    "on": _DAY, "op": _STRING, "articles": strings, "text": _ref("Words"), "sentence": _ref("Words"),
                })),
            },
            optional=("title", "kind", "started_on", "stopped_on", "effect", "follows", "silence", "articles", "summary"),
        ),
        "Silence": _object({
            "effect": _STRING, "on": _DAY, "observed_late": flag, "withdrawable_until": _DAY, "words": _ref("Words"),
            "to_do": _WORDS,
        }),
        "Opposability": _object({
            "can_be_invoked": {"type": ["boolean", "null"]}, "why": _TEXT, "articles": strings, "words": _ref("Words"),
        }),
        "Case": _object(case, optional=tuple(n for n in case if n not in ("body", "state", "neutral"))),
        "Handoff": _object(record, optional=("request_due_on", "cursor")),
        "Passage": _object({
            "from": body, "to": body, "kind": _STRING, "step": _TEXT, "state": _STRING, "sent_on": _DAY, "since": _DAY,
            "due_on": _DAY, "record": {"oneOf": [_ref("Handoff"), {"type": "null"}]}, "clocks": _list(_ref("Clock")),
        }),
        "Alert": _object({
            "alert": _STRING, "rule": _STRING, "reason": _STRING, "severity": _STRING, "procedure": _TEXT, "body": body,
            "other": {"oneOf": [body, {"type": "null"}]}, "case": _STRING, "handoff": _TEXT, "due_on": _DAY,
            "episodes": _list(_object({"raised_on": _DAY, "resolved_on": _DAY})), "acknowledged_on": _DAY,
            "silent_until": _DAY,
        }),
        "Step": _object({
            "step": _STRING, "title": _WORDS, "state": {"enum": ["done", "current", "to_come", "possible"]}, "since": _DAY,
            "role": _STRING, "trigger": _WORDS, "citizen": _WORDS, "articles": strings,
        }),
        "Journey": _object({
            "reference": _STRING, "door": _TEXT,
            "procedure": {"oneOf": [_object({"id": _STRING, "title": _WORDS}), {"type": "null"}]}, "opened_on": _DAY,
            "settling": flag, "degraded": flag, "cases": _list(_ref("Case")), "steps": _list(_ref("Step")),
            "handoffs": _list(_ref("Passage")), "alerts": _list(_ref("Alert")),
        }),
        "Receipt": _object(
            {"id": _STRING, "source": _STRING, "subject": _STRING, "digest": _STRING, "journey": _STRING, "access_code": _STRING},
            optional=("journey", "access_code"),
        ),
        "Accepted": _object({"accepted": _list(_ref("Receipt")), "shown": flag}, optional=("shown",)),
        "Inbox": _object({"items": _list(_ref("Handoff")), "cursor": _STRING, "more": flag}),
        "Problem": _object(
            {
                "type": _STRING, "title": _STRING, "status": integer, "detail": _STRING,
                "problems": _list(_object(
                    {
                        "index": integer,
                        "code": {"type": "string", "examples": [*codes[:3], Trouble.NOT_ALLOWED.value]},
                        "field": _STRING, "mend": _STRING,
                    },
                    optional=("index",),
                )),
            },
            optional=("problems",),
        ),
    }  # fmt: skip


def _paths(batch_events: int) -> Json:
    event, batch = _ref("AnyEvent"), {**_list(_ref("AnyEvent")), "minItems": 1, "maxItems": batch_events}
    wait = {
        "name": "Prefer", "in": "header", "schema": _STRING, "example": "wait=5",
        "description": "wait=N: wait up to N seconds (30 at most) until it shows. access-code: a code for each opening.",
    }  # fmt: skip
    reference = {"schema": _STRING, "required": True, "example": "case:viriat/PC-001427-26-00014"}
    action: Json = {
        "type": "object",
        "description": "All optional: case, id, source, occurred_on or time, procedure, and the fields of the event.",
    }
    return {
        "/v1/events": {
            "post": _operation(
                "postEvents", "State one fact or a batch: all of it is taken, or nothing", "Accepted", ("200", "202"),
                errors=("400", "401", "403", "413", "415", "422", "429", "503"), parameters=[wait],
                content={
                    MEDIA_TYPE: event, BATCH_MEDIA_TYPE: batch, "application/json": {"oneOf": [event, batch]},
                },
            )
        },
        "/v1/journeys": {
            "get": _operation(
                "findJourney", "Ask by any reference, where it does not fit into a path", "Journey", ("200",),
                errors=("400", "401", "404", "503"), parameters=[{"name": "reference", "in": "query", **reference}],
            )
        },
        "/v1/journeys/{reference}": {
            "get": _operation(
                "getJourney", "Ask by any reference: what this body may see of the journey", "Journey", ("200",),
                errors=("400", "401", "404", "503"), parameters=[{"name": "reference", "in": "path", **reference}],
            )
        },
        "/v1/exchange": {
            "post": _operation(
                "exchange", "At a counter: a reference and the person's code for a journey id", None, ("200",),
                errors=("400", "401", "403", "404", "409", "413", "415", "429", "503"),
                content={"application/json": _object({"reference": _STRING, "code": _STRING})},
                answer=_object({"journey": _STRING}),
            )
        },
        "/v1/inbox": {
            "get": _operation(
                "getInbox", "What is handed to this body, in the order of the last change", "Inbox", ("200",),
                errors=("400", "401", "403", "503"),
                parameters=[
                    {"name": "cursor", "in": "query", "schema": _STRING},
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 200}},
                    {"name": "wait", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 30}},
                ],
            )
        },
        "/v1/inbox/{handoff}": {
            "get": _operation(
                "getItem", "One item", "Handoff", ("200",), errors=("401", "403", "404", "503"), parameters=[_HANDOFF]
            )
        },
        "/v1/inbox/{handoff}/{action}": {
            "post": _operation(
                "act", "Receive, accept, refuse, return or complete an item", "Accepted", ("200", "202"),
                errors=("400", "401", "403", "404", "409", "413", "415", "422", "429", "503"),
                parameters=[
                    _HANDOFF,
                    {"name": "action", "in": "path", "required": True, "schema": {"enum": list(ACTIONS)}},
                    wait,
                ],
                content={"application/json": action}, optional=True,
            )
        },
        "/v1/documents/{document}": {
            "get": _open(
                "getDocument", "A document of a handoff, by the address in its manifest: that address holds the right to it",
                {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}, errors=("404", "503"),
            ) | {"parameters": [
                {"name": "document", "in": "path", "required": True, "schema": _STRING},
                *({"name": name, "in": "query", "schema": _STRING} for name in ("to", "until", "right")),
            ]}
        },
        "/openapi.json": {"get": _open("document", "This document", {"application/json": {"schema": {"type": "object"}}})},
        "/livez": {"get": _open("livez", "Whether the process answers", _STATUS)},
        "/readyz": {"get": _open("readyz", "Whether it can work", _STATUS, errors=("503",))},
        "/metrics": {"get": _open("metrics", "For Prometheus", {"text/plain": {"schema": _STRING}})},
    }  # fmt: skip


_HANDOFF: Json = {"name": "handoff", "in": "path", "required": True, "schema": _STRING}
_STATUS: Json = {"application/json": {"schema": _object({"status": _STRING})}}


def _operation(
    name: str,
    summary: str,
    schema: str | None,
    statuses: tuple[str, ...],
    *,
    errors: tuple[str, ...],
    parameters: list[Json] | None = None,
    content: Json | None = None,
    answer: Json | None = None,
    optional: bool = False,
) -> Json:
    answers = {"application/json": {"schema": answer or _ref(schema or "")}}
    found: Json = {
        "operationId": name,
        "summary": summary,
        "responses": {s: {"description": "Done" if s == "200" else "Taken", "content": answers} for s in statuses}
        | {s: {"$ref": "#/components/responses/Problem"} for s in errors},
    }
    if parameters:
        found["parameters"] = parameters
    if content:
        body = {"content": {kind: {"schema": schema} for kind, schema in content.items()}, "required": not optional}
        found["requestBody"] = body
    return found


def _open(name: str, summary: str, content: Json, errors: tuple[str, ...] = ()) -> Json:
    """An operation that needs no token."""
    responses: Json = {"200": {"description": "Done", "content": content}}
    responses |= {s: {"$ref": "#/components/responses/Problem"} for s in errors}
    return {"operationId": name, "summary": summary, "security": [], "responses": responses}
