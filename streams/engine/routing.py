"""Where an event goes on the bus: which topic, which partition, under which key. One rule for every way in."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.catalog import Schema
from schemas.references import Keys, partition_of
from schemas.types import ABOUT_A_BODY

CASE_EVENTS = "case-events"
REFERENCE = "reference"
ADMITTED = "relais-admitted"
"""Kafka header: append time in the first topic, ms, 8 bytes big-endian; kept by every forward."""


class Route(NamedTuple):
    """One place on the bus."""

    topic: str
    """Name of the topic within its instance."""
    partition: int
    key: bytes


def route(schema: Schema, datum: dict[str, Any], keys: Keys, partitions: int) -> Route:
    """The place of an event: facts about a case by their subject; what a body says of itself is reference data.

    `partitions` are those of `case-events`. Reference data has one partition and keeps the last word of each
    (type, body, source). Raises `ReferenceFormatError` for a subject that is no reference.
    """
    header = datum["header"]
    if schema.name in ABOUT_A_BODY:
        source: str = header["source"]
        return Route(REFERENCE, 0, "|".join((schema.name, source.partition("/")[0], source)).encode())
    key = keys.of(header["subject"])
    return Route(CASE_EVENTS, partition_of(key, partitions), key)
