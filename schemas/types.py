"""Types of events, in the order in which they stand when the same source states several at the same moment."""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """What can be stated. The position in this list is the rank of the type in the fold order, and so part of the contract."""

    BODY_SUCCEEDED = "body.succeeded"
    BODY_CONNECTED = "body.connected"
    SOURCE_HEARTBEAT = "source.heartbeat"
    HANDOFF_RECEIVED = "handoff.received"
    CASE_OPENED = "case.opened"
    CORRECTION_LINKED = "correction.linked"
    CORRECTION_UNLINKED = "correction.unlinked"
    CASE_REOPENED = "case.reopened"
    HANDOFF_ACCEPTED = "handoff.accepted"
    CASE_ACKNOWLEDGED = "case.acknowledged"
    CASE_PIECES_RECEIVED = "case.pieces-received"
    CASE_RESUMED = "case.resumed"
    CASE_PIECES_REQUESTED = "case.pieces-requested"
    CASE_SUSPENDED = "case.suspended"
    CASE_EXTENDED = "case.extended"
    CASE_STEP_STARTED = "case.step-started"
    CASE_STEP_COMPLETED = "case.step-completed"
    HANDOFF_SENT = "handoff.sent"
    HANDOFF_REFUSED = "handoff.refused"
    HANDOFF_RETURNED = "handoff.returned"
    HANDOFF_COMPLETED = "handoff.completed"
    HANDOFF_CANCELLED = "handoff.cancelled"
    CASE_DECIDED = "case.decided"
    CASE_NOTIFIED = "case.notified"
    CASE_WITHDRAWN = "case.withdrawn"
    CASE_CLOSED = "case.closed"
    ALERT_ACKNOWLEDGED = "alert.acknowledged"
    CORRECTION_RETRACTED = "correction.retracted"


RANK: dict[str, int] = {t.value: i for i, t in enumerate(EventType)}
"""Rank of each type in the fold order."""

ABOUT_A_BODY = frozenset({EventType.BODY_SUCCEEDED, EventType.BODY_CONNECTED, EventType.SOURCE_HEARTBEAT})
"""Types whose subject is the stating body itself, not a case."""
