"""What is brought to a body: handoffs and statuses of the bus, projected for that body, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import blake2b
from typing import Any, NamedTuple

from connectors.gateway import words
from connectors.kit.contract import Item, Json
from connectors.kit.mapper import Said
from schemas.references import case_of_handoff
from streams.engine.book import Book
from streams.engine.visibility import BodyViewer, Projected, for_addressee, project, without_journey_ids

DAYS = frozenset(
    {
        "opened_on",
        "since",
        "decided_on",
        "notified_on",
        "asked_until",
        "sent_on",
        "due_on",
        "started_on",
        "completed_on",
    }
)
"""Fields of a status that are days."""


class Brought(NamedTuple):
    """An item, and what its receipt states."""

    item: Item
    receipt: Said | None = None
    """The fact `handoff.received`, without its date; None where the handoff was received already, or is none."""


def handoff_item(key: bytes, datum: Mapping[str, Any] | None, body: str, book: Book, place: str) -> Brought | None:
    """A record of `handoffs` for its addressee; None if it is not addressed to the body. A tombstone: it is no more.

    `place`: where the record stands on the bus, so that a state that comes again later is another item.
    """
    if datum is None:
        return Brought(_gone("handoff", key, place))
    seen = for_addressee(datum, body)
    if seen is None:
        return None
    content = words.handoff(seen, body, book)
    return Brought(_item("handoff", key, content, content["documents"], place), _receipt(seen, body))


def status_item(key: bytes, datum: Mapping[str, Any] | None, body: str, book: Book, place: str) -> Brought | None:
    """A record of `statuses` for a body that takes part; None for any other. `place`: as for a handoff."""
    if datum is None:
        return Brought(_gone("status", key, place))
    seen = project(datum, BodyViewer(body), book)
    return None if seen is None else Brought(_item("status", key, without_journey_ids(_told(seen)), (), place))


def _receipt(seen: Mapping[str, Any], body: str) -> Said | None:
    if seen["received_on"] is not None or seen["state"] != "sent":
        return None
    case = seen["to_case"] or case_of_handoff(body, seen["handoff"])
    said = {"type": "handoff.received", "subject": case, "handoff": seen["handoff"]}
    return said | ({"procedure": seen["procedure"]} if seen["procedure"] and not seen["to_case"] else {})


def _told(seen: Projected) -> Json:
    """A status as JSON: dates in ISO 8601, keys of references left out."""
    told = asdict(seen)
    for passage in told["handoffs"]:
        del passage["key"]
        passage["from"] = passage.pop("from_body")
    for case in told["cases"]:
        if case["neutral"]:
            for name in set(case) - {"body", "state", "neutral"}:
                del case[name]
    return _dated(told)


def _dated(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: words.day(item) if name in DAYS and isinstance(item, int) else _dated(item)
            for name, item in value.items()
        }
    return [_dated(item) for item in value] if isinstance(value, list | tuple) else value


def _item(kind: str, key: bytes, content: Json, documents: Any, place: str) -> Item:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    digest = blake2b(f"{place} {text}".encode(), digest_size=12).hexdigest()
    return Item(f"{key.hex()}-{digest}", kind, f"{kind}-{key.hex()}", content, documents=tuple(documents))


def _gone(kind: str, key: bytes, place: str) -> Item:
    digest = blake2b(place.encode(), digest_size=12).hexdigest()
    return Item(f"{key.hex()}-{digest}-gone", kind, f"{kind}-{key.hex()}", {}, gone=True)
