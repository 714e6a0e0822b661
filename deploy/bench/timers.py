"""`relais bench timers`: what a tick costs, how long many deadlines take to fire, and what open journeys cost the rest.

On a led clock: the benchmark says what time it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deploy import fleet, topics
from deploy.bench import bed, pipeline
from deploy.bench.traffic import FIRST_DAY, Made, Shape, Traffic
from deploy.errors import DeployError
from deploy.fleet import Worker
from deploy.settings import Settings
from schemas import codec
from schemas.references import Keys

Say = Callable[[str], None]

DAY_MS = 86_400_000
QUIET_DAY = FIRST_DAY + 31
"""All journeys are open, no limit has passed and none is near."""
LATE_DAY = FIRST_DAY + 3_650
"""Every limit has passed."""
FEW = 10_000
STALL_S = 200.0


def run(open_: int, facts: int, ticks: int, folder: Path, say: Say) -> dict[str, Any]:
    """`open_` journeys of one case, each under the limits of its procedure; `facts` more of them for each throughput."""
    cache = min(12_288, 512 + open_ // 12)
    with bed.instance(folder, clock="led", cache_mb=cache, session_timeout_ms=120_000) as (settings, brokers):
        return asyncio.run(_run(settings, brokers, open_, facts, ticks, say))


async def _run(settings: Settings, brokers: str, open_: int, facts: int, ticks: int, say: Say) -> dict[str, Any]:
    await topics.ensure_instance(settings, brokers)
    bench = _Bench(settings, brokers, say)
    few = min(FEW, open_)
    with fleet.workers(settings, brokers, 1, ("--directory", str(bed.bodies_file(settings)))) as running:
        await fleet.wait_ready(running)
        bench.running = running
        await bench.tick(QUIET_DAY * DAY_MS)
        say(f"opening {few} journeys, then {facts} facts of them")
        await bench.take(bench.step(0, few, 0))
        with_few = await bench.take(bench.more(few, facts))
        say(f"opening {open_ - few} more, then {facts} facts of all")
        await bench.take(bench.step(few, open_, 0))
        with_many = await bench.take(bench.more(open_, facts))
        await bench.tick(QUIET_DAY * DAY_MS + 1)
        say(f"{ticks} ticks with nothing due")
        before = bed.scrape(running[0])["relais_process_seconds_total"]
        quiet = [await bench.tick(QUIET_DAY * DAY_MS + 2 + i) for i in range(ticks)]
        cost = (bed.scrape(running[0])["relais_process_seconds_total"] - before) / ticks
        say("a tick after every limit")
        sent = bed.scrape(running[0])["relais_sent_records_total"]
        due = await bench.tick(LATE_DAY * DAY_MS)
        written = bed.scrape(running[0])["relais_sent_records_total"] - sent
        rss = bed.rss_mib(running[0])
        fired = await bed.live(brokers, f"{settings.instance}.alerts", settings.output_partitions)
    return {
        "bench": "timers", "open": open_, "facts": facts,
        "tick": bed.spread(quiet), "tick_process_ms": round(cost * 1000, 2),
        "alerts": fired, "fire_seconds": round(due, 2), "alerts_per_second": round(fired / due),
        "records_written": round(written), "facts_per_second_with_few": round(with_few), "few": few,
        "facts_per_second": round(with_many), "ratio_to_few": round(with_many / with_few, 2), "rss_mib": rss,
        "machine": bed.machine(), "settings": bed.told(settings),
    }  # fmt: skip


class _Bench:
    """An instance whose clock is led from here."""

    def __init__(self, settings: Settings, brokers: str, say: Say) -> None:
        self._settings, self._brokers, self._say = settings, brokers, say
        self._keys, self._traffic = Keys(settings.reference_secret()), Traffic(Shape.ALONE)
        self._source = f"{settings.instance}.case-events"
        self.running: list[Worker] = []

    def step(self, first: int, last: int, step: int) -> Iterator[Made]:
        """The same step of some journeys."""
        return (self._traffic.fact(n, step) for n in range(first, last))

    def more(self, open_: int, facts: int) -> Iterator[Made]:
        """Facts that follow on the opening, spread over all journeys; they leave the limits as they are."""
        return (
            self._traffic.fact(n * open_ // facts, 1)
            if facts <= open_
            else self._traffic.fact(n % open_, 1 + n // open_ % 2)
            for n in range(facts)
        )

    async def take(self, facts: Iterator[Made]) -> float:
        """Facts per second, from the first published to all taken."""
        begun = time.perf_counter()
        count, _ = await bed.publish(self._brokers, self._source, self._settings.partitions, self._keys, facts)
        await pipeline.drained(self.running, self._say, await self._ends())
        return count / (time.perf_counter() - begun)

    async def tick(self, at: int) -> float:
        """Lead the clock (ms); seconds until everything that is due by then is done."""
        value = codec.bus().encode("tick", {"at": at})
        begun = time.perf_counter()
        async with bed.producing(self._brokers) as producer:
            log = bed.Appending(producer, self._source)
            for partition in range(self._settings.partitions):
                await log.append(partition, None, value)
            await log.flush()
        while not all(self._done(worker, at) for worker in self.running):
            if time.perf_counter() - begun > STALL_S:
                raise DeployError(f"a tick is not through after {STALL_S:.0f} s: see {self.running[0].log}")
            await asyncio.sleep(0.02)
        return time.perf_counter() - begun

    def _done(self, worker: Worker, at: int) -> bool:
        worker.check()
        partitions = worker.status()[1].get("partitions", ())
        return bool(partitions) and all(p["timed"] is not None and p["timed"] >= at for p in partitions)

    async def _ends(self) -> dict[int, int]:
        return await pipeline.ends(self._brokers, self._source, self._settings.partitions)
