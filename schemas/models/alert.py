"""What people do about alerts."""

from __future__ import annotations

from typing import Literal

from schemas.models.base import Day, Text
from schemas.models.document import Envelope
from schemas.models.header import Event


class AlertAcknowledged(Event):
    """A person looks after an alert."""

    type: Literal["alert.acknowledged"] = "alert.acknowledged"
    alert: Text
    """Id of the alert, 32 hexadecimal characters."""
    until: Day | None = None
    """Silent until this day."""
    note: Envelope | None = None
    """What the next person needs to know."""
