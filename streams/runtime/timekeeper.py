"""Established time over Kafka: every worker follows the time topic and reports; one of them coordinates.

The coordinator is whoever runs partition 0 of the leading topic. It writes through that partition's transactional
producer, so a former coordinator that has not noticed yet is fenced and can establish nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams.runtime import clients, metrics, timelog
from streams.runtime.config import Clock, RuntimeConfig
from streams.runtime.coordinator import Coordinator
from streams.runtime.ownership import Ownership
from streams.runtime.partition import PartitionWorker
from streams.runtime.time import Open, Participant, Word

log = logging.getLogger(__name__)

POLL_MS = 200
CATCH_UP_MS = 50
PATIENCE_S = 1.0
"""A worker reports what is ready after so long, though some of its partitions are not."""
RETRY_S = 0.5


@dataclass(slots=True)
class Round:
    """The round that is open, as this worker sees it."""

    open: Open
    offset: int
    """Offset of the opening in the time topic."""
    seen_at: float
    noted: dict[TopicPartition, int] = field(default_factory=dict)
    reported: set[TopicPartition] = field(default_factory=set)


class Timekeeper:
    """Follows the time topic, reports for the partitions of this worker, and coordinates if it leads."""

    def __init__(self, config: RuntimeConfig, ownership: Ownership, lead: TopicPartition) -> None:
        self.established: int | None = None
        """Last established time (ms)."""
        self._config = config
        self._ownership = ownership
        self._log = TopicPartition(config.time_log, 0)
        self._round: Round | None = None
        self._last_round = 0
        self._kick = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._consumer: AIOKafkaConsumer | None = None
        self._producer: AIOKafkaProducer | None = None
        self.coordinator = Coordinator(config, ownership, lead)

    def kick(self) -> None:
        """Something moved: look again whether there is something to report."""
        self._kick.set()

    async def start(self) -> None:
        """Read the topic to its end, so that time is known, then follow it."""
        await self.stop()
        await self._ownership.offsets.partitions(self._log.topic)
        self._producer = AIOKafkaProducer(**self._config.client(), enable_idempotence=True)
        await clients.start(self._producer)
        self._consumer = clients.reader(
            **self._config.client(),
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._config.fetch_max_wait_ms,
        )
        await clients.start(self._consumer)
        self._consumer.assign([self._log])
        await self._consumer.seek_to_beginning(self._log)
        end = (await self._ownership.offsets.ends([self._log]))[self._log]
        deadline = time.monotonic() + self._config.restore_stall_s
        while await self._consumer.position(self._log) < end and time.monotonic() < deadline:
            await self._read(self._consumer, CATCH_UP_MS)
        self._tasks = [
            asyncio.create_task(self._forever(work), name=f"time {name}")
            for name, work in (("follow", self._follow), ("report", self._report), ("lead", self._lead))
        ]

    async def stop(self) -> None:
        """Stop following."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in (self._consumer, self._producer):
            if client is not None:
                with contextlib.suppress(KafkaError):
                    await clients.stop(client)
        self._consumer = self._producer = None

    async def _forever(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:
                # Time stands still while the broker is away; nothing else does.
                log.warning("established time: %s", type(error).__name__, exc_info=not isinstance(error, KafkaError))
                await asyncio.sleep(RETRY_S)

    # Following

    async def _follow(self) -> None:
        assert self._consumer is not None
        await self._read(self._consumer, POLL_MS)

    async def _read(self, consumer: AIOKafkaConsumer, wait_ms: int) -> None:
        for records in (await consumer.getmany(timeout_ms=wait_ms)).values():
            for record in records:
                try:
                    self._see(record)
                except (ValueError, KeyError, TypeError) as error:
                    log.error("time topic, offset %d is not understood: %s", record.offset, type(error).__name__)
        self.coordinator.position = await consumer.position(self._log)

    def _see(self, record: Any) -> None:
        if record.key is None or record.value is None:
            return
        if record.key == timelog.ESTABLISHED_KEY:
            self._establish(timelog.load_established(record.value).at)
        elif record.key == timelog.OPEN_KEY:
            opening = timelog.load_open(record.value)
            self._round = Round(opening, record.offset, time.monotonic())
            self._last_round = max(self._last_round, opening.round)
            self.coordinator.opened(opening, record.timestamp)
            self._kick.set()
        elif record.key.startswith(timelog.REPORT_KEY):
            self.coordinator.reported(*timelog.load_report(record.value))

    def _establish(self, at: int) -> None:
        if self.established is not None and at <= self.established:
            return
        self.established = at
        metrics.TIME.set(at / 1000)
        metrics.TIME_MOVED.set_to_current_time()
        for worker in self._ownership.workers.values():
            worker.establish(at)

    # Reporting

    async def _report(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._kick.wait()
        self._kick.clear()
        current = self._round
        if current is None:
            return
        owned = {tp: worker for tp, worker in self._ownership.workers.items() if worker.ready}
        for gone in current.noted.keys() - owned.keys():
            del current.noted[gone]
            current.reported.discard(gone)
        fresh = owned.keys() - current.noted.keys()
        if fresh:
            current.noted.update(await self._ownership.offsets.ends(fresh))
        waiting = [tp for tp in owned if tp not in current.reported]
        due = [tp for tp in waiting if owned[tp].ready and owned[tp].done_to >= current.noted[tp]]
        if due and (len(due) == len(waiting) or time.monotonic() - current.seen_at > PATIENCE_S):
            await self._say(current, {tp: owned[tp] for tp in due})

    async def _say(self, current: Round, due: dict[TopicPartition, PartitionWorker]) -> None:
        assert self._producer is not None
        words = {
            Participant(tp.topic, tp.partition): Word(
                current.offset < worker.heat.since,
                worker.heat.take(),
                worker.progress if self._config.clock is Clock.LED else None,
            )
            for tp, worker in due.items()
        }
        first = min(due)
        key = timelog.REPORT_KEY + f"{self._config.slot or ''}{first.topic}/{first.partition}".encode()
        try:
            await self._producer.send_and_wait(
                self._log.topic, timelog.dump_report(current.open.round, words), key=key, partition=0
            )
        except BaseException:
            for (tp, worker), word in zip(due.items(), words.values(), strict=True):
                log.debug("report of %s/%s not sent", tp.topic, tp.partition)
                worker.heat.note(word.least)
            raise
        current.reported.update(due)

    # Leading

    async def _lead(self) -> None:
        await self.coordinator.turn(self.established, self._last_round)
