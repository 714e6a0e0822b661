"""The feed of one body: from `handoffs` to `inbox.<body>`, position and records in one transaction.

A handoff addressed to the body is written in every state that it passes while the feed is subscribed, once, under the handoff's key, with
the tombstones. Where there is no position (a new subscription, or one that slept until Kafka forgot it) the inbox is first made equal to
what `handoffs` says now: the newest state of each handoff, and a tombstone for each one that is no more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import Counter

from schemas.codec import bus
from streams.engine.visibility import for_addressee
from streams.runtime import clients
from streams.runtime.config import RuntimeConfig
from streams.runtime.offsets import Offsets
from streams.runtime.processor import Send
from streams.runtime.transaction import Transactions

WRITTEN = Counter("relais_inbox_records_total", "Records written to the inbox topics of bodies, tombstones included.")
HANDOFFS = "handoffs"
GONE = "withdrawn"
"""Reason of the tombstone of a handoff that is addressed to another body now, or that went unseen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedConfig:
    """Settings of the feeds."""

    brokers: str
    """`host:port` of brokers, with commas between."""
    instance: str = "main"
    """Instance whose handoffs are read."""
    security: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Further arguments of the Kafka clients."""
    batch_records: int = 2_000
    """At most so many records in one transaction."""
    poll_ms: int = 200
    """Wait for records in one poll."""
    idle_commit_s: float = 3_600.0
    """A position is committed at least this often, so that Kafka does not forget it while nothing happens."""
    look_s: float = 2.0
    """Who is subscribed is looked up this often."""
    retry_s: float = 2.0
    """Wait after a failure."""
    fenced_s: float = 60.0
    """Wait after another process took the feed over."""

    def runtime(self) -> RuntimeConfig:
        """The same as the clients of the runtime take it."""
        return RuntimeConfig(
            brokers=tuple(self.brokers.split(",")),
            instance=self.instance,
            group=f"{self.instance}.inbox",
            data_dir=Path(),
            security=self.security,
        )


def topic_of(instance: str, body: str) -> str:
    """Name of the topic of a body's inbox."""
    return f"{instance}.inbox.{body}"


class Feed:
    """Feeds the inbox of one body until it is cancelled or fails; then it is of no more use."""

    def __init__(self, body: str, config: FeedConfig) -> None:
        self._body = body
        self._config = config
        self._topic = topic_of(config.instance, body)
        runtime = config.runtime()
        self._transactions = Transactions(runtime, self._topic)
        self._offsets = Offsets(runtime)
        self._known: dict[bytes, bytes] = {}
        """What the inbox holds: digest of the value by key."""
        self._committed: dict[TopicPartition, tuple[int, float]] = {}
        """Position, and when it was committed by a monotonic clock."""
        self._bus = bus()
        self.lag = 0
        """Records of `handoffs` that it has not read yet."""

    async def run(self) -> None:
        """Run until cancelled. Raises TransactionFailed, KafkaError, WorkerEnd or OSError: start another one later."""
        async with AsyncExitStack() as held:
            held.push_async_callback(self._offsets.close)
            held.push_async_callback(self._transactions.close)
            await self._transactions.start()  # fences a former feed: what it has not committed is undone now
            consumer = await held.enter_async_context(clients.running(self._consumer()))
            await self._recall(consumer)
            parts = await self._begin(consumer)
            while True:
                await self._follow(consumer, parts)

    def _consumer(self) -> AIOKafkaConsumer:
        config = self._config
        return clients.reader(
            **config.runtime().client(),
            group_id=self._topic,
            auto_offset_reset="earliest",
            max_poll_records=config.batch_records,
            fetch_max_wait_ms=config.poll_ms,
        )

    async def _recall(self, consumer: AIOKafkaConsumer) -> None:
        """Learn what the inbox holds."""
        inbox = TopicPartition(self._topic, 0)
        await self._offsets.partitions(self._topic)
        async for record in self._until_end(consumer, [inbox]):
            self._note(record.key, record.value)

    async def _begin(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        """Go to the committed positions; without them bring the inbox up to date first."""
        handoffs = f"{self._config.instance}.{HANDOFFS}"
        parts = [TopicPartition(handoffs, p) for p in range(await self._offsets.partitions(handoffs))]
        ends = await self._offsets.ends(parts)
        consumer.assign(parts)
        positions = {tp: await consumer.committed(tp) for tp in parts}
        now = time.monotonic()
        if all(at is not None and at <= ends[tp] for tp, at in positions.items()):
            for tp, at in positions.items():
                consumer.seek(tp, at)
                self._committed[tp] = at, now
            return parts
        newest: dict[bytes, Send] = {}
        async for record in self._until_end(consumer, parts):
            send = self._send(record)
            if send is None:
                newest.pop(record.key, None)
            else:
                newest[record.key] = send
        gone = [self._tombstone(key, GONE) for key in self._known if key not in newest]
        kept = self._known
        changed = [s for k, s in newest.items() if kept.get(k) != (None if s.value is None else _digest(s.value))]
        await self._write([*gone, *changed])
        for tp in parts:
            await self._commit(tp, await consumer.position(tp), [])
        return parts

    async def _follow(self, consumer: AIOKafkaConsumer, parts: Sequence[TopicPartition]) -> None:
        polled = await consumer.getmany(*parts, timeout_ms=self._config.poll_ms)
        for tp, records in polled.items():
            sends = []
            for record in records:
                send = self._send(record)
                if send is not None:
                    self._note(send.key, send.value)
                    sends.append(send)
            if sends:
                await self._commit(tp, records[-1].offset + 1, sends)
        now = time.monotonic()
        positions = {tp: await consumer.position(tp) for tp in parts}
        for tp, position in positions.items():
            at, when = self._committed[tp]
            if position - at >= self._config.batch_records or now - when >= self._config.idle_commit_s:
                await self._commit(tp, position, [])
        self.lag = sum(max(0, (consumer.highwater(tp) or 0) - at) for tp, at in positions.items())

    def _send(self, record: Any) -> Send | None:
        """What a record of `handoffs` means for this inbox; None if it is nothing to it."""
        if record.value is None:
            return self._tombstone(record.key, _reason(record)) if record.key in self._known else None
        datum = self._bus.decode(record.value)[1]
        seen = for_addressee(datum, self._body)
        if seen is None:
            return self._tombstone(record.key, GONE) if record.key in self._known else None
        return Send(self._topic, 0, record.key, self._bus.encode("handoff", dict(seen)))

    def _tombstone(self, key: bytes, reason: str) -> Send:
        return Send(self._topic, 0, key, None, [("reason", reason.encode())])

    def _note(self, key: bytes | None, value: bytes | None) -> None:
        if key is not None and value is None:
            self._known.pop(key, None)
        elif key is not None and value is not None:
            self._known[key] = _digest(value)

    async def _write(self, sends: Sequence[Send]) -> None:
        """Write without a position: whoever comes after finds the same differences, less those."""
        for start in range(0, len(sends), self._config.batch_records):
            some = sends[start : start + self._config.batch_records]
            await self._transactions.commit(None, None, some)
            WRITTEN.inc(len(some))
            for send in some:
                self._note(send.key, send.value)

    async def _commit(self, tp: TopicPartition, position: int, sends: Sequence[Send]) -> None:
        await self._transactions.commit((tp, position, self._topic), None, sends)
        self._committed[tp] = position, time.monotonic()
        WRITTEN.inc(len(sends))

    async def _until_end(self, consumer: AIOKafkaConsumer, parts: Sequence[TopicPartition]) -> Any:
        """Every committed record that there is now."""
        ends = await self._offsets.ends(parts)
        consumer.assign(list(parts))
        for tp, start in (await self._offsets.starts(parts)).items():
            consumer.seek(tp, start)
        pending = set(parts)
        while pending:
            for records in (await consumer.getmany(*pending, timeout_ms=self._config.poll_ms)).values():
                for record in records:
                    yield record
            pending -= {tp for tp in set(pending) if await consumer.position(tp) >= ends[tp]}
            await asyncio.sleep(0)


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=8).digest()


def _reason(record: Any) -> str:
    return next((value.decode() for name, value in record.headers if name == "reason"), GONE)
