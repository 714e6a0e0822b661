"""`relais bench pipeline`: from facts already in `case-events` to everything committed, beside two floors in the same run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy import fleet, topics
from deploy.bench import bed, floor
from deploy.bench.traffic import Shape, Traffic
from deploy.local_kafka import LocalKafka
from deploy.settings import Settings, load
from deploy.topics import Topic
from schemas.references import Keys

Say = Callable[[str], None]


def run(shape: Shape, open_: int, facts: int, workers: int, folder: Path, say: Say) -> dict[str, Any]:
    """Run on a broker of its own in `folder`; the figures as a JSON object."""
    settings = load(data_dir=folder, instance="bench", batch_records=5000, cache_mb=min(12_288, 512 + open_ // 12))
    settings.ensure_reference_secret()
    with LocalKafka(folder / "kafka", say=lambda _: None) as broker:
        return asyncio.run(_run(settings, broker.bootstrap, shape, open_, facts, workers, say))


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
        await fleet.wait_ready(running)
        begun = time.perf_counter()
        await drained(running, say)
        prepared = time.perf_counter() - begun
    starts = await _ends(brokers, source, settings.partitions)
    say(f"publishing {facts} facts to measure")
    count, size = await bed.publish(brokers, source, settings.partitions, keys, traffic.measured(open_, facts))
    with fleet.workers(settings, brokers, workers, given) as running:
        begun = time.perf_counter()
        await fleet.wait_ready(running)
        ready = time.perf_counter() - begun
        begun = time.perf_counter()
        await drained(running, say)
        seconds = time.perf_counter() - begun
        scraped = [bed.scrape(w) for w in running]
        rss = [bed.rss_mib(w) for w in running]
    total = {k: sum(s.get(k, 0.0) for s in scraped) for k in {k for s in scraped for k in s}}
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
        "machine": bed.machine(), "settings": {"batch_records": settings.batch_records, "cache_mb": settings.cache_mb,
                                               "partitions": settings.partitions, "output_partitions": settings.output_partitions},
    }  # fmt: skip


async def drained(running: list[fleet.Worker], say: Say) -> None:
    """Wait until no partition has anything left to read."""
    quiet = 0
    told = time.monotonic()
    while quiet < 3:
        lag = sum(lag_of(w) for w in running)
        quiet = quiet + 1 if lag == 0 else 0
        if time.monotonic() - told > 5:
            say(f"  {lag} records to go")
            told = time.monotonic()
        await asyncio.sleep(0.05 if quiet else 0.2)


def lag_of(worker: fleet.Worker) -> int:
    """Records that a worker has not taken yet; 1 while it owns nothing."""
    worker.check()
    partitions = worker.status()[1].get("partitions")
    return sum(p["lag"] for p in partitions) if partitions else 1


async def _ends(brokers: str, topic: str, partitions: int) -> dict[int, int]:
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
