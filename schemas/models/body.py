"""What a body or one of its sources says of itself."""

from __future__ import annotations

from typing import Literal

from schemas.models.base import Small, Text
from schemas.models.header import Event


class BodyConnected(Event):
    """The body states on the bus for these procedures from this day on."""

    type: Literal["body.connected"] = "body.connected"
    procedures: tuple[Text, ...]
    """Procedures, or * for all."""


class BodySucceeded(Event):
    """The body takes over from others (merger, new commune)."""

    type: Literal["body.succeeded"] = "body.succeeded"
    predecessors: tuple[Text, ...]
    """Ids of the bodies that it takes over from."""


class SourceHeartbeat(Event):
    """The source is alive although it has nothing to say."""

    type: Literal["source.heartbeat"] = "source.heartbeat"
    every: Small | None = None
    """Seconds within which the next one is due."""
