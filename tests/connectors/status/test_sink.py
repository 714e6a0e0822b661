"""The read model filled from a real broker: committed records only, restarts, two processes at once, rebuilt while read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from connectors.status.database import Database, sqlite_url
from connectors.status.model import NotReadyError, ReadModel
from connectors.status.sink import Sink, SinkConfig
from connectors.status.writing import Writer
from deploy.local_kafka import LocalKafka
from deploy.topics import declared, ensure
from schemas.codec import events
from tests.support import outputs
from tests.support.facts import KEYS
from tests.support.outputs import key

pytestmark = pytest.mark.system


@asynccontextmanager
async def running(sink: Sink) -> AsyncIterator[Sink]:
    task = asyncio.create_task(sink.run())
    try:
        yield sink
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(NotReadyError):
                if await asyncio.to_thread(true):
                    return
            await asyncio.sleep(0.05)


async def test_from_the_broker_to_the_tables(kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await ensure(admin, declared(instance, 2, 2))
    await admin.close()
    database = Database(sqlite_url(tmp_path / "read.db"))
    model = ReadModel(database)

    def sink() -> Sink:
        config = SinkConfig(brokers=kafka.bootstrap, instance=instance, linger_s=0.2, poll_ms=50, retry_s=0.1)
        return Sink(Writer(database, KEYS, events()), config)

    def shown(number: int) -> bool:
        with model.snapshot() as now:
            return now.resolve(key(f"case:viriat/{number}")) is not None

    def generation(number: int) -> Callable[[], bool]:
        return lambda: model.pulse()[0] == number

    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"{instance}.test")
    await producer.start()

    async def write(number: int) -> None:
        ref = key(f"case:viriat/{number}")
        value = outputs.status([{"case": f"case:viriat/{number}", "body": "viriat"}], [ref])
        await producer.send_and_wait(f"{instance}.statuses", key=ref, value=value, partition=number % 2)

    try:
        async with running(sink()) as first:
            await asyncio.wait_for(first.ready.wait(), 30)
            async with producer.transaction():
                await write(1)
            await until(lambda: shown(1))
            await producer.begin_transaction()
            await write(2)
            await producer.abort_transaction()
            async with producer.transaction():
                await write(3)
            await until(lambda: shown(3))
            assert not shown(2)
        async with producer.transaction():
            await write(4)
        async with running(sink()) as second, running(sink()) as third:
            await asyncio.wait_for(asyncio.gather(second.ready.wait(), third.ready.wait()), 30)
            assert shown(4)
            async with producer.transaction():
                for number in range(5, 30):
                    await write(number)
            await until(lambda: all(shown(n) for n in range(3, 30)))
        async with running(sink()) as fourth:
            await asyncio.wait_for(fourth.ready.wait(), 30)
            fourth.rebuild()
            await until(generation(2))
            assert shown(1)
            assert all(shown(n) for n in range(3, 30))
            async with producer.transaction():
                await write(30)
            await until(lambda: shown(30))
    finally:
        await producer.stop()
        database.close()
