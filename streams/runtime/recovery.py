"""Bring local stores up to their changelogs: the tail after a warm start, everything after a cold one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiokafka import TopicPartition

from streams.runtime import clients, metrics
from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import RuntimeReason, WorkerEnd
from streams.runtime.offsets import Offsets
from streams.runtime.store import Change, Store

log = logging.getLogger(__name__)

POLL_MS = 50
SLICE = 4000
"""So many records are applied before others get their turn."""
FETCH_BYTES = 8 * 1024 * 1024

Derive = Callable[[bytes, bytes | None], list[Change]]


class WipeReason(StrEnum):
    """Why a store was thrown away before a recovery."""

    BEYOND = "beyond-log"
    """It knows more than the changelog: the topic was made anew, or lost records."""
    BEHIND = "behind-log"
    """Records that it had not read were deleted by other means than compaction."""
    STALE = "stale"
    """It missed so much that tombstones may have been compacted away in between."""


@dataclass(slots=True)
class Job:
    """One partition to restore."""

    tp: TopicPartition
    """Partition of the changelog."""
    store: Store
    derive: Derive
    labels: tuple[str, str]
    stale: bool = False
    """The first record found in the tail makes the store worthless."""
    count: int = 0


def plan(position: int, start: int, end: int) -> tuple[int, WipeReason | None]:
    """Where to begin reading a changelog that runs from start to end, and why the store must be wiped first, if so.

    A first offset above zero does no harm to a store that had read up to there; others lack what stood before it.
    """
    if position > end:
        return start, WipeReason.BEYOND
    if 0 < position < start:
        return start, WipeReason.BEHIND
    return max(position, start), None


async def restore(
    config: RuntimeConfig, offsets: Offsets, jobs: Sequence[Job], check: Callable[[], None] = lambda: None
) -> None:
    """Apply to each store what its changelog holds beyond it, up to the end that it has now.

    To be called after fencing: nothing is then added to these changelogs, and no transaction is open in them. `check`
    is called again and again, and may raise to give up; the stores keep what they have.

    Raises:
        WorkerEnd: nothing was read for `restore_stall_s`; or a changelog lost its beginning, and its store does not hold it.
        KafkaError: the broker refused.
    """
    if not jobs:
        return
    begun = time.perf_counter()
    tps = [job.tp for job in jobs]
    starts, ends = await offsets.starts(tps), await offsets.ends(tps)
    todo: dict[TopicPartition, Job] = {}
    begins: dict[TopicPartition, int] = {}
    now = time.time_ns() // 1_000_000
    for job in jobs:
        begin, reason = plan(job.store.position(), starts[job.tp], ends[job.tp])
        if begin == starts[job.tp] > 0 and job.store.position() != begin:
            _lost(config, job, begin)
        if reason is not None:
            _wipe(job, reason)
        age_s = (now - job.store.written_at()) / 1000
        job.stale = job.store.position() > 0 and age_s > config.tombstone_retention_s
        if begin < ends[job.tp]:
            todo[job.tp], begins[job.tp] = job, begin
    if todo:
        await _read(config, todo, begins, starts, ends, check)
    seconds = time.perf_counter() - begun
    for job in jobs:
        metrics.RESTORED.labels(*job.labels).inc(job.count)
        metrics.RESTORE_SECONDS.labels(*job.labels).inc(seconds / len(jobs))
    log.info("restored %d partitions, %d records, %.2f s", len(jobs), sum(job.count for job in jobs), seconds)


async def _read(
    config: RuntimeConfig,
    todo: dict[TopicPartition, Job],
    begins: dict[TopicPartition, int],
    starts: dict[TopicPartition, int],
    ends: dict[TopicPartition, int],
    check: Callable[[], None],
) -> None:
    consumer = clients.reader(
        **config.client(),
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=POLL_MS,
    )
    async with clients.running(consumer):
        consumer.assign(list(todo))
        for tp, begin in begins.items():
            consumer.seek(tp, begin)
        at = dict(begins)
        moved = time.monotonic()
        while todo:
            check()
            found = await consumer.getmany(timeout_ms=POLL_MS)
            for tp, records in found.items():
                if tp in todo and not await _apply(todo[tp], records):
                    consumer.seek(tp, starts[tp])
            for tp, job in list(todo.items()):
                position = await consumer.position(tp)
                if position != at[tp]:
                    at[tp], moved = position, time.monotonic()
                if position >= ends[tp]:
                    job.store.write((), ends[tp])
                    del todo[tp]
            if time.monotonic() - moved > config.restore_stall_s:
                where = ", ".join(f"{tp.partition} at {at[tp]} of {ends[tp]}" for tp in todo)
                raise WorkerEnd(RuntimeReason.RESTORE_STALLED, where)


async def _apply(job: Job, records: Sequence[Any]) -> bool:
    """Write records to the store; False if it had to be wiped, and reading starts again."""
    if job.stale and records:
        _wipe(job, WipeReason.STALE)
        job.stale = False
        return False
    for i in range(0, len(records), SLICE):
        piece = records[i : i + SLICE]
        # Only the last word on a key: what it replaces was never in the store, so nothing was derived from it.
        last = {record.key: record.value for record in piece if record.key is not None}
        changes: list[Change] = list(last.items())
        for key, value in last.items():
            changes += job.derive(key, value)
        job.store.write(changes, piece[-1].offset + 1)
        job.count += len(piece)
        await asyncio.sleep(0)
    return True


def _lost(config: RuntimeConfig, job: Job, start: int) -> None:
    """Compaction leaves the first offset of a log where it is: a changelog that begins later has lost what stood before."""
    where = f"{job.tp.topic}/{job.tp.partition}"
    if not config.accept_lost_state:
        raise WorkerEnd(RuntimeReason.STATE_TRUNCATED, f"{where} begins at {start}: bring back what stood before it")
    log.error("%s begins at %d: going on without what stood before it, as told", where, start)
    metrics.STATE_LOST.labels(*job.labels).inc()


def _wipe(job: Job, reason: WipeReason) -> None:
    log.warning("store of %s/%s wiped: %s", job.tp.topic, job.tp.partition, reason.value)
    metrics.STORES_WIPED.labels(reason.value).inc()
    job.store.wipe()
