"""The bus as anybody may see it: every committed record of the topics of an instance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.reading import records
from schemas.codec import bus

OUTPUTS = ("statuses", "handoffs", "alerts")
WRITTEN = ("case-events", "journeys", *OUTPUTS)
ADMITTED = "relais-admitted"
"""Header of a fact that was admitted elsewhere: when, 8 bytes big-endian."""


class Seen(NamedTuple):
    """A record as a reader sees it."""

    partition: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


class Bus:
    """One instance, read whole."""

    def __init__(self, topics: dict[str, list[Seen]], led: bool) -> None:
        self.topics = topics
        self._led = led

    @classmethod
    async def look(cls, brokers: str, instance: str, led: bool) -> Bus:
        """All topics as they are now."""
        topics: dict[str, list[Seen]] = {name: [] for name in (*WRITTEN, "dead-letters")}
        async with aclosing(records(brokers, *(f"{instance}.{name}" for name in topics))) as found:
            async for r in found:
                seen = Seen(r.partition, r.timestamp, r.key, r.value, dict(r.headers))
                topics[r.topic.removeprefix(f"{instance}.")].append(seen)
        return cls(topics, led)

    def latest(self, topic: str) -> dict[bytes, bytes]:
        """The last value of each key: what compaction leaves."""
        found: dict[bytes, bytes] = {}
        for record in self.topics[topic]:
            if record.value is None:
                found.pop(record.key or b"", None)
            else:
                found[record.key or b""] = record.value
        return found

    def admitted(self) -> Iterable[tuple[bytes, int]]:
        """Every fact of `case-events` with when it was admitted (ms); what is no fact is left out."""
        from deploy.chaos.checker import readable  # noqa: PLC0415

        ticks: Counter[int] = Counter()
        for record in self.topics["case-events"]:
            value = record.value or b""
            schema = bus().frame(value)
            if schema is None:
                if readable(value):
                    brought = record.headers.get(ADMITTED)
                    here = ticks[record.partition] if self._led else record.timestamp
                    yield value, int.from_bytes(brought, "big") if brought else here
            elif schema.name == "tick":
                ticks[record.partition] = max(ticks[record.partition], bus().decode(value)[1]["at"])

    def letters(self) -> list[dict[str, Any]]:
        """The dead letters."""
        return [bus().decode(r.value or b"")[1] for r in self.topics["dead-letters"]]

    def facts(self) -> list[tuple[bytes, bytes, Any]]:
        """Facts in `journeys`: root, fact, record."""
        found = self.latest("journeys").items()
        return [(k[1:17], k[17:], bus().decode(v)[1]) for k, v in found if k[:1] == b"f"]

    def merged(self) -> int:
        """Rows that have gone into another: shows that journeys did meet late."""
        return sum(r.headers.get("reason") == b"merged-into" for r in self.topics["statuses"])


async def aborted(brokers: str, instance: str) -> int:
    """Records of transactions that did not commit, of those before the last that did. May be asked at any time."""
    found = 0
    for name in ("case-events", "journeys"):
        committed = await _offsets(brokers, f"{instance}.{name}", "read_committed")
        every = await _offsets(brokers, f"{instance}.{name}", "read_uncommitted")
        for partition, offsets in every.items():
            known = committed.get(partition, set())
            last = max(known, default=0)
            found += sum(offset < last for offset in offsets - known)
    return found


async def _offsets(brokers: str, topic: str, isolation: str) -> dict[int, set[int]]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=brokers, isolation_level=isolation, auto_offset_reset="earliest", fetch_max_wait_ms=50
    )
    await consumer.start()
    try:
        parts: list[TopicPartition] = list(consumer.assignment())
        ends = await consumer.end_offsets(parts)
        found: dict[int, set[int]] = {}
        while [p for p in parts if await consumer.position(p) < ends[p]]:
            for part, got in (await consumer.getmany(timeout_ms=100)).items():
                found.setdefault(part.partition, set()).update(r.offset for r in got)
        return found
    finally:
        await consumer.stop()
