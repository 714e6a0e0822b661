"""Software that falls silent: heartbeats read from a real broker, the last of each source, through a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from connectors.status.sink import SinkConfig
from connectors.status.sources import SILENT, Heard, Sources
from deploy.local_kafka import LocalKafka
from deploy.topics import declared, ensure
from schemas.codec import events
from schemas.references import Keys
from streams.engine.routing import route
from tests.support.facts import KEYS, event

START = 1_780_000_000


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(sources: Sources, count: int) -> AsyncIterator[Sources]:
    """Run it; yields once it has heard of so many."""
    task = asyncio.create_task(sources.run())
    try:
        await until(lambda: len(sources.all()) == count)
        yield sources
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def told(sources: Sources) -> list[tuple[str, bool]]:
    return [(heard.source, silent) for heard, silent in sources.all()]


@pytest.mark.parametrize(
    ("every", "after", "silent"), [(60, 120, False), (60, 121, True), (None, 10_000_000, False), (1, 3, True)]
)
def test_two_missed_heartbeats_are_silence(every: int | None, after: int, silent: bool) -> None:
    assert Heard("viriat", "viriat/oxalis", START, every).silent(START + after) is silent


@pytest.mark.system
async def test_the_last_word_of_each_source_counts(kafka: LocalKafka, instance: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await ensure(admin, declared(instance, 2, 2))
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()

    async def beat(source: str, at: int, every: int | None, keys: Keys = KEYS) -> None:
        value = event("source.heartbeat", f"body:{source.partition('/')[0]}", 20_000, at, source=source, every=every)
        to = route(*events().decode(value), keys, 2)
        await producer.send_and_wait(f"{instance}.{to.topic}", value, to.key, to.partition, timestamp_ms=at * 1000)

    clock = [float(START)]
    config = SinkConfig(brokers=kafka.bootstrap, instance=instance, poll_ms=50, retry_s=0.1)

    def sources() -> Sources:
        return Sources(config, events(), lambda: clock[0])

    try:
        await producer.send_and_wait(f"{instance}.reference", b"not an event", b"x", 0)
        await beat("viriat/oxalis", START, 60)
        await beat("udap-01/fluid", START, 3600)
        await beat("peronnas/retired", START, 1)
        async with running(sources(), 3) as one:
            assert told(one) == [("peronnas/retired", False), ("udap-01/fluid", False), ("viriat/oxalis", False)]
            clock[0] += 121
            assert told(one) == [("peronnas/retired", True), ("viriat/oxalis", True), ("udap-01/fluid", False)]
            await beat("peronnas/retired", START + 100, None)
            await beat("viriat/oxalis", START + 100, 60)
            await until(lambda: not any(silent for _, silent in told(one)))
            clock[0] += 100
        async with running(sources(), 3) as again:
            assert told(again) == [("viriat/oxalis", True), ("peronnas/retired", False), ("udap-01/fluid", False)]
            await until(lambda: SILENT._value.get() == 1)
    finally:
        await producer.stop()
