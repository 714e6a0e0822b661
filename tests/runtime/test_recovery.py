"""Recovery from a changelog on a real broker: tails, aborted transactions, stores that know too much or too little."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from deploy.local_kafka import LocalKafka
from streams.runtime.config import RuntimeConfig
from streams.runtime.offsets import Offsets
from streams.runtime.recovery import Job, WipeReason, plan, restore
from streams.runtime.store import MemoryStore

Change = tuple[bytes, bytes | None]


@pytest.mark.parametrize(
    ("position", "start", "end", "found"),
    [
        (0, 0, 0, (0, None)),
        (0, 0, 9, (0, None)),
        (0, 5, 9, (5, None)),
        (7, 0, 9, (7, None)),
        (9, 9, 9, (9, None)),
        (5, 5, 9, (5, None)),
        (4, 5, 9, (5, WipeReason.BEHIND)),
        (10, 0, 9, (0, WipeReason.BEYOND)),
        (10, 3, 3, (3, WipeReason.BEYOND)),
    ],
)
def test_where_reading_begins(position: int, start: int, end: int, found: tuple[int, WipeReason | None]) -> None:
    assert plan(position, start, end) == found


@pytest.fixture
async def world(kafka: LocalKafka, create_topic: Any, instance: str) -> AsyncIterator[World]:
    await create_topic(f"{instance}.state", 2, {"cleanup.policy": "compact"})
    found = World(kafka.bootstrap, instance)
    yield found
    await found.offsets.close()


class World:
    def __init__(self, bootstrap: str, instance: str) -> None:
        self.config = RuntimeConfig(brokers=(bootstrap,), group="g", instance=instance, data_dir=Path())
        self.offsets = Offsets(self.config)
        self.tp = TopicPartition(f"{instance}.state", 0)
        self.derived: list[Change] = []

    async def write(self, *transactions: tuple[list[Change], bool]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=list(self.config.brokers), transactional_id=self.tp.topic)
        await producer.start()
        try:
            for changes, commit in transactions:
                await producer.begin_transaction()
                for key, value in changes:
                    await producer.send(self.tp.topic, key=key, value=value, partition=0)
                await (producer.commit_transaction() if commit else producer.abort_transaction())
        finally:
            await producer.stop()

    def derive(self, key: bytes, value: bytes | None) -> list[Change]:
        self.derived.append((key, value))
        return [(b"index/" + key, value)]

    async def restore(self, store: MemoryStore, **settings: Any) -> int:
        job = Job(self.tp, store, self.derive, ("stage", "0"))
        await restore(replace(self.config, **settings), self.offsets, [job])
        return job.count


@pytest.mark.system
async def test_cold_then_tail_then_nothing(world: World) -> None:
    await world.write(([(b"a", b"1"), (b"b", b"1"), (b"a", b"2")], True), ([(b"b", b"9"), (b"x", b"9")], False))
    store = MemoryStore()
    assert await world.restore(store) == 3
    assert dict(store.items()) == {b"a": b"2", b"b": b"1", b"index/a": b"2", b"index/b": b"1"}
    assert world.derived == [(b"a", b"2"), (b"b", b"1")]
    assert store.position() == 7
    await world.write(([(b"b", None)], True))
    assert await world.restore(store) == 1
    assert dict(store.items()) == {b"a": b"2", b"index/a": b"2"}
    assert await world.restore(store) == 0


@pytest.mark.system
async def test_a_store_beyond_the_log_is_rebuilt(world: World) -> None:
    await world.write(([(b"a", b"1")], True))
    store = MemoryStore()
    store.write([(b"gone", b"1")], 1000)
    await world.restore(store)
    assert dict(store.items()) == {b"a": b"1", b"index/a": b"1"}


@pytest.mark.system
async def test_a_store_that_may_have_missed_deletions_is_rebuilt(world: World) -> None:
    await world.write(([(b"a", b"1")], True))
    store = MemoryStore()
    await world.restore(store)
    store.write([(b"deleted meanwhile", b"1")], store.position())
    store._written_at = int(time.time() * 1000) - 10_000
    assert await world.restore(store, tombstone_retention_s=5.0) == 0
    assert store.get(b"deleted meanwhile") == b"1", "nothing was written: nothing was missed"
    await world.write(([(b"b", b"1")], True))
    store._written_at = int(time.time() * 1000) - 10_000
    await world.restore(store, tombstone_retention_s=5.0)
    assert store.get(b"deleted meanwhile") is None
    assert store.get_many([b"a", b"b"]) == [b"1", b"1"]
