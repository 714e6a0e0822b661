"""Semantic checks of an event, shared by the gateway and by admission of direct topics.

What a schema cannot say: who may state it, what its references may be, which dates are possible, how long a text is.
They need no state and no I/O. Limits per event are those of the door; nothing here limits a journey.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from schemas.catalog import Schema
from schemas.field_checks import Found, check_body, check_payload, check_text, check_token, is_hex
from schemas.problems import Problem, ProblemCode
from schemas.references import Kind, Reference, ReferenceFault, ReferenceFormatError, parse
from schemas.types import ABOUT_A_BODY

MAX_BYTES = 65_536
"""Bytes of a whole value, at most."""
MAX_REFERENCES = 16
"""References of one event beside its subject, at most."""

_SOURCE = re.compile(r"([a-z0-9][a-z0-9-]{0,62}[a-z0-9])/([a-z0-9][a-z0-9._-]{0,63})")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+~=-]{0,127}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{40,700}={0,2}")
_EPOCH = datetime(1970, 1, 1).toordinal()  # noqa: DTZ001 - a day, not an instant

_SENDER_SAYS = frozenset({"handoff.sent", "handoff.cancelled"})
_NEEDS_REFERENCE = frozenset({"correction.linked", "correction.unlinked"})


def problems(
    schema: Schema, datum: dict[str, Any], *, speaker: str | None, today: int, size: int | None = None
) -> list[Problem]:
    """Everything that is wrong with a decoded event, in a fixed order; empty if it may be taken.

    `speaker` is the body whose credentials brought it (None: not to be compared), `today` the day of admission (days
    since 1970-01-01), `size` the number of bytes of the encoded value, if known.
    """
    found = Found(today, datum["header"]["occurred_on"])
    if size is not None and size > MAX_BYTES:
        found.add(ProblemCode.TOO_LARGE, "", f"shorten it to {MAX_BYTES} bytes; documents travel by reference")
    header = datum["header"]
    body = _check_source(found, header["source"], speaker)
    _check_subject(found, schema.name, header["subject"], body)
    _check_references(found, schema.name, header)
    _check_header(found, header, body)
    _check_times(found, header)
    check_payload(found, schema, datum)
    if body is not None:
        _check_handoff(found, schema.name, datum, body)
    if schema.name == "case.extended":
        _check_extension(found, datum)
    return found.problems


def _check_source(found: Found, source: str, speaker: str | None) -> str | None:
    """The stating body, or None if the source is malformed."""
    match = _SOURCE.fullmatch(source)
    if match is None:
        found.add(
            ProblemCode.MALFORMED_SOURCE,
            "header.source",
            "write body/system: the id of the body, a slash, then lower-case letters, digits or . _ -",
        )
        return None
    body = match[1]
    if speaker is not None and speaker != body:
        found.add(
            ProblemCode.FOREIGN_SOURCE,
            "header.source",
            "a body speaks for itself only: name a source of the body that you are",
        )
    return body


def _reference(found: Found, field: str, text: str) -> Reference | None:
    try:
        return parse(text)
    except ReferenceFormatError as error:
        placeholder = error.fault is ReferenceFault.PLACEHOLDER
        code = ProblemCode.PLACEHOLDER_REFERENCE if placeholder else ProblemCode.MALFORMED_REFERENCE
        found.add(code, field, str(error).partition(": ")[2])
        return None


def _check_subject(found: Found, name: str, subject: str, body: str | None) -> None:
    reference = _reference(found, "header.subject", subject)
    if reference is None:
        return
    if name in ABOUT_A_BODY:
        if reference.kind is not Kind.BODY or (body is not None and reference.issuer != body):
            found.add(
                ProblemCode.FOREIGN_SUBJECT, "header.subject", "the subject of this type is body:<the stating body>"
            )
    elif reference.kind is not Kind.CASE or (body is not None and reference.issuer != body):
        found.add(
            ProblemCode.FOREIGN_SUBJECT,
            "header.subject",
            "the subject is a case of the stating body: case:<body>/<number>",
        )


def _check_references(found: Found, name: str, header: dict[str, Any]) -> None:
    references = header["references"]
    if name in ABOUT_A_BODY:
        if references:
            found.add(
                ProblemCode.REFERENCES_NOT_ALLOWED,
                "header.references",
                "leave them out: this type is about a body, not a request",
            )
        return
    if name in _NEEDS_REFERENCE and not references:
        found.add(ProblemCode.MISSING_REFERENCE, "header.references", "name at least one reference to link or unlink")
    if len(references) > MAX_REFERENCES:
        found.add(ProblemCode.TOO_MANY_REFERENCES, "header.references", f"name at most {MAX_REFERENCES} references")
        return
    if len(set(references)) != len(references):
        found.add(ProblemCode.DUPLICATE_REFERENCE, "header.references", "name each reference once")
    for index, text in enumerate(references):
        field = f"header.references[{index}]"
        reference = _reference(found, field, text)
        if reference is not None and reference.kind is Kind.BODY:
            found.add(
                ProblemCode.REFERENCE_TO_A_BODY,
                field,
                "a body is no request: name a case, a handoff, a journey or an external id",
            )


def _check_header(found: Found, header: dict[str, Any], body: str | None) -> None:
    if not _ID.fullmatch(header["id"]):
        found.add(
            ProblemCode.MALFORMED_ID,
            "header.id",
            "1 to 128 letters, digits or . _ : / @ + ~ = -, the first a letter or digit",
        )
    if header["procedure"] is not None:
        check_token(found, "header.procedure", header["procedure"])
    if header["from_body"] is not None:
        check_body(found, "header.from_body", header["from_body"])
        if body is not None and header["from_body"] == body:
            found.add(ProblemCode.HANDOFF_TO_ONESELF, "header.from_body", "name the other body, or leave it out")
    if header["sequence"] is not None and header["sequence"] < 0:
        found.add(ProblemCode.OUT_OF_RANGE, "header.sequence", "a sequence is 0 or more")
    if header["previous"] is not None and not is_hex(header["previous"], 64):
        found.add(ProblemCode.MALFORMED_SIGNATURE, "header.previous", "64 lower-case hexadecimal characters (SHA-256)")
    key_id, signature = header["key_id"], header["signature"]
    if (key_id is None) != (signature is None):
        found.add(ProblemCode.MALFORMED_SIGNATURE, "header.signature", "give key_id and signature together, or neither")
    if key_id is not None and not _ID.fullmatch(key_id):
        found.add(ProblemCode.MALFORMED_SIGNATURE, "header.key_id", "1 to 128 letters, digits or . _ : / @ + ~ = -")
    if signature is not None and (not _BASE64.fullmatch(signature) or len(signature) % 4):
        found.add(ProblemCode.MALFORMED_SIGNATURE, "header.signature", "base64 with padding, of 30 to 512 bytes")
    if header["traceparent"] is not None and not _TRACE.fullmatch(header["traceparent"]):
        found.add(ProblemCode.MALFORMED_CODE, "header.traceparent", "write a W3C traceparent, or leave it out")


def _check_times(found: Found, header: dict[str, Any]) -> None:
    found.check_past("header.occurred_on", header["occurred_on"])
    text = header["occurred_at"]
    if text is not None:
        moment = None
        if _TIME.fullmatch(text):
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                moment = None
        if moment is None:
            found.add(
                ProblemCode.MALFORMED_TIME,
                "header.occurred_at",
                "write an RFC 3339 instant with its offset, in upper case",
            )
        elif moment.toordinal() - _EPOCH != header["occurred_on"]:
            found.add(
                ProblemCode.TIME_NOT_ON_DATE,
                "header.occurred_at",
                "its date is not occurred_on: write the instant with the local offset of the stating body",
            )
    recorded = header["recorded_at"]
    if recorded is not None:
        found.check_past("header.recorded_at", recorded // 86_400_000)


def _check_handoff(found: Found, name: str, datum: dict[str, Any], body: str) -> None:
    if name == "handoff.sent" and datum["to"] == body:
        found.add(ProblemCode.HANDOFF_TO_ONESELF, "to", "name another body: work within a body is a step")
    if name == "handoff.refused" and datum["redirect_to"] == body:
        found.add(ProblemCode.HANDOFF_TO_ONESELF, "redirect_to", "name another body, or leave it out")
    if "handoff" not in datum:
        return
    reference = _reference(found, "handoff", datum["handoff"])
    if reference is None:
        return
    if reference.kind is not Kind.HANDOFF:
        found.add(ProblemCode.MALFORMED_REFERENCE, "handoff", "write handoff:<sender>:<32 hex>")
    elif name in _SENDER_SAYS and reference.issuer != body:
        found.add(
            ProblemCode.FOREIGN_HANDOFF, "handoff", "the sender issues the handoff: handoff:<the stating body>:<32 hex>"
        )
    elif name not in _SENDER_SAYS and reference.issuer == body:
        found.add(
            ProblemCode.OWN_HANDOFF,
            "handoff",
            "only the addressee states this: name a handoff that another body issued",
        )


def _check_extension(found: Found, datum: dict[str, Any]) -> None:
    length, unit, due_on = datum["length"], datum["unit"], datum["due_on"]
    if (length is None) == (due_on is None):
        found.add(ProblemCode.CONTRADICTION, "length", "give a length with its unit, or due_on, and not both")
    if (length is None) != (unit is None):
        found.add(ProblemCode.CONTRADICTION, "unit", "give length and unit together")


__all__ = ["MAX_BYTES", "MAX_REFERENCES", "Problem", "ProblemCode", "check_text", "problems"]
