"""`relais bench latency`: from publishing a fact to reading it in `statuses`, and to the answer of the API, at a steady rate.

Beside it in the same run, at the same rate: the bare way of the same bytes from a producer to a reader of committed records.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy import fleet, tokens, topics
from deploy.bench import bed, pipeline
from deploy.bench.traffic import BODIES, Made, Shape, Traffic
from deploy.settings import Settings
from deploy.topics import Topic
from schemas.references import Keys, partition_of

Say = Callable[[str], None]

BARE = "floor.bare"
ASK_EVERY_S = 0.005
LOST_S = 20.0
"""What is not read so long after the last fact was published is lost."""


def run(rate: int, seconds: int, workers: int, asked: int, folder: Path, say: Say) -> dict[str, Any]:
    """`rate` facts a second for so many seconds, each of another journey; `asked` of them are followed through the API."""
    with bed.instance(folder) as (settings, brokers):
        return asyncio.run(_run(settings, brokers, rate, seconds, workers, asked, say))


async def _run(
    settings: Settings, brokers: str, rate: int, seconds: int, workers: int, asked: int, say: Say
) -> dict[str, Any]:
    await topics.ensure_instance(settings, brokers)
    await _ensure_bare(settings, brokers)
    keys, traffic, count = Keys(settings.reference_secret()), Traffic(Shape.SINGLE), rate * seconds
    source, statuses = f"{settings.instance}.case-events", f"{settings.instance}.statuses"
    say(f"preparing {count} open journeys")
    await bed.publish(brokers, source, settings.partitions, keys, traffic.before(count))
    token = tokens.ensure_tokens(settings, BODIES)[0][tokens.OPERATOR]
    facts = [traffic.fact(n, traffic.phase(n)) for n in range(count)]
    with fleet.workers(settings, brokers, workers, ("--directory", str(bed.bodies_file(settings)))) as running:
        await fleet.wait_ready(running)
        await pipeline.drained(running, say, await pipeline.ends(brokers, source, settings.partitions))
        with bed.gateway(settings, brokers) as address:
            say(f"publishing {rate} facts/s for {seconds} s")
            async with _asking(address, token) as ask:
                sent = [n for n in range(1, count) if n % max(1, count // max(1, asked)) == 0][:asked]
                answering = asyncio.create_task(_answered(ask, [facts[n] for n in sent], sent, rate))
                published = await _measured(settings, brokers, source, statuses, facts, rate)
                answered = await answering
        say("the same bytes on the bare way")
        bare = await _measured(settings, brokers, BARE, BARE, facts, rate)
    return {
        "bench": "latency", "rate": rate, "seconds": seconds, "workers": workers, "facts": count,
        "readable": bed.spread(list(published.values())), "answered": bed.spread(answered), "bare": bed.spread(list(bare.values())),
        "lost": count - len(published),
        "ratio_p99": _ratio(list(published.values()), list(bare.values())),
        "machine": bed.machine(), "settings": bed.told(settings),
    }  # fmt: skip


def _ratio(ours: Sequence[float], bare: Sequence[float]) -> float | None:
    one, other = bed.spread(ours)["p99_ms"], bed.spread(bare)["p99_ms"]
    return round(one / other, 2) if one and other else None


async def _ensure_bare(settings: Settings, brokers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        await topics.ensure(admin, [Topic(BARE, settings.partitions, {}, {})])
    finally:
        await admin.close()


async def _measured(
    settings: Settings, brokers: str, source: str, target: str, facts: Sequence[Made], rate: int
) -> dict[bytes, float]:
    """Publish at a steady rate; for each case the seconds until `target` had a record under its key."""
    keys = Keys(settings.reference_secret())
    begun: dict[bytes, float] = {}
    found: dict[bytes, float] = {}
    whole = asyncio.Event()
    partitions = settings.output_partitions if target != source else settings.partitions
    async with _producer(brokers) as producer, _reader(brokers, target, partitions) as reader:

        async def read() -> None:
            async for record in reader:
                at = begun.get(record.key)
                if at is not None and record.key not in found and record.value is not None:
                    found[record.key] = time.perf_counter() - at
                    if len(found) == len(facts):
                        whole.set()

        reading = asyncio.create_task(read())
        async for fact in _paced(facts, rate):
            key = keys.of(fact.subject)
            begun[key] = time.perf_counter()
            await producer.send(source, fact.value, key, partition_of(key, settings.partitions))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(whole.wait(), LOST_S)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return found


async def _paced(facts: Iterable[Made], rate: int) -> AsyncIterator[Made]:
    begun = time.perf_counter()
    for i, fact in enumerate(facts):
        wait = begun + i / rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        yield fact


@asynccontextmanager
async def _producer(brokers: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=brokers, enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def _reader(brokers: str, topic: str, partitions: int) -> AsyncIterator[AIOKafkaConsumer]:
    """Reads what is committed from now on."""
    reader = AIOKafkaConsumer(bootstrap_servers=brokers, isolation_level="read_committed", enable_auto_commit=False)
    await reader.start()
    try:
        reader.assign([TopicPartition(topic, p) for p in range(partitions)])
        await reader.seek_to_end()
        yield reader
    finally:
        await reader.stop()


# -- the API
@asynccontextmanager
async def _asking(address: str, token: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=20) as client:
        yield client


async def _answered(ask: httpx2.AsyncClient, facts: Sequence[Made], at: Sequence[int], rate: int) -> list[float]:
    """For each of some facts, published as number `at`, the seconds until the answer about its case was another than before."""
    begun = time.perf_counter()
    return [
        s
        for s in await asyncio.gather(*(_one(ask, f, begun + n / rate) for f, n in zip(facts, at, strict=True)))
        if s >= 0
    ]


async def _one(ask: httpx2.AsyncClient, fact: Made, at: float) -> float:
    await asyncio.sleep(max(0.0, at - 0.5 - time.perf_counter()))
    path = f"/v1/journeys/{fact.subject}"
    before = (await ask.get(path)).text
    await asyncio.sleep(max(0.0, at - time.perf_counter()))
    while (await ask.get(path)).text == before:
        if time.perf_counter() - at > LOST_S:
            return -1.0
        await asyncio.sleep(ASK_EVERY_S)
    return time.perf_counter() - at
