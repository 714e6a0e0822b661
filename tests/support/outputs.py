"""Outputs of the bus made by hand: statuses, handoffs, alerts, facts, as bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.codec import bus
from streams.runtime.processor import Record
from tests.support.facts import KEYS

CASE: dict[str, Any] = {
    "procedure": "urbanisme.pc-maison", "place": None, "visibility": "everyone", "state": "open", "opened_on": 20_000,
    "since": 20_000, "outcome": None, "decided_on": None, "notified_on": None, "asked": [], "asked_until": None,
    "steps": [], "clocks": [], "access_code": None, "conflicts": 0,
}  # fmt: skip


def status(cases: Iterable[dict[str, Any]], references: Iterable[bytes], handoffs: Iterable[Any] = ()) -> bytes:
    """A status; of a case `case` and `body` must be given."""
    listed = [CASE | c for c in cases]
    return bus().encode("status", {
        "references": b"".join(sorted(references)), "door": listed[0]["case"] if listed else None,
        "procedure": "urbanisme.pc-maison", "opened_on": 20_000, "cases": listed, "handoffs": list(handoffs),
        "degraded": False,
    })  # fmt: skip


def handoff(n: int = 1, **changes: Any) -> dict[str, Any]:
    """A handoff from viriat to gba."""
    return {
        "handoff": f"handoff:viriat:{n:032x}", "from_body": "viriat", "to": "gba", "kind": "transfer", "step": None,
        "reason": None, "procedure": "urbanisme.pc-maison", "from_case": "case:viriat/1", "to_case": None,
        "state": "sent", "sent_on": 20_000, "received_on": None, "accepted_on": None, "ended_on": None, "result": None,
        "redirect_to": None, "due_on": None, "limits": [], "documents": [], "loops": 0,
    } | changes  # fmt: skip


def alert(n: int = 1, **changes: Any) -> dict[str, Any]:
    """An alert that lasts."""
    return {
        "alert": b"\x10" + n.to_bytes(15, "big"), "rule": "answer", "reason": "breached", "severity": "critical",
        "procedure": "urbanisme.pc-maison", "body": "viriat", "other": None, "case": "case:viriat/1", "handoff": None,
        "due_on": 20_010, "episodes": [{"raised_on": 20_011, "resolved_on": None}], "acknowledged_on": None,
        "silent_until": None,
    } | changes  # fmt: skip


def record(
    key: bytes | None, value: bytes | None, offset: int = 0, reason: str = "", into: bytes = b"", at: int = 0
) -> Record:
    """A record of an output topic."""
    headers = [("root", b"r" * 16), *([("reason", reason.encode())] if reason else [])]
    return Record(offset, at, key, value, [*headers, *([("into", into)] if into else [])])


def key(reference: str) -> bytes:
    """Key of a reference."""
    return KEYS.of(reference)
