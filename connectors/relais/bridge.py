"""Carries the facts of another bus to this one: facts, dead letters and where it has read to in one transaction of this bus.

Where it has read to is kept on the bus that is written, so both may be on one cluster or on two. A second bridge of the same name fences
the first, whose open transaction is undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import Counter, Gauge

from connectors.kit.session import topic_of
from connectors.relais.carrying import Carrying
from streams.engine.routing import CASE_EVENTS, REFERENCE
from streams.runtime import clients
from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import RuntimeReason, WorkerEnd
from streams.runtime.offsets import Offsets
from streams.runtime.processor import Record, Send
from streams.runtime.recovery import Job, restore
from streams.runtime.store import Change, MemoryStore
from streams.runtime.transaction import Transactions

log = structlog.get_logger()

CARRIED = Counter("relais_bridge_records_total", "Records that a bridge wrote, dead letters included.", ["bridge"])
LAG = Gauge("relais_bridge_lag_records", "Records of the other bus that a bridge has not read yet.", ["bridge"])
LOST = Counter(
    "relais_bridge_lost_records_total", "Records that the other bus dropped before they were read.", ["bridge"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeConfig:
    """Settings of a bridge."""

    name: str
    """Name of its state topic and transactional id; it never changes."""
    brokers: tuple[str, ...]
    """`host:port` of brokers of the other bus."""
    instance: str
    """Instance of the other bus."""
    security: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Further arguments of the Kafka clients of the other bus."""
    batch_records: int = 2_000
    """At most so many records in one transaction."""
    poll_ms: int = 200
    """Wait for records in one poll."""


class Bridge:
    """Carries until it is cancelled or fails; then it is of no more use."""

    def __init__(self, config: BridgeConfig, here: RuntimeConfig, carrying: Carrying) -> None:
        """`here`: the bus that is written."""
        self._config = config
        self._here = here
        self._carrying = carrying
        self._topic = topic_of(here.instance, config.name)
        self._transactions = Transactions(here, self._topic)
        self._store = MemoryStore()

    async def run(self) -> None:
        """Run until cancelled. Raises TransactionFailed, KafkaError, WorkerEnd or OSError: start another one later."""
        async with AsyncExitStack() as held:
            held.push_async_callback(self._transactions.close)
            await self._transactions.start()  # fences a former bridge: what it has not committed is undone now
            await self._recall()
            consumer = await held.enter_async_context(clients.running(self._consumer()))
            await self._begin(consumer)
            while True:
                await self._turn(consumer)

    def _consumer(self) -> AIOKafkaConsumer:
        config = self._config
        return clients.reader(
            bootstrap_servers=list(config.brokers),
            auto_offset_reset="none",
            max_poll_records=config.batch_records,
            **config.security,
        )

    async def _recall(self) -> None:
        """Learn where the last bridge had read to."""
        offsets = Offsets(self._here)
        try:
            await offsets.partitions(self._topic)
            job = Job(TopicPartition(self._topic, 0), self._store, lambda _key, _value: [], ("bridge", "0"))
            await restore(self._here, offsets, [job])
        finally:
            await offsets.close()

    async def _begin(self, consumer: AIOKafkaConsumer) -> None:
        config = self._config
        there = RuntimeConfig(
            brokers=config.brokers,
            instance=config.instance,
            group=self._topic,
            data_dir=self._here.data_dir,
            security=config.security,
        )
        offsets = Offsets(there)
        try:
            names = [f"{config.instance}.{name}" for name in (CASE_EVENTS, REFERENCE)]
            parts = [TopicPartition(name, p) for name in names for p in range(await offsets.partitions(name))]
            starts, ends = await offsets.starts(parts), await offsets.ends(parts)
        finally:
            await offsets.close()
        consumer.assign(parts)
        for tp in parts:
            known = self._store.get(_key(tp))
            at = int(known) if known is not None else starts[tp]
            if at > ends[tp]:
                mend = "choose another name for this bridge if that topic was made anew"
                raise WorkerEnd(
                    RuntimeReason.INPUT_TRUNCATED, f"{tp.topic} is shorter than what was read of it: {mend}"
                )
            if at < starts[tp] and tp.topic.endswith(CASE_EVENTS):
                LOST.labels(config.name).inc(starts[tp] - at)
                log.error("a bridge was away for too long: facts were dropped before it read them", bridge=config.name)
            consumer.seek(tp, max(at, starts[tp]))

    async def _turn(self, consumer: AIOKafkaConsumer) -> None:
        polled = await consumer.getmany(timeout_ms=self._config.poll_ms, max_records=self._config.batch_records)
        sends: list[Send] = []
        state: list[Change] = []
        for tp, records in polled.items():
            for one in records:
                record = Record(one.offset, one.timestamp, one.key, one.value, one.headers)
                send = self._carrying.carried(tp.topic, tp.partition, record)
                if send is not None:
                    sends.append(send)
            state.append((_key(tp), str(records[-1].offset + 1).encode()))
        if state:
            await self._transactions.commit(None, (self._topic, 0, state), sends)
            CARRIED.labels(self._config.name).inc(len(sends))
        LAG.labels(self._config.name).set(
            sum([max(0, (consumer.highwater(tp) or 0) - await consumer.position(tp)) for tp in consumer.assignment()])
        )


def _key(tp: TopicPartition) -> bytes:
    return f"{tp.topic}|{tp.partition}".encode()
