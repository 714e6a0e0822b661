"""The replay through the real bus: an instance of its own, worker processes, a clock led by the dates of the facts."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from deploy import fleet, topics
from deploy.errors import DeployError, Exit
from deploy.fleet import Worker
from deploy.local_kafka import LocalKafka
from deploy.reading import UnreachableError
from deploy.replay import outputs
from deploy.replay.story import DAY_MS, Story
from schemas import codec
from schemas.references import Keys, partition_of

if TYPE_CHECKING:
    from connectors.eventlog.report import Report
    from deploy.settings import Settings

Say = Callable[[str], None]
Disturb = Callable[[list[Worker]], Awaitable[None]]

STRIDE_DAYS = 30
"""The clock is led once the facts have moved on by so many days."""
TELL_S = 3.0
STALL_S = 180.0
_EPOCH = date(1970, 1, 1).toordinal()


class TakenError(DeployError):
    """The instance exists already."""

    exit_code = Exit.USAGE


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay and what it took."""

    report: Report
    sent: int
    """Facts sent, copies counted."""
    seconds: float
    """From the first fact sent until all was at rest."""


@contextmanager
def broker(settings: Settings, say: Say) -> Iterator[str]:
    """Addresses of the brokers: those set, or the local broker, started for this if it does not run."""
    if settings.brokers:
        yield settings.brokers
        return
    local = LocalKafka(settings.data_dir / "kafka", say=say)
    ours = not local.running()
    if ours:
        say("starting the local broker")
    local.start()
    try:
        yield local.bootstrap
    finally:
        if ours:
            local.stop()


async def run(
    story: Story,
    settings: Settings,
    brokers: str,
    *,
    workers: int = 2,
    keep: bool = False,
    say: Say = lambda _: None,
    disturb: Disturb | None = None,
) -> Replayed:
    """Replay a story in the instance of `settings`, which must not exist yet. `disturb` runs beside it and may change the list.

    Raises `DeployError` when the bus cannot be had, a worker ends, nothing moves for `STALL_S`, or facts were refused.
    """
    async with _instance(settings, brokers, keep):
        arguments = story.write(settings.data_dir)
        with fleet.workers(settings, brokers, workers, arguments) as running:
            say(f"instance {settings.instance}: starting {workers} workers")
            await fleet.wait_ready(running)
            say(f"sending {len(story.facts)} facts")
            begun = time.perf_counter()
            disturbing = asyncio.ensure_future(disturb(running)) if disturb else None
            await send(story, settings, brokers)
            await at_rest(settings, running, story.end, say)
            if disturbing is not None:
                await disturbing
                await at_rest(settings, running, story.end, say)
            seconds = time.perf_counter() - begun
        say(f"at rest after {seconds:.1f} s ({len(story.facts) / seconds:.0f} facts/s), reading the results")
        held = await outputs.read(brokers, settings.instance)
        if held.refused:
            where = f"`relais dead-letters list` with RELAIS_INSTANCE={settings.instance}"
            mend = f"see {where}" if keep else f"run again with --keep, then see {where}"
            raise DeployError(f"the bus refused {held.refused} records: {mend}")
        report = story.report(held.rows, held.facts)
    return Replayed(report, len(story.facts), seconds)


@asynccontextmanager
async def _instance(settings: Settings, brokers: str, keep: bool) -> AsyncIterator[None]:
    """The topics of the instance, made now and deleted at the end unless they are to be kept."""
    names = [t.name for t in topics.declared(settings.instance, settings.partitions, settings.output_partitions)]
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    try:
        await admin.start()
        if set(names) & set(await admin.list_topics()):
            raise TakenError(f"the instance {settings.instance} exists already: choose another name")
        await topics.ensure_instance(settings, brokers)
        try:
            with _folder(settings.data_dir, keep):
                yield
        finally:
            if not keep:
                await admin.delete_topics(names)
    except KafkaConnectionError:
        raise UnreachableError(f"no broker answers at {brokers}") from None
    finally:
        await admin.close()


@contextmanager
def _folder(folder: Path, keep: bool) -> Iterator[None]:
    """The local stores and logs, removed at the end unless they are to be kept, or the logs tell of a failure."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


async def send(story: Story, settings: Settings, brokers: str) -> None:
    """Append the facts to `case-events`, each in the partition of its case, and the ticks of the clock between them."""
    keys, events = Keys(settings.reference_secret()), _Log(settings, brokers)
    async with events:
        led: int | None = None
        for fact, day in zip(story.facts, story.days(), strict=True):
            if led is None or day >= led + STRIDE_DAYS:
                await events.tick(day * DAY_MS)
                led = day
            key = keys.of(fact.subject)
            await events.append(partition_of(key, settings.partitions), key, fact.value)
        await events.tick(story.end)


class _Log:
    """Appends to the partitions of `case-events`, in order within each."""

    def __init__(self, settings: Settings, brokers: str) -> None:
        self._topic = f"{settings.instance}.case-events"
        self._partitions = settings.partitions
        self._producer = AIOKafkaProducer(
            bootstrap_servers=brokers,
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=256 * 1024,
            linger_ms=5,
        )
        self._batches: dict[int, Any] = {}
        self._pending: list[asyncio.Future[Any]] = []

    async def __aenter__(self) -> None:
        await self._producer.start()

    async def __aexit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                for partition in list(self._batches):
                    await self._flush(partition)
                await asyncio.gather(*self._pending)
        finally:
            await self._producer.stop()

    async def append(self, partition: int, key: bytes | None, value: bytes) -> None:
        batch = self._batches.get(partition)
        if batch is not None and batch.append(key=key, value=value, timestamp=None) is not None:
            return
        if batch is not None:
            await self._flush(partition)
        batch = self._batches[partition] = self._producer.create_batch()
        batch.append(key=key, value=value, timestamp=None)

    async def tick(self, at: int) -> None:
        """Lead the clock of every partition to an instant (ms)."""
        value = codec.bus().encode("tick", {"at": at})
        for partition in range(self._partitions):
            await self.append(partition, None, value)

    async def _flush(self, partition: int) -> None:
        batch = self._batches.pop(partition)
        batch.close()
        self._pending.append(await self._producer.send_batch(batch, self._topic, partition=partition))


async def at_rest(settings: Settings, running: list[Worker], end: int, say: Say) -> None:
    """Wait until time is established at `end` (ms) and every partition has done all that was due by then."""
    told = moved = time.monotonic()
    seen: object = None
    while True:
        found, lag, established = await _progress(settings, running)
        if len(found) == settings.partitions and established == end and set(found.values()) == {(0, end)}:
            return
        now = time.monotonic()
        if (seen_now := (found, established)) != seen:
            seen, moved = seen_now, now
        if now - moved > STALL_S:
            raise DeployError(f"nothing moves for {STALL_S:.0f} s: see the logs in {settings.data_dir}")
        if now - told > TELL_S:
            told = now
            day = "" if not established else f", the clock stands at {_day(established)}"
            say(f"  {lag} records to go{day}" if lag else f"  all read{day}")
        await asyncio.sleep(0.1)


async def _progress(
    settings: Settings, running: list[Worker]
) -> tuple[dict[int, tuple[int, int | None]], int, int | None]:
    """(lag, timers done to) of each partition that works, the lag of all, and established time."""
    found: dict[int, tuple[int, int | None]] = {}
    times: list[int] = []
    for worker in list(running):
        _, status = await asyncio.to_thread(worker.status)
        if worker in running:
            worker.check()
        if status.get("established") is not None:
            times.append(status["established"])
        for p in status.get("partitions", ()):
            if p["ready"]:
                found[p["partition"]] = (p["lag"], p["timed"])
    return found, sum(lag for lag, _ in found.values()), min(times, default=None)


def _day(at: int) -> str:
    return date.fromordinal(_EPOCH + at // DAY_MS).isoformat()


def own_settings(settings: Settings, instance: str) -> Settings:
    """The settings of a replay: an instance with a led clock, and a folder that can be thrown away."""
    settings.ensure_reference_secret()
    key = (
        {}
        if settings.reference_key_file or settings.reference_key
        else {"reference_key": settings.reference_secret().hex()}
    )
    from deploy.settings import load  # noqa: PLC0415

    folder: Path = settings.data_dir / "replays" / instance
    return load(
        **settings.model_dump(exclude_none=True) | key | {"instance": instance, "clock": "led", "data_dir": folder}
    )
