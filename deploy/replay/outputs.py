"""What an instance holds at rest, read committed: the last word of each key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas import codec
from streams.engine.root import FACT

OUTPUTS = ("statuses", "handoffs", "alerts")
POLL_MS = 500


@dataclass(frozen=True, slots=True)
class Held:
    """The content of an instance."""

    rows: dict[str, list[dict[str, Any]]]
    """Decoded values by output topic."""
    facts: list[tuple[str, dict[str, Any]]]
    """(type, datum) of the facts that journeys hold."""
    refused: int
    """Dead letters."""


async def records(brokers: str, *topics: str) -> AsyncIterator[ConsumerRecord[bytes | None, bytes | None]]:
    """Every committed record of some topics from the beginning to the end that they have now."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        await consumer._client.set_topics(topics)  # an assignment alone asks for no metadata
        parts = [TopicPartition(t, p) for t in topics for p in sorted(consumer.partitions_for_topic(t) or ())]
        consumer.assign(parts)
        begins, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        for tp in parts:
            consumer.seek(tp, begins[tp])
        left = {tp for tp in parts if ends[tp] > begins[tp]}
        while left:
            for found in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in found:
                    yield record
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
            if idle := [tp for tp in consumer.assignment() if tp not in left]:
                consumer.pause(*idle)
    finally:
        await consumer.stop()


async def read(brokers: str, instance: str) -> Held:
    """Read an instance that is at rest."""
    latest: dict[tuple[str, bytes], bytes] = {}
    refused = 0
    names = (*OUTPUTS, "journeys", "dead-letters")
    async for record in records(brokers, *(f"{instance}.{name}" for name in names)):
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
