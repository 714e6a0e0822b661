"""The loop of one partition by itself: what it takes, what it refuses, what it calls done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError

from streams.runtime.batch import PartitionBatch
from streams.runtime.bundle import Bundle
from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import RuntimeReason, TransactionFailed, WorkerEnd
from streams.runtime.metrics import AbortReason
from streams.runtime.ownership import Ownership
from streams.runtime.partition import Heat, PartitionWorker
from streams.runtime.processor import Effects, Record, Send
from streams.runtime.stage import Stage
from streams.runtime.store import Change, MemoryStore, Store
from streams.runtime.transaction import Share, Transactions

TP = TopicPartition("in", 0)


class Ledger(Transactions):
    """Transactions kept in a list; they wait for `gate`, and fail when told to."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures: list[AbortReason] = []

    alive = True  # type: ignore[assignment]

    async def commit_all(self, shares: Sequence[Share]) -> list[int | None]:
        await self.gate.wait()
        if self.failures:
            raise TransactionFailed(self.failures.pop(0))
        for share in shares:
            assert share.state is not None
            self.done.append((share.offset and share.offset[1], list(share.state[2]), list(share.sends)))
        return [len(self.done) if share.state and share.state[2] else None for share in shares]

    async def close(self) -> None:
        """Nothing is open."""


class Echo:
    """Remembers what it was asked."""

    progress = None

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.due = 2
        self.index_only = False

    def process(self, records: list[Record]) -> Effects:
        self.asked.append([r.offset for r in records])
        return Effects(
            state=[(b"%d" % r.offset, b"") for r in records], local=[(b"i", b"")], least=records[0].timestamp
        )

    def timers(self, established: int, limit: int) -> Effects | None:
        self.asked.append(established)
        self.due -= 1
        if self.index_only:
            return Effects(local=[(b"i", b"")]) if self.due > 0 else None
        return Effects(state=[(b"timed", b"")]) if self.due > 0 else None

    def derive(self, key: bytes, value: bytes | None) -> list[Change]:
        return []

    def reset(self) -> None:
        """Nothing is held."""


class Bench:
    def __init__(self) -> None:
        self.echo, self.ledger, self.store = Echo(), Ledger(), MemoryStore()
        self.recovered = 0
        self.ends: list[WorkerEnd] = []
        config = RuntimeConfig(brokers=("nowhere:1",), group="g", data_dir=Path(), max_batch_records=3, max_failures=2)
        stage = Stage(name="s", topics=("in",), changelog="state", factory=self._make)
        self.worker = PartitionWorker(config, stage, TP, Bundle(self.ledger), self._recover, asyncio.Lock())
        self.worker.store, self.worker.processor = self.store, self.echo
        self.worker.on_end = self.ends.append

    def _make(self, partition: int, store: Store) -> Echo:
        return self.echo

    async def _recover(self, worker: PartitionWorker) -> None:
        self.recovered += 1
        worker.sought()
        worker.resume()

    def give(self, base: int | None, end: int, *offsets: int, epoch: int | None = None) -> None:
        records = [SimpleNamespace(offset=o, timestamp=o, key=b"", value=b"", headers=()) for o in offsets]
        self.worker.pending += len(records)
        self.worker.submit(PartitionBatch(TP, base, end, records, self.worker.epoch if epoch is None else epoch))

    async def until(self, what: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not what():  # noqa: ASYNC110 - anything may change, not one event
                await asyncio.sleep(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    found = Bench()
    found.worker.resume()
    yield found
    found.ledger.gate.set()
    await found.worker.stop(1)


async def test_batches_are_joined_and_cut(bench: Bench) -> None:
    bench.ledger.gate.clear()
    bench.give(None, 1, 0)
    await bench.until(lambda: bench.echo.asked)
    bench.give(1, 3, 1, 2)
    bench.give(3, 9, 5, 6)
    assert bench.worker.done_to == 0, "what is not committed is not done"
    bench.ledger.gate.set()
    await bench.until(lambda: len(bench.ledger.done) == 3)
    await bench.until(lambda: bench.worker.done_to == 9)
    assert bench.echo.asked == [[0], [1, 2, 5], [6]]
    assert [offset for offset, _, _ in bench.ledger.done] == [1, 6, 7]
    assert bench.worker.position == 7
    assert bench.worker.pending == 0
    assert bench.store.position() == 3
    assert bench.store.get_many([b"0", b"6", b"i"]) == [b"", b"", b""]
    assert bench.worker.heat.take() == 0
    assert bench.worker.heat.take() is None


async def test_markers_alone_count_as_done(bench: Bench) -> None:
    bench.give(None, 4)
    assert bench.worker.done_to == 4
    bench.give(4, 6)
    assert bench.worker.done_to == 6
    assert bench.ledger.done == []


async def test_a_hole_between_two_batches_is_a_failure(bench: Bench) -> None:
    bench.give(None, 1, 0)
    bench.give(2, 3, 2)
    await bench.until(lambda: bench.recovered)
    assert all(2 not in asked for asked in bench.echo.asked)


async def test_what_was_fetched_before_a_seek_is_void(bench: Bench) -> None:
    bench.give(None, 1, 0)
    await bench.until(lambda: bench.worker.done_to == 1)
    bench.worker.sought()
    bench.give(1, 2, 1, epoch=bench.worker.epoch - 1)
    bench.give(1, 2, 1)  # of this epoch, but what came before it is not here
    bench.give(None, 2, 1)
    await bench.until(lambda: bench.worker.done_to == 2)
    assert bench.echo.asked == [[0], [1]]
    assert bench.recovered == 0


async def test_a_seek_while_a_transaction_runs_lets_nothing_be_taken_twice(bench: Bench) -> None:
    """It went to where the partition stood before that transaction was committed."""
    bench.ledger.gate.clear()
    bench.give(None, 2, 0, 1)
    await bench.until(lambda: bench.echo.asked)
    bench.worker.sought()
    bench.give(None, 4, 0, 1, 2, 3)
    bench.ledger.gate.set()
    await bench.until(lambda: bench.worker.position == 4)
    bench.worker.sought()
    bench.give(None, 4, 2, 3)  # all of it was taken
    bench.give(4, 5, 4)
    await bench.until(lambda: bench.worker.position == 5)
    assert bench.echo.asked == [[0, 1], [2, 3], [4]]
    assert bench.worker.pending == 0
    assert bench.recovered == 0


async def test_failures_in_a_row_end_the_worker(bench: Bench) -> None:
    bench.ledger.failures = [AbortReason.SEND, AbortReason.TIMEOUT]
    bench.give(None, 1, 0)
    await bench.until(lambda: bench.recovered == 1)
    assert bench.worker.position == 0
    bench.give(None, 1, 0)
    await bench.until(lambda: bench.ends)
    assert bench.ends[0].code is RuntimeReason.REPEATED_FAILURE
    assert not bench.worker.ready
    assert bench.store.position() == 0


async def test_timers_come_before_the_first_record_and_repeat_the_offset(bench: Bench) -> None:
    bench.worker.establish(50)
    bench.give(None, 1, 0)
    await bench.until(lambda: len(bench.ledger.done) == 2)
    await bench.until(lambda: bench.echo.asked.count(50) == 2)
    assert bench.echo.asked[:2] == [50, [0]]
    assert [offset for offset, _, _ in bench.ledger.done] == [0, 1]


async def test_a_store_stays_empty_until_there_is_an_offset(bench: Bench) -> None:
    bench.echo.index_only = True
    bench.worker.establish(50)
    await bench.until(lambda: bench.worker.timed == 50)
    assert list(bench.store.items()) == [], "a restart would take it for state whose offset is lost"
    bench.give(None, 1, 0)
    await bench.until(lambda: bench.worker.done_to == 1)
    bench.store.write([(b"i", None)], 1)
    bench.echo.due = 2
    bench.worker.establish(60)
    await bench.until(lambda: bench.worker.timed == 60)
    assert bench.store.get_many([b"i"]) == [b""]
    assert len(bench.ledger.done) == 1


async def test_requests_have_a_transaction_of_their_own(bench: Bench) -> None:
    sends = [Send("time", 0, b"k", b"v")]
    await bench.worker.request(sends)
    assert bench.ledger.done == [(None, [], sends)]
    bench.ledger.failures = [AbortReason.FENCED]
    with pytest.raises(TransactionFailed):
        await bench.worker.request(sends)
    await bench.worker.pause(1)
    with pytest.raises(TransactionFailed):
        await bench.worker.request(sends)


async def test_a_pause_waits_for_the_transaction_that_runs(bench: Bench) -> None:
    bench.ledger.gate.clear()
    bench.give(None, 2, 0, 1)
    await bench.until(lambda: bench.echo.asked)
    pausing = asyncio.create_task(bench.worker.pause(5))
    await asyncio.sleep(0)
    assert not pausing.done()
    bench.ledger.gate.set()
    await pausing
    assert bench.worker.position == 2
    bench.give(2, 3, 2)
    await asyncio.sleep(0.01)
    assert bench.echo.asked == [[0, 1]]


def test_heat_keeps_the_least() -> None:
    heat = Heat()
    for stamp in (None, 5, 3, 4):
        heat.note(stamp)
    assert (heat.take(), heat.take()) == (3, None)


class Interrupted(Ownership):
    """Rebuilds nothing; asked to seek, it is interrupted the first time, as by a rebalance."""

    def __init__(self, config: RuntimeConfig, stage: Stage) -> None:
        self.seeks = 0
        super().__init__(config, [stage], lambda: self, lambda: 1, lambda _: None)  # type: ignore[arg-type,return-value]

    async def _rebuild(self, workers: list[PartitionWorker], generation: int) -> None:
        """Nothing to do."""

    async def seek_bulk(self, tps: list[TopicPartition]) -> None:
        self.seeks += 1
        if self.seeks == 1:
            raise IllegalStateError("a rebalance came in between")
        for tp in tps:
            self.sought(tp)


async def test_a_rebalance_that_interrupts_a_rebuild_does_not_end_the_partition(bench: Bench) -> None:
    worker = bench.worker
    owner = Interrupted(worker.config, worker.stage)
    owner.workers[TP] = worker
    worker._recover = owner.recover
    bench.ledger.failures = [AbortReason.FENCED]
    worker.resume()
    bench.give(None, 1, 0)
    await bench.until(lambda: owner.seeks == 2 and worker.ready)
    bench.give(None, 1, 0)
    await bench.until(lambda: bench.ledger.done)
    assert [done[0] for done in bench.ledger.done] == [1]
