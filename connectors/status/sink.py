"""From Kafka into the read model: read committed, batch by batch, positions with effects.

It needs no consumer group: the positions are in the database, so that two processes on one database are harmless. A read model that
cannot go on from its positions (topics made anew, tombstones that may have been missed, tables lost) is built again from the
beginning while the old one is read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import DBAPIError

from connectors.status.tables import Tables
from connectors.status.writing import TOPICS, Batch, MovedError, Writer
from streams.runtime import clients
from streams.runtime.processor import Record

log = structlog.get_logger()

RECORDS = Counter("relais_read_model_records_total", "Records applied to the read model.", ["topic"])
LAG = Gauge("relais_read_model_lag_records", "Records of the bus that the read model has not applied yet.")
LOOKED = Gauge(
    "relais_read_model_looked_timestamp_seconds",
    "When the read model was last compared with the bus, seconds since the epoch; 0 where another process fills it.",
)
UNREADABLE = Gauge("relais_read_model_unreadable_facts", "Facts that this version of the read model cannot read.")
for _topic in TOPICS:
    RECORDS.labels(_topic)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig:
    """Settings of the sink."""

    brokers: str
    """`host:port` of brokers, with commas between."""
    instance: str = "main"
    """Instance whose outputs are read."""
    security: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Further arguments of the Kafka client: security_protocol, ssl_context, sasl_…"""
    batch_records: int = 2_000
    """At most so many records in one SQL transaction."""
    poll_ms: int = 200
    """Wait for records in one poll."""
    tombstone_retention_s: float = 6 * 86_400.0
    """After so long without a write tombstones may have been missed: built again. Below `delete.retention.ms`."""
    linger_s: float = 60.0
    """An old generation is dropped so long after a new one serves."""
    retry_s: float = 1.0
    """Wait after the database or Kafka failed."""

    def consumer(self) -> AIOKafkaConsumer:
        """A consumer without a group, not started: where it reads is said each time."""
        return clients.reader(
            bootstrap_servers=self.brokers,
            auto_offset_reset="none",
            max_poll_records=self.batch_records,
            fetch_max_wait_ms=self.poll_ms,
            **self.security,
        )


class Sink:
    """Fills the read model until it is stopped."""

    def __init__(self, writer: Writer, config: SinkConfig) -> None:
        self._writer = writer
        self._config = config
        self._tables: Tables | None = None
        self._rebuild = False
        self._drop_at: float | None = None
        self.ready = asyncio.Event()
        """Set once it has caught up with what was there at its start."""

    def rebuild(self) -> None:
        """Build the read model again from the beginning; the old one is read until the new one has caught up."""
        self._rebuild = True

    async def run(self) -> None:
        """Run until cancelled. Failures of Kafka and of the database are waited out."""
        while True:
            try:
                await self._session()
            except MovedError:
                log.info("another process wrote the read model, positions are read again")
            except (DBAPIError, OSError) as error:
                log.warning("the read model cannot be filled now", error=type(error).__name__)
            except Exception as error:
                log.exception("the read model cannot be filled now", error=type(error).__name__)
            await asyncio.sleep(self._config.retry_s)

    async def _session(self) -> None:
        async with clients.running(self._config.consumer()) as consumer:
            partitions = await self._partitions(consumer)
            consumer.assign(partitions)
            while True:
                await self._follow(consumer, partitions)

    async def _partitions(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        found: list[TopicPartition] = []
        for name in TOPICS:
            topic = f"{self._config.instance}.{name}"
            parts = consumer.partitions_for_topic(topic) or await self._ask(consumer, topic)
            found += [TopicPartition(topic, p) for p in sorted(parts)]
        return found

    async def _ask(self, consumer: AIOKafkaConsumer, topic: str) -> set[int]:
        await consumer._client.set_topics({f"{self._config.instance}.{name}" for name in TOPICS})
        parts: set[int] | None = consumer.partitions_for_topic(topic)
        if not parts:
            raise ConnectionError(f"there is no topic {topic}")
        return parts

    async def _follow(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        """Read one generation until a rebuild is asked for."""
        fresh, self._rebuild, self._drop_at = self._rebuild, False, None
        tables = self._tables = await asyncio.to_thread(self._writer.begin, fresh)
        positions, updated = await asyncio.to_thread(self._writer.positions, tables)
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        at = {tp: positions.get((self._name(tp), tp.partition), 0) for tp in partitions}
        slept = time.time() - updated / 1000 > self._config.tombstone_retention_s
        if any(at[tp] > ends[tp] for tp in partitions) or (positions and slept):
            log.warning("the read model cannot go on from its positions, it is built again")
            self._rebuild = True
            return
        for tp in partitions:
            consumer.seek(tp, max(at[tp], begins[tp]))
        pending = {tp for tp in partitions if ends[tp] > begins[tp]}
        while not self._rebuild:
            polled = await consumer.getmany(*partitions, timeout_ms=self._config.poll_ms)
            await self._apply(consumer, tables, polled, at)
            if pending:
                await self._caught_up(consumer, pending, ends)
            if not pending and self._drop_at is None:
                await self._switch(tables)
            LAG.set(sum([max(0, (consumer.highwater(tp) or 0) - await consumer.position(tp)) for tp in partitions]))
            LOOKED.set_to_current_time()
            if self._drop_at is not None and time.monotonic() > self._drop_at:
                self._drop_at = float("inf")
                await asyncio.to_thread(self._writer.drop_others, tables)

    async def _apply(
        self,
        consumer: AIOKafkaConsumer,
        tables: Tables,
        polled: Mapping[TopicPartition, list[Any]],
        at: dict[TopicPartition, int],
    ) -> None:
        batches = [
            Batch(
                self._name(tp),
                tp.partition,
                at[tp],
                records[-1].offset + 1,
                [Record(r.offset, r.timestamp, r.key, r.value, r.headers) for r in records],
            )
            for tp, records in polled.items()
            if records
        ]
        if not batches:
            return
        await asyncio.to_thread(self._writer.apply, tables, batches)
        for batch in batches:
            at[TopicPartition(f"{self._config.instance}.{batch.topic}", batch.partition)] = batch.next
            RECORDS.labels(batch.topic).inc(len(batch.records))
        UNREADABLE.set(self._writer.unreadable)

    async def _caught_up(
        self, consumer: AIOKafkaConsumer, pending: set[TopicPartition], ends: Mapping[TopicPartition, int]
    ) -> None:
        for tp in list(pending):
            if await consumer.position(tp) >= ends[tp]:
                pending.discard(tp)

    async def _switch(self, tables: Tables) -> None:
        if not await asyncio.to_thread(self._writer.serves, tables):
            await asyncio.to_thread(self._writer.serve, tables)
            log.info("a new generation of the read model serves", generation=tables.number)
        self._drop_at = time.monotonic() + self._config.linger_s
        self.ready.set()

    def _name(self, tp: TopicPartition) -> str:
        return str(tp.topic).removeprefix(f"{self._config.instance}.")
