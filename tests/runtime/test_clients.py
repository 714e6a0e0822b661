"""Starting and stopping clients of a real broker, cancelled at any moment: nothing stays open, and no cancellation is lost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection

from deploy.local_kafka import LocalKafka
from streams.runtime import clients

Make = Callable[[str, str], clients.Client]


def consumer(brokers: str, _name: str) -> clients.Client:
    """A consumer without a group."""
    return AIOKafkaConsumer(bootstrap_servers=brokers)


def producer(brokers: str, name: str) -> clients.Client:
    """A producer with transactions."""
    return AIOKafkaProducer(bootstrap_servers=brokers, transactional_id=name)


@dataclass
class Wire:
    """What goes to the broker."""

    connections: list[AIOKafkaConnection] = field(default_factory=list)
    """Every connection that sent something."""
    requests: int = 0
    on_request: Callable[[int], None] = lambda _number: None
    """Called when a request is out, before its answer can be in."""

    def still_open(self) -> list[AIOKafkaConnection]:
        """Connections that nobody has closed."""
        return [c for c in self.connections if c.connected()]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Return what goes to the broker from now on."""
    seen = Wire()
    send = AIOKafkaConnection.send

    def noted(self: AIOKafkaConnection, *request: Any, **options: Any) -> Any:
        seen.connections.append(self)
        answer = send(self, *request, **options)
        seen.on_request(seen.requests)
        seen.requests += 1
        return answer

    monkeypatch.setattr(AIOKafkaConnection, "send", noted)
    yield seen
    for left in seen.still_open():  # of a test that has failed
        left.close()


async def cancelled(work: asyncio.Task[None]) -> bool:
    """Whether it has ended as cancelled."""
    await asyncio.wait({work}, timeout=30)
    return work.cancelled()


@pytest.mark.parametrize("make", [consumer, producer])
async def test_a_start_cancelled_at_any_request_leaves_nothing_open(
    make: Make, kafka: LocalKafka, instance: str, wire: Wire
) -> None:
    for number in itertools.count():
        client = make(kafka.bootstrap, instance)
        work = asyncio.create_task(clients.start(client))
        wire.requests, wire.on_request = 0, lambda n, at=number, task=work: task.cancel() if n == at else None
        if not await cancelled(work):
            break
        assert wire.still_open() == [], number
    await clients.stop(client)
    assert number == wire.requests >= 2, "a start that needs no more requests is not cancelled"


@pytest.mark.parametrize("make", [consumer, producer])
async def test_a_cancelled_stop_stops_and_is_cancelled(
    make: Make, kafka: LocalKafka, instance: str, wire: Wire
) -> None:
    for steps in range(1, 20):  # at 0 it would not have begun
        client = make(kafka.bootstrap, instance)
        await clients.start(client)
        work = asyncio.create_task(clients.stop(client))
        for _ in range(steps):
            await asyncio.sleep(0)
        ended = work.done()
        work.cancel()
        assert await cancelled(work) or ended, steps
        assert wire.still_open() == [], steps


async def test_work_that_does_not_end_holds_a_cancellation_up_for_its_grace_only() -> None:
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    work = asyncio.create_task(clients.whole(endless(), grace_s=0.05))
    await asyncio.sleep(0.01)
    work.cancel()
    assert await cancelled(work)
    await asyncio.wait_for(ended.wait(), 30)


async def test_what_work_raises_is_raised() -> None:
    async def wrong() -> None:
        raise ConnectionError("no")

    with pytest.raises(ConnectionError, match="no"):
        await clients.whole(wrong())
