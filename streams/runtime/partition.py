"""One partition of one stage: a queue, a task, and one transaction at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from aiokafka import TopicPartition

from streams.runtime import metrics
from streams.runtime.batch import PartitionBatch
from streams.runtime.bundle import Bundle
from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import RuntimeReason, TransactionFailed, WorkerEnd, gives_up
from streams.runtime.metrics import AbortReason
from streams.runtime.processor import Effects, Processor, Record, Send, process, timers
from streams.runtime.stage import Stage
from streams.runtime.store import Store, StoreDamaged
from streams.runtime.transaction import Share
from streams.runtime.turns import Pieces, in_pieces

log = logging.getLogger(__name__)


E = TypeVar("E", Effects, Effects | None)


@dataclass(slots=True)
class Request:
    """Records to write in a transaction of their own, between two batches."""

    sends: list[Send]
    done: asyncio.Future[None]


@dataclass(slots=True)
class Heat:
    """What a partition sent since it last reported: the part of established time that a partition keeps."""

    least: int | None = None
    """Least stamp among the messages sent."""
    since: int = 0
    """End of the time topic when the partition was taken or its state rebuilt; rounds opened before are dirty."""

    def note(self, least: int | None) -> None:
        """Count what is about to be sent."""
        if least is not None and (self.least is None or least < self.least):
            self.least = least

    def take(self) -> int | None:
        """Return the least stamp since the last call, and forget it."""
        least, self.least = self.least, None
        return least


Recover = Callable[["PartitionWorker"], Awaitable[None]]


class PartitionWorker:
    """Runs the processor of one partition.

    Work goes on only while `ready`: from the end of a rebuild to the next failure or revocation. After a failure the
    state is rebuilt from committed offset and changelog by `recover`, which the owner gives.
    """

    def __init__(
        self,
        config: RuntimeConfig,
        stage: Stage,
        tp: TopicPartition,
        bundle: Bundle,
        recover: Recover,
        turns: asyncio.Lock,
    ) -> None:
        """`turns`: held by the one partition of this process that computes."""
        self.config, self.stage, self.tp, self.bundle = config, stage, tp, bundle
        self.labels = (stage.label or stage.name, str(tp.partition))
        self.store: Store | None = None
        self.processor: Processor | None = None
        self.next_offset: int | None = None
        """Committed offset; None if nothing was ever committed."""
        self.start_offset = 0
        """Where reading begins if nothing was ever committed."""
        self.progress: int | None = None
        self.heat = Heat()
        self.intact = False
        """Whether bundle, store and processor are those of one rebuild that nothing has spoilt since."""
        self.step = asyncio.Lock()
        """Held while a transaction runs, and while the partition is taken or rebuilt: never both."""
        self.epoch = 0
        self.pending = 0
        """Records fetched for this partition and not yet taken by it."""
        self.committed_at = time.monotonic()
        self.highwater = 0
        self._read = -1
        self._chain: int | None = None
        self._broken = False
        self._busy = False
        self._queue: deque[Any] = deque()
        self._requests: deque[Request] = deque()
        self._established: int | None = None
        self._timed: int | None = None
        self._ready = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._recover = recover
        self._turns = turns
        self._failures = 0
        self._fences: deque[float] = deque(maxlen=config.max_fences)
        self.on_progress: Callable[[], None] = lambda: None
        self.on_room: Callable[[], None] = lambda: None
        self.on_end: Callable[[WorkerEnd], None] = lambda _: None

    @property
    def ready(self) -> bool:
        """Whether work goes on."""
        return self._ready

    @property
    def position(self) -> int:
        """Offset at which reading goes on."""
        return self.start_offset if self.next_offset is None else self.next_offset

    @property
    def done_to(self) -> int:
        """Everything before this offset is committed, or was not to be seen."""
        return self.position if self._queue or self._busy else max(self.position, self._read)

    @property
    def lag(self) -> int:
        """Offsets between here and the end of the log."""
        return max(0, self.highwater - self.done_to)

    @property
    def timed(self) -> int | None:
        """Established time (ms) up to which timers have run; None until they have since the last rebuild."""
        return self._timed

    def resume(self) -> None:
        """Work goes on, after a rebuild."""
        self._ready = True
        self._timed = None
        self.committed_at = time.monotonic()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"partition {self.tp.topic}/{self.tp.partition}")
        self._wake.set()

    def hold(self) -> None:
        """Take no more work, and drop what was fetched; what runs goes on to its end."""
        self._ready = False
        self.clear()
        self._refuse()

    async def pause(self, budget_s: float) -> None:
        """Take no more work; wait for the running transaction, at most so many seconds."""
        self.hold()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(budget_s), self.step:
                pass

    async def stop(self, budget_s: float) -> None:
        """End: finish the running transaction, close the store."""
        await self.pause(budget_s)
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.intact = False
        if self.store is not None:
            self.store.close()
            self.store = None

    def clear(self) -> None:
        """Drop everything that was fetched and not yet processed."""
        self._queue.clear()
        self.pending = 0
        self._read, self._chain, self._broken = -1, None, False
        self.on_room()

    def _refuse(self) -> None:
        """Tell those who wait that their records will not be written."""
        while self._requests:
            _refuse(self._requests.popleft())

    def sought(self) -> None:
        """Everything fetched before is void."""
        self.epoch += 1
        self.clear()

    def submit(self, batch: PartitionBatch) -> None:
        """Take a batch from the transport."""
        if batch.epoch != self.epoch:
            return
        if batch.base != self._chain:
            if self._chain is None:
                return  # what came before was dropped: a seek follows
            self._broken = True
        else:
            self._chain = self._read = batch.end
            self._queue.extend(batch.records)
        self._wake.set()
        if not batch.records and not self._queue:
            self.on_progress()

    def lost(self) -> None:
        """What comes next in the log is not there."""
        self._broken = True
        self._wake.set()

    def establish(self, established: int) -> None:
        """Established time moved (ms)."""
        self._established = established
        self._wake.set()

    def request(self, sends: list[Send]) -> asyncio.Future[None]:
        """Write these records in a transaction of their own, fenced like every other of this partition."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._ready:
            done.set_exception(TransactionFailed(AbortReason.BROKER, "partition not ready"))
            return done
        self._requests.append(Request(sends, done))
        self._wake.set()
        return done

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ready and self._has_work():
                try:
                    async with self.step:
                        self._busy = True
                        try:
                            await self._turn()
                        finally:
                            self._busy = False
                    self.on_progress()
                except TransactionFailed as failure:
                    await self._failed(failure)
                except WorkerEnd as end:
                    self._ready = self.intact = False
                    self.on_end(end)
                except Exception as error:
                    self._ready = self.intact = False
                    log.exception("partition %s/%s", self.tp.topic, self.tp.partition)
                    self.on_end(WorkerEnd(RuntimeReason.BUG, type(error).__name__))
                await asyncio.sleep(0)

    def _has_work(self) -> bool:
        return bool(self._queue or self._requests or self._broken or self._timed != self._established)

    async def _turn(self) -> None:
        """Do at most one transaction of each kind, so that none waits for another for ever."""
        if not self._ready:
            return
        if self._broken:
            raise TransactionFailed(AbortReason.CHAIN)
        if self._timed is None and self._established is not None:
            await self._timers()  # a processor learns what time it is before it sees its first record
        if self._queue and self._ready:
            await self._batch()
        if self._requests and self._ready:
            request = self._requests.popleft()
            try:
                await self._commit(Effects(sends=request.sends), None)
            except BaseException:
                _refuse(request)
                raise
            if not request.done.done():
                request.done.set_result(None)
        if self._timed != self._established and self._ready:
            await self._timers()

    async def _batch(self) -> None:
        async with self._turns:
            if not (self._queue and self._ready):
                return  # held while it waited for its turn
            records = self._next()
            if not records:
                return
            effects = await self._work(process(self._processor, records))
        await self._commit(effects, records[-1].offset + 1)
        metrics.BATCHES.labels(*self.labels).inc()
        metrics.RECORDS.labels(*self.labels).inc(len(records))

    def _next(self) -> list[Record]:
        """Take the next records out of the queue.

        Whoever seeks may have read the position while a transaction ran: what that has committed comes again, and is left out here.
        """
        queue, limit = self._queue, self.config.max_batch_records
        while queue and queue[0].offset < self.position:
            queue.popleft()
            self.pending -= 1
        count = min(len(queue), limit)
        records = [Record(r.offset, r.timestamp, r.key, r.value, r.headers) for r in islice(queue, count)]
        if count == len(queue):
            queue.clear()
        else:
            for _ in range(count):
                queue.popleft()
        self.pending -= count
        self.on_room()
        return records

    async def _timers(self) -> None:
        at = self._established
        assert at is not None
        limit = self.config.timers_limit
        async with self._turns:
            if not self._ready:
                return
            effects = await self._work(timers(self._processor, at, limit))
        if effects is None:
            self._timed = at
        elif effects.state or effects.sends:
            await self._commit(effects, self.position)
        elif self.next_offset is not None:
            # Only the index moves: nothing that Kafka needs to know. A store without an offset has to stay empty, however.
            self._write(effects, None)

    @property
    def _processor(self) -> Processor:
        assert self.processor is not None, "there is one while work goes on"
        return self.processor

    async def _work(self, work: Pieces[E]) -> E:
        """Let the processor work, and say what ends it."""
        try:
            return await in_pieces(work, metrics.PROCESS_SECONDS.labels(*self.labels).inc)
        except StoreDamaged as damage:
            raise TransactionFailed(AbortReason.STORE, str(damage)) from damage
        except Exception as error:
            log.exception("processor of %s/%s raised", self.tp.topic, self.tp.partition)
            detail = f"{type(error).__name__} in {self.stage.name} {self.tp.partition} at offset {self.position}"
            raise WorkerEnd(RuntimeReason.PROCESSOR, detail) from error

    async def _commit(self, effects: Effects, next_offset: int | None) -> None:
        """Write the effects and the next offset (None: no offset) in one transaction, then to the store."""
        if effects.state and self.stage.changelog is None:
            raise WorkerEnd(RuntimeReason.PROCESSOR, f"{self.stage.name} has no changelog, but state to keep")
        begun = time.perf_counter()
        # Counted before the outcome is known: what may have been sent was sent.
        self.heat.note(effects.least)
        state = (self.stage.changelog, self.tp.partition, effects.state) if self.stage.changelog else None
        offset = None if next_offset is None else (self.tp, next_offset, self.config.group)
        position = await self.bundle.commit(Share(offset, state, effects.sends))
        self._write(effects, position)
        if next_offset is not None:
            self.next_offset = next_offset
        if effects.progress is not None:
            self.progress = effects.progress
        self._failures = 0
        self.committed_at = time.monotonic()
        metrics.COMMITS.labels(*self.labels).inc()
        metrics.COMMIT_SECONDS.labels(self.stage.name).observe(time.perf_counter() - begun)
        metrics.SENT.labels(*self.labels).inc(len(effects.state) + len(effects.sends))
        metrics.SENT_BYTES.labels(*self.labels).inc(effects.size)

    def _write(self, effects: Effects, position: int | None) -> None:
        if self.store is None or not (effects.state or effects.local):
            return
        changes = [*effects.state, *effects.local] if effects.local else effects.state
        try:
            self.store.write(changes, self.store.position() if position is None else position)
        except Exception as error:
            raise TransactionFailed(AbortReason.STORE, str(error)) from error

    async def _failed(self, failure: TransactionFailed) -> None:
        """Start again from what is committed."""
        self.intact = False
        self.hold()
        metrics.ABORTS.labels(*self.labels, failure.code.value).inc()
        log.warning("transaction of %s/%s failed: %s", self.tp.topic, self.tp.partition, failure)
        self._failures += 1
        now = time.monotonic()
        where = f"{self.stage.name} {self.tp.partition}"
        if failure.code is AbortReason.FENCED:
            self._fences.append(now)
            if len(self._fences) == self._fences.maxlen and now - self._fences[0] < 60:
                self.on_end(WorkerEnd(RuntimeReason.FENCED_REPEATEDLY, where))
                return
        if self._failures >= self.config.max_failures:
            self.on_end(gives_up(where, failure))
            return
        if self._failures > 1:
            await asyncio.sleep(min(5.0, 0.1 * 2**self._failures))
        await self._recover(self)


def _refuse(request: Request) -> None:
    if not request.done.done():
        request.done.set_exception(TransactionFailed(AbortReason.BROKER, "not written"))
