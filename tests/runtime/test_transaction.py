"""Transactions on a real broker: all or nothing, and only by the last holder of the id."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local_kafka import LocalKafka
from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import TransactionFailed
from streams.runtime.metrics import AbortReason
from streams.runtime.offsets import Offsets
from streams.runtime.processor import Send
from streams.runtime.transaction import Transactions

pytestmark = pytest.mark.system


class Bench:
    def __init__(self, bootstrap: str, instance: str) -> None:
        self.config = RuntimeConfig(
            brokers=(bootstrap,), group=f"{instance}-g", instance=instance, data_dir=Path(), batch_bytes=20_000,
            compression=None,
        )  # fmt: skip
        self.input, self.state, self.out = (TopicPartition(f"{instance}.{n}", 0) for n in ("in", "state", "out"))
        self.open: list[Transactions] = []
        self.offsets = Offsets(self.config)

    async def transactions(self) -> Transactions:
        found = Transactions(self.config, f"{self.config.instance}.id")
        self.open.append(found)
        await found.start()
        return found

    async def commit(self, tx: Transactions, offset: int, state: list[Any], sends: list[Send]) -> int | None:
        return await tx.commit((self.input, offset, self.config.group), (self.state.topic, 0, state), sends)

    async def read(self, tp: TopicPartition) -> list[Any]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=list(self.config.brokers), isolation_level="read_committed",
            auto_offset_reset="earliest", fetch_max_wait_ms=20,
        )  # fmt: skip
        await consumer.start()
        try:
            consumer.assign([tp])
            end = (await self.offsets.ends([tp]))[tp]  # of committed records the end may trail the commit
            found: list[Any] = []
            while await consumer.position(tp) < end:
                for records in (await consumer.getmany(timeout_ms=50)).values():
                    found += records
            return found
        finally:
            await consumer.stop()

    async def committed(self) -> int | None:
        consumer = AIOKafkaConsumer(bootstrap_servers=list(self.config.brokers), group_id=self.config.group)
        await consumer.start()
        try:
            offset: int | None = await consumer.committed(self.input)
            return offset
        finally:
            await consumer.stop()


@pytest.fixture
async def bench(kafka: LocalKafka, create_topic: Any, instance: str) -> AsyncIterator[Bench]:
    for name in ("in", "state", "out"):
        await create_topic(f"{instance}.{name}")
    found = Bench(kafka.bootstrap, instance)
    yield found
    for tx in found.open:
        await tx.close()
    await found.offsets.close()


async def test_all_of_it_and_where_the_state_ends(bench: Bench) -> None:
    tx = await bench.transactions()
    state = [(b"%d" % i, b"s" * 500) for i in range(100)]
    sends = [Send(bench.out.topic, 0, b"k", b"v", [("h", b"1")]), Send(bench.out.topic, 0, b"gone", None)]
    assert await bench.commit(tx, 5, state, sends) == 100
    assert await bench.commit(tx, 6, [], sends[:1]) is None
    assert await bench.commit(tx, 6, [(b"1", None)], []) == 102
    written = await bench.read(bench.state)
    assert [(r.key, r.value) for r in written] == [*state, (b"1", None)]
    assert [(r.key, r.value, r.headers) for r in await bench.read(bench.out)] == [
        (b"k", b"v", (("h", b"1"),)),
        (b"gone", None, ()),
        (b"k", b"v", (("h", b"1"),)),
    ]
    assert await bench.committed() == 6


async def test_a_refused_record_commits_nothing(bench: Bench) -> None:
    tx = await bench.transactions()
    await bench.commit(tx, 1, [(b"a", b"1")], [])
    with pytest.raises(TransactionFailed):
        await bench.commit(tx, 2, [(b"a", b"2")], [Send(bench.out.topic, 0, b"k", b"x" * 2_000_000)])
    assert not tx.alive
    with pytest.raises(TransactionFailed):
        await bench.commit(tx, 2, [(b"a", b"2")], [])
    await tx.start()
    assert [r.value for r in await bench.read(bench.state)] == [b"1"]
    assert await bench.read(bench.out) == []
    assert await bench.committed() == 1
    await bench.commit(tx, 2, [(b"a", b"2")], [])
    assert await bench.committed() == 2


async def test_the_former_holder_of_an_id_commits_nothing(bench: Bench) -> None:
    old = await bench.transactions()
    await bench.commit(old, 1, [(b"a", b"1")], [])
    new = await bench.transactions()
    with pytest.raises(TransactionFailed) as failure:
        await bench.commit(old, 2, [(b"a", b"old")], [])
    assert failure.value.code is AbortReason.FENCED
    await bench.commit(new, 2, [(b"a", b"new")], [])
    assert [r.value for r in await bench.read(bench.state)] == [b"1", b"new"]


@pytest.mark.parametrize("offset", [None, 2])
async def test_a_fence_is_told_once_and_leaves_no_failure_that_nobody_asked_for(
    bench: Bench, offset: int | None
) -> None:
    loop = asyncio.get_running_loop()
    told: list[str] = []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: told.append(str(context)))
    try:
        old = await bench.transactions()
        await bench.transactions()
        sends = [Send(bench.out.topic, 0, b"k", b"v" * 900)] * 100
        at = None if offset is None else (bench.input, offset, bench.config.group)
        with pytest.raises(TransactionFailed):
            await old.commit(at, (bench.state.topic, 0, [(b"a", b"old")]), sends)
        await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(before)
    assert not told
