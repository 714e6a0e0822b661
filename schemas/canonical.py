"""Canonical form and digest of a fact.

The canonical form is a JSON text as RFC 8785 has it (object members sorted by name, no white space, UTF-8) of the legal content by
the writer's schema: `type`, the header and `data`. Left out are absent (null) fields, and what may differ between two copies of one
fact: `attested_by`, `recorded_at`, `traceparent`, `key_id` and `signature`. References are sorted; an envelope counts by its commitment
alone; dates are written as ISO 8601. There are no floats in the contract, and all member names are ASCII, so that a sort by code
point is the sort of RFC 8785. The digest is the SHA-256 of these bytes. `schemas/vectors/canonical.json` holds examples for other
languages.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson

from schemas.catalog import Schema

NOT_CANONICAL = frozenset({"attested_by", "recorded_at", "traceparent", "key_id", "signature"})
"""Header fields that do not change what was said."""

EPOCH = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=100_000)
def iso(day: int) -> str:
    """ISO 8601 date of days since 1970-01-01; a date outside the years 1 to 9999 keeps its number."""
    try:
        return date.fromordinal(EPOCH + day).isoformat()
    except (ValueError, OverflowError):
        return f"{day}d"


def day_of(text: str) -> int:
    """Days since 1970-01-01 of an ISO 8601 date."""
    return date.fromisoformat(text).toordinal() - EPOCH


_DATES: dict[bytes, frozenset[str]] = {}


def _date_fields(schema: Schema) -> frozenset[str]:
    """Names of the payload's date fields, found once per schema."""
    known = _DATES.get(schema.fingerprint)
    if known is None:
        known = _DATES[schema.fingerprint] = frozenset(f["name"] for f in schema.json["fields"] if _is_date(f["type"]))
    return known


def _is_date(node: Any) -> bool:
    if isinstance(node, list):
        return any(_is_date(n) for n in node)
    return isinstance(node, dict) and node.get("logicalType") == "date"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if "commitment" in value:
            return {"commitment": value["commitment"]}
        if "until" in value and isinstance(value["until"], int):
            value = {**value, "until": iso(value["until"])}
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value


def canonical(schema: Schema, datum: dict[str, Any]) -> bytes:
    """Canonical bytes of an event as the codec reads it (dates as days)."""
    content: dict[str, Any] = {"type": schema.name}
    for name, value in datum["header"].items():
        if value is not None and name not in NOT_CANONICAL:
            content[name] = value
    content["occurred_on"] = iso(content["occurred_on"])
    content["references"] = sorted(set(content["references"]))
    dates = _date_fields(schema)
    data: dict[str, Any] = {}
    for name, value in datum.items():
        if value is not None and name != "header":
            data[name] = iso(value) if name in dates else value if isinstance(value, (str, int)) else _plain(value)
    if data:
        content["data"] = data
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def digest(schema: Schema, datum: dict[str, Any]) -> bytes:
    """SHA-256 of the canonical bytes, 32 bytes."""
    return sha256(canonical(schema, datum)).digest()
