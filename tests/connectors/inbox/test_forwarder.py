"""The inbox topics fed from a real broker by a process that is killed: every state once, in order, to its addressee alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from connectors.gateway.access import Member, changing
from deploy.local_kafka import LocalKafka
from deploy.topics import declared, ensure
from schemas.codec import bus
from tests.support import outputs
from tests.support.facts import KEYS

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[3]
STATES = ("sent", "received", "accepted", "completed")


def register(path: Path, *subscribers: str) -> None:
    with changing(path) as held:
        bodies = {body: Member(subscribes=True) for body in subscribers}
        held[0] = held[0].model_copy(update={"bodies": bodies})


async def read(brokers: str, topic: str) -> list[Any]:
    """Every committed record of a topic of one partition; none if there is no such topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, isolation_level="read_committed", fetch_max_wait_ms=20)
    await consumer.start()
    try:
        if topic not in await consumer.topics():
            return []
        part, found = TopicPartition(topic, 0), []
        consumer.assign([part])
        await consumer.seek_to_beginning(part)
        end = (await consumer.end_offsets([part]))[part]
        while await consumer.position(part) < end:
            found += (await consumer.getmany(part, timeout_ms=100)).get(part, [])
        return found
    finally:
        await consumer.stop()


def states(seen: list[Any]) -> dict[bytes, list[str | None]]:
    found: dict[bytes, list[str | None]] = {}
    for record in seen:
        assert record.key is not None
        found.setdefault(record.key, []).append(bus().decode(record.value)[1]["state"] if record.value else None)
    return found


class World:
    def __init__(self, brokers: str, instance: str, folder: Path) -> None:
        self.brokers, self.instance, self.register = brokers, instance, folder / "bodies.json"
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.connectors.inbox.forwarding"]
        self.child = subprocess.Popen([*command, self.brokers, self.instance, str(self.register)], cwd=ROOT)

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait()

    async def inbox(self, body: str) -> dict[bytes, list[str | None]]:
        return states(await read(self.brokers, f"{self.instance}.inbox.{body}"))

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(40):
            while not await true():  # noqa: ASYNC110 - another process moves it
                await asyncio.sleep(0.1)


async def test_every_state_once_over_kills(kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await ensure(admin, declared(instance, 2, 2))
    await admin.close()
    world = World(kafka.bootstrap, instance, tmp_path)
    register(world.register, "gba")
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"{instance}.test")
    await producer.start()

    async def say(n: int, state: str | None, **changes: Any) -> bytes:
        datum = outputs.handoff(n, state=state, **changes)
        key = KEYS.of(datum["handoff"])
        value = bus().encode("handoff", datum) if state else None
        headers = [] if state else [("root", b"r" * 16), ("reason", b"purged")]
        async with producer.transaction():
            await producer.send_and_wait(f"{instance}.handoffs", value, key, partition=key[1] % 2, headers=headers)
        return key

    secret = f"journey:viriat:{'0c' * 16}"
    try:
        world.start()
        first = await say(0, "sent", reason=f"see {secret}")

        async def begun() -> bool:
            return (await world.inbox("gba")).get(first) == ["sent"]

        await world.until(begun)
        keys = {first}
        for state in STATES:
            for n in range(1, 13):
                keys.add(await say(n, state))
                await say(n, state, handoff=f"handoff:viriat:{n + 1_000:032x}", to="udap")
                if n == 6 and state != "sent":  # in the middle of what it is doing
                    world.kill()
                    world.start()
        moved = await say(1, "sent", to="udap")
        purged = await say(2, None)

        async def all_there() -> bool:
            seen = await world.inbox("gba")
            return len(seen) == 13 and seen[moved][-1] is None and seen[purged][-1] is None and len(seen[first]) == 1

        await world.until(all_there)
        register(world.register, "gba", "udap")

        async def caught_up() -> bool:
            return len(await world.inbox("udap")) == 13

        await world.until(caught_up)
        last = await say(1, "received", to="udap")

        async def received() -> bool:
            return (await world.inbox("udap"))[last][-1] == "received"

        await world.until(received)
    finally:
        world.kill()
        await producer.stop()
    seen = await world.inbox("gba")
    assert seen.keys() == keys
    assert seen[first] == ["sent"]
    assert seen[moved] == [*STATES, None] == seen[purged]
    assert all(found == list(STATES) for key, found in seen.items() if key not in (first, moved, purged))
    others = await world.inbox("udap")
    assert others.pop(last) == ["sent", "received"]
    assert all(found == ["completed"] for found in others.values())
    raw = await read(world.brokers, f"{instance}.inbox.gba")
    assert secret.encode() not in b"".join(r.value or b"" for r in raw)
    assert {r.headers for r in raw if r.value is None} == {(("reason", b"withdrawn"),), (("reason", b"purged"),)}
    assert not any(r.headers for r in raw if r.value is not None)
