"""Which partitions this worker runs, and how each is taken, kept, rebuilt and given back.

The order is what makes it safe. To take a partition: fence whoever had it, by starting the transactional producer of
its id; then read the committed offset; then restore the state, to the end that the changelog has now; then seek; only
then work. Since state and offset were written in one transaction, the restored state belongs to exactly that offset.

The partitions of a bundle share that producer: they are taken and rebuilt together, or not at all.

A bundle that comes back after a rebalance is kept as it is if its producer lives and the committed offsets are its
own. Had another worker had it in between, that producer would be fenced, and nothing that it sends could be committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from aiokafka import TopicPartition

from streams.runtime import metrics
from streams.runtime.bundle import Bundle, id_of
from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import RuntimeReason, Superseded, WorkerEnd, gives_up
from streams.runtime.offsets import Offsets
from streams.runtime.partition import PartitionWorker
from streams.runtime.recovery import Job, restore
from streams.runtime.rocks import Stores
from streams.runtime.stage import Stage
from streams.runtime.store import MemoryStore, StoreDamaged
from streams.runtime.transaction import Transactions

log = logging.getLogger(__name__)

OFFSET_WAIT_S = 0.5


class Group(Protocol):
    """What ownership asks of the consumer."""

    async def committed(self, tps: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Committed offsets of the group; None where there is none."""
        ...

    async def seek_bulk(self, tps: list[TopicPartition]) -> None:
        """Seek these partitions to their `position`."""
        ...


Generation = Callable[[], int]


class Ownership:
    """The partitions of this worker; also what the transport asks about them (`batch.Intake`)."""

    def __init__(
        self,
        config: RuntimeConfig,
        stages: Sequence[Stage],
        group: Callable[[], Group],
        generation: Generation,
        end: Callable[[WorkerEnd], None],
    ) -> None:
        self.workers: dict[TopicPartition, PartitionWorker] = {}
        self.topics = frozenset(topic for stage in stages for topic in stage.topics)
        self.bundles = config.bundles
        self.poll_s = config.poll_ms / 1000
        self.fetch_max_wait_ms = config.fetch_max_wait_ms
        self.max_fetch_bytes = config.max_fetch_bytes
        self.max_poll_records = config.max_queue_records
        self.offsets = Offsets(config)
        self.moved_at = 0.0
        """When a rebuild last took a step, by the monotonic clock: a long one is no reason to end."""
        self.on_progress: Callable[[], None] = lambda: None
        self.established: Callable[[], int | None] = lambda: None
        self.trace: Callable[[str, TopicPartition], None] = lambda _step, _tp: None
        """Called at each step of a rebuild; for tests and for the log."""
        self._config = config
        self._stages = {topic: stage for stage in stages for topic in stage.topics}
        self._group = group
        self._generation = generation
        self._end = end
        self._bundles: dict[str, Bundle] = {}
        self._stores = Stores(config)
        self._assigning = asyncio.Lock()
        self._turns = asyncio.Lock()
        self._fencing = asyncio.Semaphore(config.fence_parallel)
        self._room = asyncio.Event()
        self._stopped = False

    def stage_of(self, topic: str) -> str:
        """Metrics label of the stage that reads a topic."""
        stage = self._stages[topic]
        return stage.label or stage.name

    def stages(self) -> list[Stage]:
        """All stages."""
        return list({id(stage): stage for stage in self._stages.values()}.values())

    # What the transport asks

    def accepts(self, tp: TopicPartition) -> bool:
        """Whether the partition takes records now."""
        worker = self.workers.get(tp)
        return worker is not None and worker.ready and worker.pending < self._config.max_queue_records

    async def room(self) -> None:
        """Wait until a partition may take records again, at most for one poll."""
        self._room.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.poll_s):
                await self._room.wait()

    def epoch(self, tp: TopicPartition) -> int:
        """Which seek of this partition is the last one."""
        worker = self.workers.get(tp)
        return worker.epoch if worker is not None else -1

    def sought(self, tp: TopicPartition) -> None:
        """Everything fetched before is void."""
        worker = self.workers.get(tp)
        if worker is not None:
            worker.sought()
            self.trace("seek", tp)

    def fetched(self, tp: TopicPartition, count: int, highwater: int) -> None:
        """So many records are on their way, and the log ends there."""
        worker = self.workers.get(tp)
        if worker is not None:
            worker.pending += count
            worker.highwater = max(highwater, worker.highwater)

    def lost(self, tp: TopicPartition) -> None:
        """The log does not hold the position: the rebuild that follows finds out why, and says so."""
        worker = self.workers.get(tp)
        if worker is not None:
            worker.lost()

    def position(self, tp: TopicPartition) -> int | None:
        """Offset at which reading begins; None for a partition that is not run here."""
        worker = self.workers.get(tp)
        return worker.position if worker is not None else None

    # Taking and giving back

    async def assign(self, tps: Iterable[TopicPartition]) -> None:
        """Run exactly these partitions. Returns early, with nothing running, if a newer generation has begun.

        Raises:
            WorkerEnd: this worker cannot run them.
        """
        async with self._assigning:
            generation = self._generation()
            wanted = {tp for tp in tps if tp.topic in self._stages}
            lost = [self.workers.pop(tp) for tp in list(self.workers) if tp not in wanted]
            await asyncio.gather(*(worker.stop(self._config.revoke_budget_s) for worker in lost))
            await self._close_bundles()
            for tp in wanted - self.workers.keys():
                self.workers[tp] = self._new(tp)
            self._count()
            workers = [self.workers[tp] for tp in sorted(wanted)]
            try:
                async with contextlib.AsyncExitStack() as stack:
                    for worker in workers:
                        await stack.enter_async_context(worker.step)
                    await self._take(workers, generation)
            except Superseded:
                log.info("a newer generation has begun, assignment dropped")

    def _new(self, tp: TopicPartition) -> PartitionWorker:
        stage = self._stages[tp.topic]
        name = id_of(self._config, stage.name, tp)
        bundle = self._bundles.setdefault(name, Bundle(Transactions(self._config, name)))
        worker = PartitionWorker(self._config, stage, tp, bundle, self.recover, self._turns)
        worker.on_progress = self._progressed
        worker.on_room = self._room.set
        worker.on_end = self._end
        return worker

    async def _close_bundles(self) -> None:
        """Close those of which no partition is run here any more."""
        used = {id(worker.bundle) for worker in self.workers.values()}
        unused = [name for name, bundle in self._bundles.items() if id(bundle) not in used]
        await asyncio.gather(*(self._bundles.pop(name).close() for name in unused))

    def _progressed(self) -> None:
        self.on_progress()

    async def _take(self, workers: list[PartitionWorker], generation: int) -> None:
        self._check(generation)
        committed = await self._group().committed([worker.tp for worker in workers])
        spoilt = {id(worker.bundle) for worker in workers if not _keeps(worker, committed[worker.tp])}
        kept = [worker for worker in workers if id(worker.bundle) not in spoilt]
        rest = [worker for worker in workers if id(worker.bundle) in spoilt]
        log.info("partitions kept: %d, to rebuild: %d", len(kept), len(rest))
        await self._rebuild(rest, generation)
        self._check(generation)
        for worker in workers:
            self._resume(worker)

    def _resume(self, worker: PartitionWorker) -> None:
        established = self.established()
        if established is not None:
            worker.establish(established)
        worker.resume()
        self.on_progress()

    async def revoke(self) -> None:
        """Take no more work; let running transactions end. Producers and state are kept: partitions often come back."""
        await asyncio.gather(*(worker.pause(self._config.revoke_budget_s) for worker in self.workers.values()))

    async def stop(self) -> None:
        """End all partitions, before the consumer leaves the group."""
        self._stopped = True
        workers, self.workers = list(self.workers.values()), {}
        await asyncio.gather(*(worker.stop(self._config.revoke_budget_s) for worker in workers))
        await self._close_bundles()
        self._count()
        await self.offsets.close()

    async def recover(self, worker: PartitionWorker) -> None:
        """Rebuild the bundle of a partition after a failed transaction, and go on with it."""
        generation = self._generation()
        last: Exception | None = None
        for attempt in range(self._config.max_failures):
            try:
                async with worker.bundle.mending:
                    if worker.intact and worker.bundle.alive:
                        return  # another partition of the bundle failed with it, and has seen to it
                    await self._mend(worker.bundle, generation)
            except Superseded:
                return
            except WorkerEnd as end:
                self._end(end)
                return
            except Exception as error:  # noqa: BLE001 - any failure of the broker is tried again
                last = error
                log.warning("rebuild of %s/%s failed: %s", worker.tp.topic, worker.tp.partition, type(error).__name__)
                await asyncio.sleep(min(5.0, 0.1 * 2**attempt))
            else:
                return
        self._end(gives_up(f"rebuild of {worker.stage.name} {worker.tp.partition}", last))

    async def _mend(self, bundle: Bundle, generation: int) -> None:
        self._check(generation)
        workers = [worker for _, worker in sorted(self.workers.items()) if worker.bundle is bundle]
        for worker in workers:
            worker.hold()
        async with contextlib.AsyncExitStack() as stack:
            for worker in workers:  # an assignment that goes on meanwhile must not run before this seek
                await stack.enter_async_context(worker.step)
            await self._rebuild(workers, generation)
            await self._group().seek_bulk([worker.tp for worker in workers])
        self._check(generation)
        for worker in workers:
            if self.workers.get(worker.tp) is worker:
                self._resume(worker)

    # The rebuild

    async def _rebuild(self, workers: list[PartitionWorker], generation: int) -> None:
        """Fence, read the committed offset, restore, checking the generation after each step. No transaction runs."""
        if not workers:
            return
        self._check(generation)
        for worker in workers:
            worker.intact = False
        await asyncio.gather(*map(self._fence, {id(worker.bundle): worker.bundle for worker in workers}.values()))
        for worker in workers:
            self.trace("fence", worker.tp)
        self._check(generation)
        try:
            await self._restore(workers, generation)
            await self._agree(workers, generation)
        except StoreDamaged:
            await self._restore(workers, generation)  # which wipes what is damaged
            await self._agree(workers, generation)

    async def _fence(self, bundle: Bundle) -> None:
        async with self._fencing:
            await bundle.start()

    async def _restore(self, workers: list[PartitionWorker], generation: int) -> None:
        tps = [worker.tp for worker in workers]
        committed = await self._group().committed(tps)
        starts = await self.offsets.starts(tps)
        time_log = TopicPartition(self._config.time_log, 0)
        since = (await self.offsets.ends([time_log]))[time_log]
        jobs = []
        for worker in workers:
            self.trace("committed", worker.tp)
            worker.next_offset = committed[worker.tp]
            worker.start_offset = starts[worker.tp]
            worker.heat.since = since
            if worker.stage.changelog is None:
                worker.store = worker.store or MemoryStore()
            elif worker.store is None:
                worker.store = self._stores.open(worker.stage.name, worker.tp.partition)
            if worker.store.damaged:
                log.warning(
                    "store of %s/%s damaged, rebuilt from the changelog", worker.stage.name, worker.tp.partition
                )
                metrics.STORES_WIPED.labels("damaged").inc()
                worker.store.wipe()
            if worker.processor is None:
                worker.processor = worker.stage.factory(worker.tp.partition, worker.store)
            if worker.stage.changelog is not None:
                changelog = TopicPartition(worker.stage.changelog, worker.tp.partition)
                jobs.append(Job(changelog, worker.store, worker.processor.derive, worker.labels))
        await restore(self._config, self.offsets, jobs, lambda: self._check(generation))
        for worker in workers:
            self.trace("restore", worker.tp)

    async def _agree(self, workers: list[PartitionWorker], generation: int) -> None:
        """State and offset must belong together; then memory starts from the store."""
        self._check(generation)
        ends = await self.offsets.ends([worker.tp for worker in workers])
        for worker in workers:
            assert worker.store is not None
            assert worker.processor is not None
            if worker.next_offset is None and worker.stage.changelog is not None:
                await self._wait_for_offset(worker, generation)
            if worker.next_offset is not None and worker.next_offset > ends[worker.tp]:
                detail = (
                    f"{worker.tp.topic}/{worker.tp.partition} ends at {ends[worker.tp]}, read to {worker.next_offset}"
                )
                raise WorkerEnd(RuntimeReason.INPUT_TRUNCATED, detail)
            if worker.next_offset is not None and worker.next_offset < worker.start_offset:
                log.error("input of %s/%s was deleted before it was read", worker.tp.topic, worker.tp.partition)
                metrics.INPUT_LOST.labels(*worker.labels).inc()
                worker.next_offset = worker.start_offset
            worker.processor.reset()
            worker.progress = worker.processor.progress
            worker.intact = True

    async def _wait_for_offset(self, worker: PartitionWorker, generation: int) -> None:
        """State without an offset would be applied twice: the offset may be late, never ignored."""
        assert worker.store is not None
        if next(iter(worker.store.items()), None) is None:
            return
        for _ in range(self._config.committed_retries):
            await asyncio.sleep(OFFSET_WAIT_S)
            self._check(generation)
            worker.next_offset = (await self._group().committed([worker.tp]))[worker.tp]
            if worker.next_offset is not None:
                return
        changelog = f"{worker.stage.changelog}/{worker.tp.partition}"
        detail = f"{changelog} holds state, but group {self._config.group} has no offset in {worker.tp.topic}"
        raise WorkerEnd(RuntimeReason.STATE_WITHOUT_OFFSET, detail)

    def _check(self, generation: int) -> None:
        self.moved_at = time.monotonic()
        if self._stopped or generation != self._generation():
            raise Superseded

    def _count(self) -> None:
        for stage in {stage.name for stage in self._stages.values()}:
            metrics.OWNED.labels(stage).set(sum(1 for worker in self.workers.values() if worker.stage.name == stage))


def _keeps(worker: PartitionWorker, committed: int | None) -> bool:
    return worker.intact and worker.bundle.alive and worker.next_offset == committed
