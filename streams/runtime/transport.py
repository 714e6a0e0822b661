"""Faust's Kafka transport, handing over whole batches of a partition for the topics that ask for it.

Everything else of Faust keeps working as it was: membership, rebalance, flow control, agents, tables, web. The scheme
is `relais://`. The internals used here are those of faust-streaming 0.15.3; tests pin each of them.

A fetch and a seek exclude each other by a lock, and a batch says which seek it follows, so nothing that was fetched
before a seek is ever taken for what comes after it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import OffsetResetStrategy
from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.consumer import Fetcher, ensure_TP
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.transport.drivers.aiokafka import Transport as FaustTransport
from faust.types import TP, ConsumerMessage

from streams.runtime.batch import Intake, PartitionBatch, intake_of


class Fetch(NamedTuple):
    """What one poll gave, taken in one step of the consumer's thread."""

    records: Mapping[TP, list[Any]]
    seen: Mapping[TP, tuple[int, int]]
    """(position, high watermark) of each partition asked for, right after the records were taken."""
    lost: frozenset[TP] = frozenset()
    """Partitions whose log does not have the position any more, or never had it."""


class ConsumerThread(AIOKafkaConsumerThread):
    """The thread in which the Kafka consumer lives."""

    def _stopped_set(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closed already: it has stopped
            super()._stopped_set()

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        intake = intake_of(self.app)
        if intake is not None:
            # Without tables Faust would leave its own assignor out, and with it the bundles.
            self._assignor = self.app.assignor
            consumer._partition_assignment_strategy = (self.app.assignor,)
            consumer._isolation_level = "read_committed"
            consumer._fetch_max_wait_ms = intake.fetch_max_wait_ms
            consumer._max_partition_fetch_bytes = intake.max_fetch_bytes
            consumer._max_poll_records = intake.max_poll_records
        return consumer

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> Any:
        intake = intake_of(self.app)
        if intake is None:
            return await super()._fetch_records(consumer, active_partitions, timeout=timeout, max_records=max_records)
        if all(tp.topic in intake.topics for tp in consumer.assignment()):
            # Else a position that is gone would be put to the beginning, and nobody would know what was left out.
            consumer._fetcher._default_reset_strategy = OffsetResetStrategy.NONE
        try:
            records = await super()._fetch_records(
                consumer, active_partitions, timeout=timeout, max_records=max_records
            )
        except OffsetOutOfRangeError as gone:
            return Fetch({}, {}, frozenset(map(ensure_TP, gone.args[0])))
        except NoOffsetForPartitionError:
            return Fetch({}, {})  # asked for before the seek that goes before all reading
        seen: dict[TP, tuple[int, int]] = {}
        subscription = consumer._subscription.subscription
        if subscription is not None and subscription.assignment is not None:
            for tp in subscription.assignment.tps:
                state = subscription.assignment.state_value(tp)
                if state is not None and state.has_valid_position:
                    seen[ensure_TP(tp)] = (state.position, state.highwater or 0)
        return Fetch({ensure_TP(tp): found for tp, found in records.items()}, seen)

    async def committed(self, tps: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Committed offsets of the group, asked from the broker; None where there is none."""
        return await self._ask(self._committed, tps)  # type: ignore[no-any-return]

    async def seek_to_committed(self) -> Any:
        """Seek all partitions to what the group committed; where that is."""
        return await self._ask(self._ensure_consumer().seek_to_committed)

    async def _ask(self, work: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Do something in the consumer's thread.

        A rebalance cancels what waits there. Passed on, that would end whoever asked, and Faust's task that takes partitions for good.

        Raises:
            IllegalStateError: a rebalance came in between; Faust, too, takes it so.
        """
        try:
            return await self.call_thread(work, *args)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise IllegalStateError("a rebalance came in between") from None

    async def _committed(self, tps: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        consumer = self._ensure_consumer()
        found = await consumer._coordinator.fetch_committed_offsets(tps)
        offsets = {tp: found[tp].offset if tp in found else -1 for tp in tps}
        return {tp: offset if offset >= 0 else None for tp, offset in offsets.items()}

    def refusal(self) -> BaseException | None:
        """Why the group does not let this member in, if it has said so for good."""
        coordinator = getattr(self._consumer, "_coordinator", None)
        refusal: BaseException | None = getattr(coordinator, "_pending_exception", None)
        return None if getattr(refusal, "retriable", False) else refusal

    async def seek_all(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Seek partitions, in the consumer's own thread."""
        await self._ask(self._seek_all, offsets)

    async def _seek_all(self, offsets: Mapping[TopicPartition, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        for tp, offset in offsets.items():
            if tp in assigned:
                consumer.seek(tp, offset)


class Consumer(FaustConsumer):
    """Delivers batches for the topics of the intake and messages, as Faust does, for all others."""

    _thread: ConsumerThread
    _n_acked: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetching = asyncio.Lock()
        self._ends: dict[TP, int] = {}

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def committed(self, tps: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Committed offsets of the group, asked from the broker; None where there is none."""
        return await self._thread.committed(tps)

    def refusal(self) -> BaseException | None:
        """Why the group does not let this member in, if it has said so for good."""
        return self._thread.refusal()

    async def perform_seek(self) -> None:
        """Seek every partition to where it goes on; batches fetched before are void."""
        intake = intake_of(self.app)
        if intake is None:
            await super().perform_seek()
            return
        async with self._fetching:
            await super().perform_seek()
            tps = [TopicPartition(*tp) for tp in self.assignment() if tp.topic in intake.topics]
            await self._seek_bulk(intake, tps)

    async def seek_bulk(self, tps: list[TopicPartition]) -> None:
        """Seek these partitions to where the intake says that they go on; batches fetched before are void."""
        intake = intake_of(self.app)
        assert intake is not None
        async with self._fetching:
            await self._seek_bulk(intake, tps)

    async def _seek_bulk(self, intake: Intake, tps: list[TopicPartition]) -> None:
        offsets = {tp: position for tp in tps if (position := intake.position(tp)) is not None}
        await self._thread.seek_all(offsets)
        for tp in offsets:
            self._ends.pop(ensure_TP(tp), None)
            self._read_offset[ensure_TP(tp)] = None
            intake.sought(tp)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Watch over a partition; those of the intake have a watchdog of their own."""
        intake = intake_of(self.app)
        if intake is None or tp.topic not in intake.topics:
            super().verify_event_path(now, tp)

    async def _drain_messages(self, fetcher: Fetcher) -> None:
        intake = intake_of(self.app)
        if intake is None:
            await super()._drain_messages(fetcher)
            return
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await asyncio.sleep(0)
                await self._poll(intake)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
            self.log.info("Broker stopped consumer, shutting down...")
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise
            self.log.info("Consumer shutting down for user cancel.")

    async def _poll(self, intake: Intake) -> None:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        wanted = {
            tp for tp in self._get_active_partitions() if tp.topic not in intake.topics or intake.accepts(_plain(tp))
        }
        if not wanted:
            await intake.room()
            return
        async with self._fetching:
            generation = self.app.consumer_generation_id
            fetch = await self._getmany(wanted, intake.poll_s)
            if generation != self.app.consumer_generation_id or not self.flow_active or not isinstance(fetch, Fetch):
                # What was read is dropped; Faust seeks at the end of the rebalance that has begun.
                return
            batches = self._batches(intake, fetch)
        for tp in fetch.lost:
            intake.lost(_plain(tp))
        for batch in batches:
            if not await self._deliver(_message(batch, generation), generation):
                return
        for tp, record in self.scheduler.iterate(fetch.records):
            if tp.topic not in intake.topics and not await self._deliver_one(tp, record, generation):
                return

    def _batches(self, intake: Intake, fetch: Fetch) -> list[PartitionBatch]:
        batches = []
        for tp, (position, highwater) in fetch.seen.items():
            if tp.topic not in intake.topics:
                continue
            plain = _plain(tp)
            records = fetch.records.get(tp, [])
            base = self._ends.get(tp)
            intake.fetched(plain, len(records), highwater)
            if records or position != base:
                self._ends[tp] = position
                batches.append(PartitionBatch(plain, base, position, records, intake.epoch(plain)))
        return batches

    async def _deliver(self, message: ConsumerMessage, generation: int) -> bool:
        if not self.flow_active or generation != self.app.consumer_generation_id:
            return False
        await self.wait_first(self.callback(message), self.suspend_flow.wait())
        return True

    async def _deliver_one(self, tp: TP, record: Any, generation: int) -> bool:
        """Do with one message of an ordinary topic what Faust does."""
        offset = record.offset
        read = self._read_offset[tp]
        if read is not None and offset < read:
            return True
        if read and offset - read > 1 and self.app.topics.acks_enabled_for(tp.topic):
            await self._add_gap(tp, read + 1, offset)
        if self._commit_every is not None and self._n_acked >= self._commit_every:
            self._n_acked = 0
            await self.commit()
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        if not await self._deliver(self._to_message(tp, record), generation):
            return False
        self._read_offset[tp] = offset
        return True


class Transport(FaustTransport):
    """The transport behind `relais://host:port`."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    default_port = 9092


def _plain(tp: TP) -> TopicPartition:
    return TopicPartition(tp.topic, tp.partition)


def _message(batch: PartitionBatch, generation: int) -> ConsumerMessage:
    tp = TP(batch.tp.topic, batch.tp.partition)
    last = batch.records[-1].timestamp / 1000.0 if batch.records else 0.0
    return ConsumerMessage(
        tp.topic, tp.partition, batch.end - 1, last, 1, (), None, batch, None, 0, 0, tp, generation_id=generation
    )
