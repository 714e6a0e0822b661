"""What an instance holds at rest, read committed: the last word of each key."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from deploy.reading import records
from schemas import codec
from streams.engine.root import FACT

OUTPUTS = ("statuses", "handoffs", "alerts")


@dataclass(frozen=True, slots=True)
class Held:
    """The content of an instance."""

    rows: dict[str, list[dict[str, Any]]]
    """Decoded values by output topic."""
    facts: list[tuple[str, dict[str, Any]]]
    """(type, datum) of the facts that journeys hold."""
    refused: int
    """Dead letters."""


async def read(brokers: str, instance: str) -> Held:
    """Read an instance that is at rest."""
    latest: dict[tuple[str, bytes], bytes] = {}
    refused = 0
    names = (*OUTPUTS, "journeys", "dead-letters")
    async with aclosing(records(brokers, *(f"{instance}.{name}" for name in names))) as found:
        async for record in found:
            name = record.topic.removeprefix(f"{instance}.")
            if name == "dead-letters":
                refused += 1
            elif record.key is None or (name == "journeys" and record.key[:1] != FACT):
                continue
            elif record.value is None:
                latest.pop((name, record.key), None)
            else:
                latest[name, record.key] = record.value
    bus, events = codec.bus(), codec.events()
    held = Held({name: [] for name in OUTPUTS}, [], refused)
    for (name, _), value in latest.items():
        datum = bus.decode(value)[1]
        if name == "journeys":
            schema, fact = events.decode(datum["value"])
            held.facts.append((schema.name, fact))
        else:
            held.rows[name].append(datum)
    return held
