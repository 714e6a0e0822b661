"""Checks of the payload, field by field; the rule of a field is found by its name, else by its type."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from schemas import envelope, identity_numbers
from schemas.catalog import Schema
from schemas.problems import Problem, ProblemCode
from schemas.references import BODY

MAX_TEXT = 500
"""Characters of a free text, at most."""
MAX_ITEMS = 50
"""Items of a list, at most."""
MAX_PROBLEMS = 20
"""Problems listed for one event, at most."""

EARLIEST = -25_567
"""1900-01-01, in days since 1970-01-01: nothing that a bus of today carries happened before."""
LATEST = 84_006
"""2200-01-01: no time limit ends after."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_TOKEN = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_HEX = re.compile(r"[0-9a-f]+")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+~=-]{0,127}")
_PLACE = re.compile(r"[0-9][0-9AB][0-9]{3}")
_ACCESS_CODE = re.compile(r"scrypt\$[0-9a-f]{32,128}\$[0-9a-f]{64,128}")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_ADDRESS = re.compile(
    r"(?!(?:javascript|vbscript|data|blob|file|about):)"  # code, or content, or a place on the reader's own machine
    r"[a-z][a-z0-9+.-]{1,20}:[^\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]{1,1980}"
)


class Found:
    """Problems found so far in one event, and the days against which its dates are judged."""

    def __init__(self, today: int, occurred_on: int) -> None:
        self.problems: list[Problem] = []
        self.today = today
        self.occurred_on = occurred_on

    def add(
        self, code: ProblemCode, field: str, mend: str, start: int | None = None, length: int | None = None
    ) -> None:
        """Note a problem, unless enough are listed."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(code, field, mend, start, length))

    def check_past(self, field: str, day: int) -> None:
        """A day on which something happened: from 1900, and at most one day after admission (zones east of the bus)."""
        if day < EARLIEST:
            self.add(
                ProblemCode.IMPOSSIBLE_DATE, field, "write the day on which it happened: none is before 1900-01-01"
            )
        elif day > self.today + 1:
            self.add(ProblemCode.FUTURE_DATE, field, "state it once it has happened: this day is still to come")

    def check_limit(self, field: str, day: int) -> None:
        """A day until which something may or must be done: not before the fact that sets it."""
        if not EARLIEST <= day <= LATEST:
            self.add(ProblemCode.IMPOSSIBLE_DATE, field, "write a day between 1900-01-01 and 2200-01-01")
        elif day < self.occurred_on:
            self.add(ProblemCode.DUE_BEFORE, field, "write a day that is not before occurred_on, or leave it out")


Rule = Callable[[Found, str, Any], None]


def is_hex(text: str, length: int) -> bool:
    """Whether it is `length` lower-case hexadecimal characters."""
    return len(text) == length and _HEX.fullmatch(text) is not None


def check_text(found: Found, field: str, text: str) -> None:
    """A free text: neither empty nor too long, no control character, no national identity number."""
    if not text.strip():
        found.add(ProblemCode.EMPTY, field, "write something, or leave the field out")
    elif len(text) > MAX_TEXT:
        found.add(ProblemCode.TOO_LONG, field, f"shorten it to {MAX_TEXT} characters")
    control = _CONTROL.search(text)
    if control is not None:
        found.add(ProblemCode.CONTROL_CHARACTER, field, "remove the control character", control.start(), 1)
    number = identity_numbers.find(text)
    if number is not None:
        found.add(
            ProblemCode.NATIONAL_IDENTITY_NUMBER,
            field,
            "remove the national identity number: an event never carries one (decree 2019-341)",
            *number,
        )


def check_texts(found: Found, field: str, texts: list[str]) -> None:
    """A list of free texts."""
    _each(check_text, found, field, texts)


def check_token(found: Found, field: str, text: str) -> None:
    """A name given by a catalog, such as a procedure."""
    if not _TOKEN.fullmatch(text):
        found.add(
            ProblemCode.MALFORMED_CODE,
            field,
            "1 to 100 lower-case letters, digits, dots, hyphens or underscores, as the catalog names it",
        )


def check_body(found: Found, field: str, text: str) -> None:
    """The id of a body."""
    if not BODY.fullmatch(text):
        found.add(
            ProblemCode.MALFORMED_BODY,
            field,
            "write the id of the body: 2 to 64 lower-case letters, digits and inner hyphens",
        )


def _each(rule: Rule, found: Found, field: str, items: list[Any]) -> None:
    if len(items) > MAX_ITEMS:
        found.add(ProblemCode.TOO_MANY, field, f"give at most {MAX_ITEMS} items")
        return
    for index, item in enumerate(items):
        rule(found, f"{field}[{index}]", item)


def _pattern(pattern: re.Pattern[str], code: ProblemCode, mend: str) -> Rule:
    def rule(found: Found, field: str, text: str) -> None:
        if not pattern.fullmatch(text):
            found.add(code, field, mend)

    return rule


def _bodies(found: Found, field: str, items: list[str]) -> None:
    if not items:
        found.add(ProblemCode.EMPTY, field, "name at least one body")
    _each(check_body, found, field, items)


def _procedures(found: Found, field: str, items: list[str]) -> None:
    if not items:
        found.add(ProblemCode.EMPTY, field, "name at least one procedure, or * for all")
    _each(lambda f, at, text: None if text == "*" else check_token(f, at, text), found, field, items)


def _count(found: Found, field: str, value: int) -> None:
    if value < 1:
        found.add(ProblemCode.OUT_OF_RANGE, field, "write a number above 0")


def check_envelope(found: Found, field: str, value: dict[str, str]) -> None:
    """The shape of an encrypted text."""
    for name, mend in envelope.faults(value):
        found.add(ProblemCode.MALFORMED_ENVELOPE, f"{field}.{name}", mend)


def _document(found: Found, field: str, value: dict[str, Any]) -> None:
    check_text(found, f"{field}.label", value["label"])
    if not _MEDIA_TYPE.fullmatch(value["type"]):
        found.add(ProblemCode.MALFORMED_DOCUMENT, f"{field}.type", "write a media type such as application/pdf")
    if value["size"] < 0:
        found.add(ProblemCode.MALFORMED_DOCUMENT, f"{field}.size", "write the number of bytes, 0 or more")
    if not is_hex(value["sha256"], 64):
        found.add(ProblemCode.MALFORMED_DOCUMENT, f"{field}.sha256", "64 lower-case hexadecimal characters")
    if not _ADDRESS.fullmatch(value["location"]):
        found.add(
            ProblemCode.MALFORMED_DOCUMENT,
            f"{field}.location",
            "write an address to fetch it from, with its scheme such as https:, at most 2000 characters",
        )
    if value["until"] is not None:
        found.check_limit(f"{field}.until", value["until"])
    if value["envelope"] is not None:
        check_envelope(found, f"{field}.envelope", value["envelope"])


def _documents(found: Found, field: str, items: list[dict[str, Any]]) -> None:
    _each(_document, found, field, items)


def _elsewhere(found: Found, field: str, value: Any) -> None:
    """Checked with the header, where the stating body is known."""


BY_NAME: dict[str, Rule] = {
    "handoff": _elsewhere,
    "to": check_body,
    "redirect_to": check_body,
    "predecessors": _bodies,
    "procedures": _procedures,
    "documents": _documents,
    "applicant": check_envelope,
    "note": check_envelope,
    "alert": _pattern(re.compile(r"[0-9a-f]{32}"), ProblemCode.MALFORMED_ID, "32 lower-case hexadecimal characters"),
    "fact": _pattern(_ID, ProblemCode.MALFORMED_ID, "the id of a fact of this source: 1 to 128 characters"),
    "place": _pattern(_PLACE, ProblemCode.MALFORMED_CODE, "write the INSEE code of the commune, five characters"),
    "access_code": _pattern(
        _ACCESS_CODE, ProblemCode.MALFORMED_CODE, "write scrypt$<salt hex>$<hash hex>, never the code itself"
    ),
    "due_on": Found.check_limit,
    "until": Found.check_limit,
    "every": _count,
    "length": _count,
}
"""Rules by the name of the field."""

BY_TYPE: dict[str, Rule] = {"string": check_text, "strings": check_texts, "date": Found.check_past}
"""Rules for the other fields, by their type."""

_PLANS: dict[bytes, tuple[tuple[str, Rule], ...]] = {}


def _type_name(node: Any) -> str:
    """`string`, `strings`, `date`, or what Avro calls it."""
    if isinstance(node, list):
        return next(_type_name(n) for n in node if n != "null")
    if isinstance(node, str):
        return node
    if node["type"] == "array":
        return "strings" if node["items"] == "string" else "array"
    return str(node.get("logicalType", node["type"]))


def plan(schema: Schema) -> tuple[tuple[str, Rule], ...]:
    """The rules of a schema's payload, in the order of its fields."""
    known = _PLANS.get(schema.fingerprint)
    if known is None:
        rules = []
        for field in schema.json["fields"]:
            name = field["name"]
            rule = BY_NAME.get(name) or BY_TYPE.get(_type_name(field["type"]))
            if name != "header" and rule is not None:
                rules.append((name, rule))
        known = _PLANS[schema.fingerprint] = tuple(rules)
    return known


def check_payload(found: Found, schema: Schema, datum: dict[str, Any]) -> None:
    """Check all fields of the payload that are there."""
    for name, rule in plan(schema):
        value = datum[name]
        if value is not None:
            rule(found, name, value)
