"""`relais bench restore`: how long state takes to be there again: cold, warm, and on the survivor when a worker is killed.

The state is written straight into `journeys`, as correlate keeps it: a head and its facts for each journey of one case. Nothing of it
is due, so that nothing but the restoring is measured. The rate counts the whole start of the worker; beside it stand a start without
state, and the seconds that partitions spent restoring, which overlap.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from deploy import fleet, rules, topics
from deploy.bench import bed, pipeline
from deploy.bench.traffic import Shape, Traffic
from deploy.errors import DeployError
from deploy.fleet import Worker
from deploy.settings import Settings
from schemas.codec import bus, events
from schemas.references import Keys, partition_of
from streams.engine.book import Book
from streams.engine.facts import Reader
from streams.engine.root import Root, copy_value, entry_key, fact_key

Say = Callable[[str], None]

NOON = 1_767_000_000_000
WITHIN_S = 900.0


def run(
    open_: int, facts_each: int, session_s: int, folder: Path, say: Say, *, more: int = 0, cache_mb: int = 256
) -> dict[str, Any]:
    """Write the state of `open_` journeys of so many facts each, and start workers on it, whose silence the group bears so long.

    `more`: facts that then follow, spread over all journeys, to be taken by a worker with a cache of so many MiB that has nothing in
    memory.
    """
    with bed.instance(folder, session_timeout_ms=session_s * 1000, cache_mb=cache_mb) as (settings, brokers):
        return asyncio.run(_run(settings, brokers, open_, facts_each, more, say))


async def _run(settings: Settings, brokers: str, open_: int, facts_each: int, more: int, say: Say) -> dict[str, Any]:
    await topics.ensure_instance(settings, brokers)
    await _begin(settings, brokers)
    given = ("--directory", str(bed.bodies_file(settings)))
    with fleet.workers(settings, brokers, 1, given) as running:
        empty = await _whole(running, settings.partitions)
    book = rules.book(bed.directory())
    say(f"writing the state of {open_} journeys of {facts_each} facts")
    records, size = await _write(settings, brokers, state(Keys(settings.reference_secret()), book, open_, facts_each))
    with fleet.workers(settings, brokers, 1, given) as running:
        cold = await _whole(running, settings.partitions)
        told = bed.scrape(running[0])
        rss = bed.rss_mib(running[0])
    say(f"cold: {cold:.1f} s")
    with fleet.workers(settings, brokers, 1, given) as running:
        warm = await _whole(running, settings.partitions)
        say(f"warm: {warm:.1f} s")
        rate = await _take(settings, brokers, running, open_, facts_each, min(more, open_), say) if more else None
        rss_then = bed.rss_mib(running[0])
    with fleet.workers(settings, brokers, 2, given) as running:
        await _whole(running, settings.partitions)
        lost = running.pop(0)
        lost.process.kill()
        lost.process.wait()
        over = await _whole(running, settings.partitions)
    say(f"fail-over: {over:.1f} s")
    stores = sum(f.stat().st_size for f in (settings.data_dir / "workers" / "w0").rglob("*") if f.is_file())
    return {
        "bench": "restore", "open": open_, "facts_each": facts_each, "records": records, "state_mib": round(size / 2**20, 1),
        "store_mib": round(stores / 2**20, 1), "empty_start_seconds": round(empty, 2),
        "cold_seconds": round(cold, 2), "cold_records_per_second": round(records / cold),
        "restored_records": round(told["relais_restored_records_total"]),
        "restore_seconds_of_partitions": round(told["relais_restore_seconds_total"], 2),
        "warm_seconds": round(warm, 2), "failover_seconds": round(over, 2), "rss_mib": rss,
        "more": min(more, open_), "facts_per_second": rate, "rss_mib_then": rss_then,
        "machine": bed.machine(), "settings": bed.told(settings),
    }  # fmt: skip


def state(keys: Keys, book: Book, open_: int, facts_each: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(reference key, record key, value) of the state of open journeys, each of one case that names nothing else."""
    traffic, reader, codec = Traffic(Shape.ALONE), Reader(events(), keys), bus()
    for n in range(open_):
        root: Root | None = None
        for step in range(min(facts_each, traffic.length)):
            copy = reader.copy(traffic.fact(n, step).value, NOON)
            root = root or Root(copy.fact.case, book)
            root.add(copy)
            yield root.key, fact_key(root.key, copy.fact.key), copy_value(copy, codec)
        assert root is not None
        root.rules, root.hold = book.digest, NOON
        yield root.key, entry_key(root.key), codec.encode("head", root.head())


async def _write(settings: Settings, brokers: str, state_: Iterator[tuple[bytes, bytes, bytes]]) -> tuple[int, int]:
    """Write records of state to their partitions; their number and bytes."""
    count = size = 0
    async with bed.producing(brokers) as producer:
        log = bed.Appending(producer, f"{settings.instance}.journeys")
        for reference, key, value in state_:
            await log.append(partition_of(reference, settings.partitions), key, value)
            count += 1
            size += len(key) + len(value)
        await log.flush()
    return count, size


async def _take(
    settings: Settings, brokers: str, running: list[Worker], open_: int, step: int, more: int, say: Say
) -> int:
    """Facts per second when each of `more` journeys, spread over all, gets its next fact."""
    traffic, source = Traffic(Shape.ALONE), f"{settings.instance}.case-events"
    facts = (traffic.fact(n * open_ // more, step) for n in range(more))
    with pipeline.standing_still(running):
        await bed.publish(brokers, source, settings.partitions, Keys(settings.reference_secret()), facts)
        targets = await pipeline.ends(brokers, source, settings.partitions)
    begun = time.perf_counter()
    return round(more / (await pipeline.drained(running, say, targets) - begun))


async def _begin(settings: Settings, brokers: str) -> None:
    """Commit where reading begins: without it a worker that finds state refuses to start."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers, group_id=f"{settings.instance}.relais", enable_auto_commit=False
    )
    partitions = [TopicPartition(f"{settings.instance}.case-events", p) for p in range(settings.partitions)]
    consumer.assign(partitions)
    await consumer.start()
    try:
        await consumer.commit({tp: OffsetAndMetadata(0, "") for tp in partitions})
    finally:
        await consumer.stop()


async def _whole(running: list[Worker], partitions: int) -> float:
    """Seconds until these workers have all partitions ready, and each of them some."""
    begun = time.monotonic()
    while True:
        ready: list[set[int]] = []
        for worker in running:
            worker.check()
            _, status = await asyncio.to_thread(worker.status)
            ready.append({p["partition"] for p in status.get("partitions", ()) if p["ready"]})
        if all(ready) and len(set().union(*ready)) == partitions:
            return time.monotonic() - begun
        if time.monotonic() - begun > WITHIN_S:
            told = " and ".join(str(len(some)) for some in ready)
            raise DeployError(
                f"{told} of {partitions} partitions are ready after {WITHIN_S:.0f} s: see {running[0].log}"
            )
        await asyncio.sleep(0.05)
