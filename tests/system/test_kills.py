"""Workers die at any moment, or stand still, while handoffs and merges go on: what the bus says is the plain computation."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaProducer

from deploy import fleet, rules
from deploy.bench.bed import producing
from deploy.fleet import Worker
from deploy.local_kafka import LocalKafka
from deploy.settings import Settings, load
from deploy.topics import ensure_instance
from deploy.worker import extra_definitions
from schemas.codec import bus
from schemas.directory import Directory
from schemas.references import partition_of
from streams.engine.book import Book
from streams.engine.facts import Copy
from tests.support.books import SIMPLE
from tests.support.facts import SECRET
from tests.support.scenario import CONVENTIONS, Scenario
from tests.support.world import DAY, Arrival
from tests.system.outside import READER, WRITTEN, Bus, aborted, check_alerts, check_facts, computed, difference

pytestmark = pytest.mark.system

PARTITIONS = 6
REST_DAYS = 40
"""After the last fact the clock goes on so far."""
PATIENCE_S = 90.0
MORE = 10
"""Kills beyond those wanted, at most, until one has hit an open transaction."""


class Traffic(NamedTuple):
    """Facts by the day they arrive, and to which scenario each belongs."""

    by_day: list[list[bytes]]
    scenario: dict[bytes, int]
    count: int


def traffic(seed: int, scenarios: int, late: Callable[[Arrival], int] = lambda a: a.day) -> Traffic:
    """Facts of several scenarios side by side. `late`: day on which one really comes."""
    days: dict[int, list[bytes]] = {}
    scenario: dict[bytes, int] = {}
    for apart in range(scenarios):
        for arrival in Scenario(seed + apart, apart=apart).arrivals():
            days.setdefault(late(arrival), []).append(arrival.value)
            scenario[READER.copy(arrival.value, 0).fact.case] = apart
    found = [days.get(day, []) for day in range(max(days) + 1)]
    return Traffic(found, scenario, sum(map(len, found)))


class Instance:
    """A led instance with two workers."""

    def __init__(self, brokers: str, settings: Settings, folder: Path) -> None:
        self.brokers, self.settings = brokers, settings
        directory, definition = folder / "directory.yaml", folder / "simple.yaml"
        directory.write_text(Directory(conventions=CONVENTIONS).model_dump_json())
        definition.write_text(SIMPLE.model_copy(update={"retention_days": None}).model_dump_json(by_alias=True))
        self.more = ("--directory", str(directory), "--definition", str(definition))
        self.book: Book = rules.book(rules.directory(directory), extra_definitions([definition]))
        self.workers: dict[int, Worker] = {}

    def start(self, number: int) -> None:
        """Start a worker, in its place."""
        self.workers[number] = fleet.start(self.settings, self.brokers, f"w{number}", self.more)

    async def ready(self) -> None:
        """Wait for all workers."""
        await fleet.wait_ready(list(self.workers.values()))

    def signal(self, number: int, which: signal.Signals) -> None:
        """Send a signal to a worker; wait for its end if it is one that ends it."""
        process = self.workers[number].process
        os.kill(process.pid, which)
        if which is signal.SIGKILL:
            process.wait()

    def stop(self) -> None:
        """End all that runs."""
        for worker in self.workers.values():
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGCONT)
                worker.process.kill()
            worker.process.wait()

    async def rest(self, last: int) -> None:
        """Wait until nothing waits and every worker knows that the time is `last`, ms since the epoch."""
        async with asyncio.timeout(PATIENCE_S):
            quiet = 0
            while quiet < 3:
                told = [(await asyncio.to_thread(w.status))[1] for w in self.workers.values()]
                here = all(t.get("established") == last and not any(p["lag"] for p in t["partitions"]) for t in told)
                here = here and sum(len(t["partitions"]) for t in told) == PARTITIONS
                quiet = quiet + 1 if here else 0
                await asyncio.sleep(0.2)

    async def busy(self, number: int) -> None:
        """Wait until a worker has records to take, for a while."""
        for _ in range(50):
            if any(p["lag"] for p in (await asyncio.to_thread(self.workers[number].status))[1].get("partitions", ())):
                return
            await asyncio.sleep(0.01)

    async def aborted(self) -> int:
        """Records of transactions that did not commit."""
        return await aborted(self.brokers, [f"{self.settings.instance}.{t}" for t in WRITTEN])


@asynccontextmanager
async def running(kafka: LocalKafka, name: str, folder: Path) -> AsyncIterator[tuple[Instance, AIOKafkaProducer]]:
    """The instance, running, and a producer."""
    settings = load(
        instance=name, clock="led", partitions=PARTITIONS, output_partitions=3, data_dir=folder, batch_records=8,
        session_timeout_ms=3_000, heartbeat_ms=500, reference_key=SECRET.hex(), cache_mb=64,
    )  # fmt: skip
    await ensure_instance(settings, kafka.bootstrap)
    made = Instance(kafka.bootstrap, settings, folder)
    try:
        for number in range(2):
            made.start(number)
        await made.ready()
        async with producing(kafka.bootstrap) as producer:
            yield made, producer
    finally:
        made.stop()


async def publish(producer: AIOKafkaProducer, topic: str, day: int, values: list[bytes]) -> None:
    """The facts of a day, then the tick of the next."""
    for value in values:
        key = READER.copy(value, 0).fact.case
        await producer.send(topic, value, key, partition_of(key, PARTITIONS))
    tick = bus().encode("tick", {"at": (day + 1) * DAY})
    for partition in range(PARTITIONS):
        await producer.send(topic, tick, None, partition)
    await producer.flush()


async def check(made: Instance, sent: Traffic, days: int) -> None:
    """At rest: everything as the plain computation has it."""
    last = days * DAY
    await made.rest(last)
    seen = await Bus.look(made.brokers, made.settings.instance)
    copies = seen.admitted()
    assert len(copies) == sent.count and seen.topics["dead-letters"] == []
    messages = seen.messages()
    assert (
        messages["link"]
        and messages["claim"]
        and any(r.headers.get("reason") == b"merged-into" for r in seen.topics["statuses"])
    )
    assert not difference(seen.outputs(), computed(copies, last, made.book))
    check_facts(seen, copies)
    groups: dict[int, list[Copy]] = {}
    for copy in copies:
        groups.setdefault(sent.scenario[copy.fact.case], []).append(copy)
    hours = [day * DAY for day in range(days + 1)]
    assert check_alerts(seen, list(groups.values()), hours, made.book) > 10


async def kills(kafka: LocalKafka, name: str, folder: Path, seed: int, scenarios: int, wanted: int) -> None:
    """Publish while workers are killed; go on killing until at least one had a transaction open."""
    r = random.Random(seed)
    sent = traffic(seed, scenarios)
    days = len(sent.by_day) + REST_DAYS
    async with running(kafka, name, folder) as (made, producer):
        topic = f"{name}.case-events"
        done = 0

        async def feed(upto: int) -> None:
            nonlocal done
            while done < upto:
                await publish(producer, topic, done, sent.by_day[done] if done < len(sent.by_day) else [])
                done += 1

        kill = 0
        while kill < wanted or (kill < wanted + MORE and await made.aborted() == 0):
            kill += 1
            feeding = asyncio.create_task(feed(min(days, len(sent.by_day) * kill // wanted)))
            victim = r.randrange(2)
            await made.busy(victim)
            await asyncio.sleep(r.uniform(0, 0.15))
            made.signal(victim, signal.SIGKILL)
            await asyncio.sleep(r.choice((0.0, 0.0, 0.5)))
            made.start(victim)
            await feeding
            await made.ready()
        await feed(days)
        await check(made, sent, days)
        assert await made.aborted() > 0, "no kill hit an open transaction: this run shows nothing"


async def test_kills(kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    await kills(kafka, instance, tmp_path, seed=100, scenarios=36, wanted=3)


@pytest.mark.long
async def test_many_kills(kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    await kills(kafka, instance, tmp_path, seed=500, scenarios=400, wanted=20)


async def test_a_worker_stands_still_and_a_body_is_cut_off(kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    """The clock goes on while a worker is frozen with its partitions, and while all that one body says is held back."""

    def late(arrival: Arrival) -> int:
        from_, to = 15, 45
        cut = READER.copy(arrival.value, 0).fact.body == "bravo" and from_ <= arrival.day < to
        return to if cut else arrival.day

    sent = traffic(200, 24, late)
    days = len(sent.by_day) + REST_DAYS
    async with running(kafka, instance, tmp_path) as (made, producer):
        for day in range(days):
            if day == 20:
                made.signal(0, signal.SIGSTOP)
            if day == 40:
                await asyncio.sleep(4)  # longer than the session: the other worker takes all partitions
                made.signal(0, signal.SIGCONT)
            await publish(producer, f"{instance}.case-events", day, sent.by_day[day] if day < len(sent.by_day) else [])
        if made.workers[0].process.poll() is not None:
            made.start(0)
        await made.ready()
        await check(made, sent, days)
