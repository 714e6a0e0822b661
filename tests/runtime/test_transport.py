"""The transport against Faust's real app and conductor, and the internals of Faust and aiokafka that it leans on."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.consumer import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher as KafkaFetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState
from aiokafka.errors import IllegalStateError
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator
from aiokafka.producer.producer import AIOKafkaProducer
from aiokafka.producer.transaction_manager import TransactionManager
from faust.app.base import App
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as faust_driver
from faust.types import TP

from streams.runtime.batch import APP_ATTRIBUTE, PartitionBatch, RawBatch
from streams.runtime.transport import Consumer, ConsumerThread, Fetch

PINNED: dict[str, Callable[..., Any]] = {
    "Consumer._drain_messages": faust_consumer.Consumer._drain_messages,
    "Consumer.perform_seek": faust_consumer.Consumer.perform_seek,
    "Consumer._get_active_partitions": faust_consumer.Consumer._get_active_partitions,
    "Consumer._wait_next_records": faust_consumer.Consumer._wait_next_records,
    "Consumer._add_gap": faust_consumer.Consumer._add_gap,
    "Consumer.stop_flow": faust_consumer.Consumer.stop_flow,
    "Consumer.resume_flow": faust_consumer.Consumer.resume_flow,
    "Consumer._reset_state": faust_consumer.Consumer._reset_state,
    "Consumer.on_partitions_revoked": faust_consumer.Consumer.on_partitions_revoked,
    "Fetcher._fetcher": faust_consumer.Fetcher._fetcher.fun,
    "ThreadDelegateConsumer": faust_consumer.ThreadDelegateConsumer,
    "driver.Consumer._to_message": faust_driver.Consumer._to_message,
    "driver.Consumer._new_consumer_thread": faust_driver.Consumer._new_consumer_thread,
    "driver.Thread._create_worker_consumer": faust_driver.AIOKafkaConsumerThread._create_worker_consumer,
    "driver.Thread._fetch_records": faust_driver.AIOKafkaConsumerThread._fetch_records,
    "driver.Thread.getmany": faust_driver.AIOKafkaConsumerThread.getmany,
    "driver.Thread.seek_to_committed": faust_driver.AIOKafkaConsumerThread.seek_to_committed,
    "driver.RebalanceListener": faust_driver.ConsumerRebalanceListener,
    "Conductor._update_indices": Conductor._update_indices,
    "Conductor.on_partitions_assigned": Conductor.on_partitions_assigned,
    "App.on_stop": App.on_stop,
    "App._stop_consumer": App._stop_consumer,
    "App._on_partitions_revoked": App._on_partitions_revoked,
    "App._on_partitions_assigned": App._on_partitions_assigned,
    "Recovery._resume_streams": Recovery._resume_streams,
    "Recovery._restart_recovery": Recovery._restart_recovery.fun,
    "aiokafka.Fetcher.fetched_records": KafkaFetcher.fetched_records,
    "aiokafka.Fetcher.seek_to": KafkaFetcher.seek_to,
    "aiokafka.Consumer.start": AIOKafkaConsumer.start,
    "aiokafka.Consumer.seek": AIOKafkaConsumer.seek,
    "aiokafka.Coordinator.fetch_committed_offsets": GroupCoordinator.fetch_committed_offsets,
    "aiokafka.TopicPartitionState": TopicPartitionState,
    "aiokafka.Producer.send_batch": AIOKafkaProducer.send_batch,
    "aiokafka.Producer.stop": AIOKafkaProducer.stop,
    "aiokafka.BatchBuilder.append": BatchBuilder.append,
    "aiokafka.MessageAccumulator.add_batch": MessageAccumulator.add_batch,
    "aiokafka.TransactionManager.fatal_error": TransactionManager.fatal_error,
}
"""Everything overridden or used that is not promised to stay."""

DIGESTS: dict[str, str] = {
    "Consumer._drain_messages": "44a2500309e83c63",
    "Consumer.perform_seek": "0e8c130ff4b0afd8",
    "Consumer._get_active_partitions": "b24897f3c7afdb5d",
    "Consumer._wait_next_records": "6218e1969a636b3f",
    "Consumer._add_gap": "4df2573ded7c1c2c",
    "Consumer.stop_flow": "cf7e875a2b0d40e8",
    "Consumer.resume_flow": "db59630f25b5819b",
    "Consumer._reset_state": "488b46f5c7f1d0b0",
    "Consumer.on_partitions_revoked": "d04b7ae72c6fc206",
    "Fetcher._fetcher": "68f894f0b577d810",
    "ThreadDelegateConsumer": "a1b934b198fae1c0",
    "driver.Consumer._to_message": "7c24f6511b2fcef7",
    "driver.Consumer._new_consumer_thread": "0870ec53dea75083",
    "driver.Thread._create_worker_consumer": "c2701bfc3e6f6cad",
    "driver.Thread._fetch_records": "39a2c6c79fc1455a",
    "driver.Thread.getmany": "26fc5fc9f3b667e1",
    "driver.Thread.seek_to_committed": "775ab0adc4b052ab",
    "driver.RebalanceListener": "f3d04f29dfb3f716",
    "Conductor._update_indices": "619b3247b96ac7d5",
    "Conductor.on_partitions_assigned": "616e9729131cf0bb",
    "App.on_stop": "bfe5a933defb2324",
    "App._stop_consumer": "55854a5de12c3f52",
    "App._on_partitions_revoked": "d5c895bbe57dc73a",
    "App._on_partitions_assigned": "de932b7927db85b3",
    "Recovery._resume_streams": "d986a6710c1aca98",
    "Recovery._restart_recovery": "6bd8a8558a2dffe4",
    "aiokafka.Fetcher.fetched_records": "be4348896b9b66af",
    "aiokafka.Fetcher.seek_to": "f0ba6aba6c22ef83",
    "aiokafka.Consumer.start": "2f1ba70443327538",
    "aiokafka.Consumer.seek": "a9430f1f3b9ac419",
    "aiokafka.Coordinator.fetch_committed_offsets": "6c049c7379165952",
    "aiokafka.TopicPartitionState": "2b83334afadf6d98",
    "aiokafka.Producer.send_batch": "bf42b0f0c5c0646d",
    "aiokafka.Producer.stop": "43ef97147111893b",
    "aiokafka.BatchBuilder.append": "657d76f55157d9ca",
    "aiokafka.MessageAccumulator.add_batch": "5ed1c5b1367ad854",
    "aiokafka.TransactionManager.fatal_error": "8e9fd08dc50042c4",
}


class Taker:
    """An intake that takes everything."""

    topics = frozenset({"bulk"})
    poll_s, fetch_max_wait_ms, max_fetch_bytes, max_poll_records = 0.01, 100, 1 << 20, 1_000

    def __init__(self) -> None:
        self.epochs: dict[TopicPartition, int] = {}
        self.on_the_way: list[tuple[TopicPartition, int, int]] = []
        self.full: set[TopicPartition] = set()

    def accepts(self, tp: TopicPartition) -> bool:
        return tp not in self.full

    async def room(self) -> None:
        await asyncio.sleep(0)

    def epoch(self, tp: TopicPartition) -> int:
        return self.epochs.get(tp, 0)

    def sought(self, tp: TopicPartition) -> None:
        self.epochs[tp] = self.epoch(tp) + 1

    def fetched(self, tp: TopicPartition, count: int, highwater: int) -> None:
        self.on_the_way.append((tp, count, highwater))

    def lost(self, tp: TopicPartition) -> None:
        raise AssertionError("nothing is lost here")

    def position(self, tp: TopicPartition) -> int | None:
        return 7


class Bench:
    """A real app, conductor and consumer; only the thread with the Kafka consumer in it is missing."""

    def __init__(self) -> None:
        self.app = faust.App("bench", broker="relais://nowhere", web_enabled=False)
        self.intake = Taker()
        setattr(self.app, APP_ATTRIBUTE, self.intake)
        self.bulk = self.app.topic("bulk", schema=RawBatch(), acks=False, maxsize=8)
        self.plain = self.app.topic("plain", value_serializer="raw")
        self.app.consumer_generation_id = 1
        self.consumer: Consumer = self.app.consumer
        self.sought: list[dict[TopicPartition, int]] = []
        self.fetches: list[Fetch] = []
        self.asked: list[set[TP]] = []

    async def start(self) -> None:
        tps = {TP("bulk", 0), TP("bulk", 1), TP("plain", 0)}
        self.app.topics.add(self.bulk)
        self.app.topics.add(self.plain)
        await self.app.topics._update_indices()
        await self.app.topics.on_partitions_assigned(tps)
        self.consumer._set_active_tps(tps)
        self.app.flow_control.resume()
        self.consumer._thread.highwater = lambda tp: 0
        self.consumer._thread.seek_all = self._seek_all
        self.consumer._getmany = self._getmany

    async def _seek_all(self, offsets: dict[TopicPartition, int]) -> None:
        self.sought.append(dict(offsets))

    async def _getmany(self, active_partitions: set[TP], timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        self.asked.append(set(active_partitions))
        return self.fetches.pop(0)

    def received(self, topic: Any) -> list[Any]:
        found = []
        while not topic.queue.empty():
            found.append(topic.queue.get_nowait())
        return found


def record(topic: str, partition: int, offset: int) -> Any:
    return SimpleNamespace(
        topic=topic, partition=partition, offset=offset, timestamp=1000 + offset, timestamp_type=1, headers=(),
        key=None, value=b"x", checksum=None, serialized_key_size=0, serialized_value_size=1,
    )  # fmt: skip


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    found = Bench()
    await found.start()
    yield found
    found.consumer._thread.thread_loop.close()


async def test_one_batch_for_each_partition(bench: Bench) -> None:
    tps = [TP("bulk", 0), TP("bulk", 1)]
    seen = {tps[0]: (12, 20), tps[1]: (5, 5), TP("plain", 0): (3, 3)}
    records = {tps[0]: [record("bulk", 0, 10), record("bulk", 0, 11)], TP("plain", 0): [record("plain", 0, 2)]}
    bench.fetches = [
        Fetch(records, seen),
        Fetch({tps[0]: [record("bulk", 0, 14)]}, {**seen, tps[0]: (15, 20)}),
        Fetch({}, {**seen, tps[0]: (15, 20), tps[1]: (6, 6)}),
    ]
    for _ in range(3):
        await bench.consumer._poll(bench.intake)
    batches = [event.value for event in bench.received(bench.bulk)]
    assert [(b.tp.partition, b.base, b.end, [r.offset for r in b.records]) for b in batches] == [
        (0, None, 12, [10, 11]),
        (1, None, 5, []),
        (0, 12, 15, [14]),
        (1, 5, 6, []),
    ]
    assert [event.value for event in bench.received(bench.plain)] == [b"x"]
    assert bench.intake.on_the_way[0] == (TopicPartition("bulk", 0), 2, 20)
    assert bench.app.topics.acking_topics == {"plain"}
    assert not bench.consumer.unacked


async def test_what_a_generation_left_behind_is_dropped(bench: Bench) -> None:
    tp = TP("bulk", 0)

    async def rebalance(active_partitions: set[TP], timeout: float) -> Fetch:  # noqa: ASYNC109 - Faust's signature
        bench.app.consumer_generation_id = 2
        return Fetch({tp: [record("bulk", 0, 1)]}, {tp: (2, 2)})

    bench.consumer._getmany = rebalance
    await bench.consumer._poll(bench.intake)
    assert bench.received(bench.bulk) == []
    assert bench.intake.on_the_way == []


async def test_a_full_partition_is_not_asked_for(bench: Bench) -> None:
    bench.intake.full = {TopicPartition("bulk", 1)}
    bench.fetches = [Fetch({}, {})]
    await bench.consumer._poll(bench.intake)
    assert bench.asked == [{TP("bulk", 0), TP("plain", 0)}]


async def test_a_seek_waits_for_the_fetch_and_voids_it(bench: Bench) -> None:
    tp = TP("bulk", 0)
    release = asyncio.Event()

    async def slow(active_partitions: set[TP], timeout: float) -> Fetch:  # noqa: ASYNC109 - Faust's signature
        await release.wait()
        return Fetch({tp: [record("bulk", 0, 1)]}, {tp: (2, 2)})

    bench.consumer._getmany = slow
    polling = asyncio.create_task(bench.consumer._poll(bench.intake))
    await asyncio.sleep(0)
    seeking = asyncio.create_task(bench.consumer.seek_bulk([TopicPartition("bulk", 0)]))
    await asyncio.sleep(0.01)
    assert bench.sought == []
    release.set()
    await asyncio.gather(polling, seeking)
    assert bench.sought == [{TopicPartition("bulk", 0): 7}]
    (event,) = bench.received(bench.bulk)
    batch: PartitionBatch = event.value
    assert batch.epoch < bench.intake.epoch(TopicPartition("bulk", 0))
    bench.consumer._getmany = bench._getmany
    bench.fetches = [Fetch({}, {tp: (7, 9)})]
    await bench.consumer._poll(bench.intake)
    assert [event.value.base for event in bench.received(bench.bulk)] == [None]


def test_pinned_versions() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


@pytest.mark.parametrize("name", list(PINNED))
def test_internals_are_those_that_were_read(name: str) -> None:
    digest = hashlib.sha256(inspect.getsource(PINNED[name]).encode()).hexdigest()[:16]
    assert digest == DIGESTS.get(name), f"{name} changed: re-verify the transport, then pin {digest}"


def test_attributes_set_on_the_consumer_exist() -> None:
    source = inspect.getsource(AIOKafkaConsumer)
    for name in (
        "_isolation_level",
        "_fetch_max_wait_ms",
        "_max_partition_fetch_bytes",
        "_max_poll_records",
        "_coordinator",
    ):
        assert f"self.{name}" in source
    start = inspect.getsource(AIOKafkaConsumer.start)
    for name in ("_isolation_level", "_fetch_max_wait_ms", "_max_partition_fetch_bytes"):
        assert f"=self.{name}" in start, "read only when the consumer starts, so it can be set before"


class Rebalancing(ConsumerThread):
    """A thread in which a rebalance cancels what is asked, once `waits` is over."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        await self.waits.wait()
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone


async def test_what_a_rebalance_cancels_in_the_thread_does_not_cancel_whoever_asked() -> None:
    """Were it so, Faust's task that takes partitions would be over, and this worker would take none any more."""
    thread = Rebalancing()
    asked = [asyncio.create_task(ask) for ask in (thread.committed([]), thread.seek_all({}))]
    ended = asyncio.create_task(thread.committed([]))
    await asyncio.sleep(0)
    ended.cancel()
    thread.waits.set()
    for task in asked:
        with pytest.raises(IllegalStateError):
            await task
    with pytest.raises(asyncio.CancelledError):
        await ended
