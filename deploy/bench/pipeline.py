"""`relais bench pipeline`: from facts already in `case-events` to everything committed, beside two floors in the same run."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy import fleet, topics
from deploy.bench import bed, floor
from deploy.bench.traffic import Shape, Traffic
from deploy.settings import Settings
from deploy.topics import Topic
from schemas.references import Keys

Say = Callable[[str], None]


def run(shape: Shape, open_: int, facts: int, workers: int, folder: Path, say: Say) -> dict[str, Any]:
    """Run on a broker of its own in `folder`; the figures as a JSON object."""
    cache = min(12_288, 512 + open_ // 12)
    with bed.instance(folder, batch_records=5000, cache_mb=cache, session_timeout_ms=120_000) as (settings, brokers):
        return asyncio.run(_run(settings, brokers, shape, open_, facts, workers, say))


async def _run(
    settings: Settings, brokers: str, shape: Shape, open_: int, facts: int, workers: int, say: Say
) -> dict[str, Any]:
    await topics.ensure_instance(settings, brokers)
    keys, traffic = Keys(settings.reference_secret()), Traffic(shape)
    source = f"{settings.instance}.case-events"
    say(f"preparing {open_} open journeys")
    await bed.publish(brokers, source, settings.partitions, keys, traffic.before(open_))
    given = ("--directory", str(bed.bodies_file(settings)))
    with fleet.workers(settings, brokers, workers, given) as running:
        begun = time.perf_counter()
        await fleet.wait_ready(running)
        ready = time.perf_counter() - begun
        await drained(running, say, await ends(brokers, source, settings.partitions))
        prepared = time.perf_counter() - begun
        starts = await ends(brokers, source, settings.partitions)
        before = _sum(map(bed.scrape, running))
        say(f"publishing {facts} facts to measure while the workers stand still")
        with standing_still(running):
            count, size = await bed.publish(brokers, source, settings.partitions, keys, traffic.measured(open_, facts))
            targets = await ends(brokers, source, settings.partitions)
        begun = time.perf_counter()
        seconds = await drained(running, say, targets) - begun
        after = _sum(map(bed.scrape, running))
        rss = [bed.rss_mib(w) for w in running]
    total = {name: value - before.get(name, 0.0) for name, value in after.items()}
    written = floor.Load(total["relais_sent_records_total"] / count, total["relais_sent_bytes_total"] / count)
    say("measuring the floors")
    floors = await _floors(settings, brokers, source, starts, count, size, written, say)
    rate = count / seconds
    return {
        "bench": "pipeline", "shape": shape.value, "open": open_, "workers": workers, "facts": count, "seconds": round(seconds, 2),
        "facts_per_second": round(rate), "prepare_seconds": round(prepared, 1), "ready_seconds": round(ready, 2),
        "bytes_per_fact_in": round(size / count), "bytes_written_per_fact": round(written.size),
        "records_written_per_fact": round(written.records, 2),
        "messages_between_partitions_per_fact": round(total["relais_records_total"] / count - 1, 3),
        "facts_per_journey_per_batch": round(total["relais_records_total"] / max(1, total["relais_roots_published_total"]), 2),
        "records_per_transaction": round(total["relais_records_total"] / max(1, total["relais_batches_total"])),
        "process_us_per_fact": round(total["relais_process_seconds_total"] / count * 1e6, 1),
        "rss_mib": rss, "floor_same_bytes": round(floors[0]), "floor_fact_once": round(floors[1]),
        "ratio_same_bytes": round(rate / floors[0], 3), "ratio_fact_once": round(rate / floors[1], 3),
        "machine": bed.machine(), "settings": bed.told(settings),
    }  # fmt: skip


def _sum(scraped: Iterable[dict[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in scraped:
        for name, value in one.items():
            found[name] = found.get(name, 0.0) + value
    return found


@contextmanager
def standing_still(running: list[fleet.Worker]) -> Iterator[None]:
    """Stop the workers where they are; what they hold in memory stays. Shorter than the session time-out."""
    for worker in running:
        worker.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in running:
            worker.process.send_signal(signal.SIGCONT)


MARK_S = 3.0
"""A log may end in the mark of a transaction, which no reader counts: with nothing to read for so long, all is read."""


async def drained(running: list[fleet.Worker], say: Say, targets: Mapping[int, int]) -> float:
    """Wait until every partition has passed its target and none has anything left to read; when the last was taken (`perf_counter`)."""
    quiet, seen = 0, (-1, -1)
    moved = told = time.perf_counter()
    while quiet < 3:
        found, now = left(running, targets), time.perf_counter()
        if found != seen:
            seen, moved = found, now
        lag, missing = found
        at_rest = lag == 0 and (missing == 0 or now - moved > MARK_S)
        quiet = quiet + 1 if at_rest else 0
        if now - told > 5:
            say(f"  {lag + missing} records to go")
            told = now
        await asyncio.sleep(0.05 if quiet else 0.2)
    return moved


def left(running: list[fleet.Worker], targets: Mapping[int, int]) -> tuple[int, int]:
    """Records that are not taken yet: those that the workers see, and those up to the targets."""
    missing = dict(targets)
    lag = 0
    for worker in running:
        worker.check()
        for partition in worker.status()[1].get("partitions", ()):
            lag += partition["lag"]
            number = partition["partition"]
            missing[number] = max(0, missing.get(number, 0) - partition["offset"])
    return lag, sum(missing.values())


async def ends(brokers: str, topic: str, partitions: int) -> dict[int, int]:
    """End of each partition of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, p) for p in range(partitions)])
    finally:
        await consumer.stop()
    return {tp.partition: offset for tp, offset in ends.items()}


async def _floors(
    settings: Settings,
    brokers: str,
    source: str,
    starts: dict[int, int],
    count: int,
    size: int,
    written: floor.Load,
    say: Say,
) -> tuple[float, float]:
    """The same bytes in the same transactions; and each fact's bytes once. Records that relais added to the log are read too."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    own = [Topic(f"floor.{n}", settings.partitions, {}, {}) for n in ("state", "out")]
    try:
        await topics.ensure(admin, own)
    finally:
        await admin.close()
    outputs = ("floor.state", settings.partitions, "floor.out", settings.partitions)
    rates = []
    for load_ in (written, floor.Load(1.0, size / count)):
        rates.append(await floor.run(brokers, source, starts, count, load_, settings.batch_records, outputs))
        say(f"  floor: {rates[-1]:.0f} facts/s")
    return rates[0], rates[1]
