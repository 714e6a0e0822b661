"""Facts for tests, as the bytes that a body publishes."""

from __future__ import annotations

from typing import Any

from schemas import catalog
from schemas.codec import events
from schemas.references import Keys

SECRET = b"a key for the tests only"
KEYS = Keys(SECRET)

_FIELDS = {s.name: {f["name"] for f in s.json["fields"]} - {"header"} for s in catalog.events()}
_REQUIRED: dict[str, dict[str, Any]] = {
    "case.acknowledged": {"kind": "receipt"},
    "case.pieces-requested": {"pieces": ["plan"]},
    "case.pieces-received": {"pieces": ["plan"], "complete": True},
    "case.suspended": {"cause": "enquiry"},
    "case.extended": {"cause": "consultation"},
    "case.decided": {"outcome": "granted"},
    "case.notified": {"means": "electronic"},
    "case.closed": {"reason": "done"},
    "handoff.sent": {"kind": "transfer"},
    "handoff.refused": {"reason": "not_competent"},
    "handoff.returned": {"reason": "incomplete"},
    "correction.retracted": {"fact": "?"},
    "case.step-started": {"step": "examination"},
    "case.step-completed": {"step": "examination"},
}


def case(body: str, number: object) -> str:
    """Reference of a case."""
    return f"case:{body}/{number}"


def journey(body: str, n: int) -> str:
    """Reference of a journey id."""
    return f"journey:{body}:{n:032x}"


def handoff(body: str, n: int) -> str:
    """Reference of a handoff."""
    return f"handoff:{body}:{n:032x}"


def event(
    type_: str,
    subject: str,
    on: int,
    id_: object,
    *,
    source: str = "",
    refs: tuple[str, ...] = (),
    at: str | None = None,
    sequence: int | None = None,
    procedure: str | None = None,
    from_body: str | None = None,
    attested_by: str = "gateway",
    recorded_at: int | None = None,
    visibility: str | None = None,
    **payload: Any,
) -> bytes:
    """One event as published; `on` is its legal date, days since 1970-01-01."""
    body = subject.removeprefix("case:").split("/")[0]
    header = {
        "id": str(id_), "source": source or f"{body}/soft", "attested_by": attested_by, "subject": subject,
        "references": list(refs), "procedure": procedure, "from_body": from_body, "occurred_on": on, "occurred_at": at,
        "recorded_at": recorded_at, "sequence": sequence, "previous": None, "visibility": visibility, "key_id": None,
        "signature": None, "traceparent": None,
    }  # fmt: skip
    fields = dict.fromkeys(_FIELDS[type_]) | _REQUIRED.get(type_, {}) | payload
    return events().encode(type_, {"header": header, **fields})
