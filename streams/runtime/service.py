"""Joins a Faust app and the runtime: bulk agents, the hooks of a rebalance, time, the watchdog, the end."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import faust
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.runtime import collector, metrics
from streams.runtime.assignor import BundleAssignor
from streams.runtime.batch import APP_ATTRIBUTE, RawBatch
from streams.runtime.config import RuntimeConfig
from streams.runtime.contact import Contact
from streams.runtime.errors import RuntimeReason, WorkerEnd, gives_up
from streams.runtime.ownership import Ownership
from streams.runtime.stage import Stage
from streams.runtime.timekeeper import Timekeeper

log = logging.getLogger(__name__)

EXIT_BUDGET_S = 30.0
EXIT_CODE = 70
STOP_BUDGET_S = 10.0


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """What one partition is doing."""

    stage: str
    topic: str
    partition: int
    ready: bool
    offset: int
    lag: int
    progress: int | None
    timed: int | None
    """Established time (ms) up to which its timers have run; None until they have since it was taken."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What this worker is doing; `asdict` makes it JSON."""

    established: int | None
    leads: bool
    holds_time: str | None
    """`topic/partition` that has held time back for the longest, as the coordinator sees it."""
    holds_time_s: float
    silent_s: float
    """Seconds since a broker last answered; above the session timeout the worker is not ready."""
    partitions: list[PartitionStatus]
    ending: str | None
    """Why the worker ends, if it does."""


class Runtime:
    """What `install` returns: the runtime of one worker."""

    def __init__(self, app: faust.App, stages: Sequence[Stage], config: RuntimeConfig) -> None:
        self.config = config
        self.app = app
        self.ownership = Ownership(
            config, stages, lambda: app.consumer, lambda: int(app.consumer_generation_id), self.end
        )
        keyed = [stage for stage in stages if stage.changelog is not None] or list(stages)
        self.time = Timekeeper(config, self.ownership, TopicPartition(keyed[0].topics[0], 0))
        self.ownership.on_progress = self.time.kick
        self.ownership.established = lambda: self.time.established
        self.ending: WorkerEnd | None = None
        self._started = False
        self._assigned = False
        self._tuned = False
        self.contact = Contact(config, self.ownership.offsets)
        self._watching: list[asyncio.Task[None]] = []

    # Hooks

    async def on_assigned(self) -> None:
        """Take the partitions of the new assignment; Faust seeks and resumes afterwards."""
        if self.ending is not None:
            return
        try:
            await self._assign()
        except WorkerEnd as end:
            self.end(end)
        except Exception as error:  # Faust would end without a word of why
            log.exception("taking partitions")
            self.end(WorkerEnd(RuntimeReason.BUG, type(error).__name__))

    async def _start(self) -> None:
        if not self._started:
            await self._check_topics()
            await self.time.start()
            self._started = True
            self._watching += [
                asyncio.create_task(work, name=name)
                for name, work in (("watchdog", self._watchdog()), ("contact", self.contact.keep()))
            ]

    async def _assign(self) -> None:
        last: Exception | None = None
        for attempt in range(self.config.max_failures):
            try:
                await self._start()
                assignment = self.app.consumer.assignment()
                await self.ownership.assign(TopicPartition(tp.topic, tp.partition) for tp in assignment)
            except (KafkaError, TimeoutError, OSError) as error:
                last = error
                log.warning("taking partitions failed: %s", type(error).__name__)
                await asyncio.sleep(0.2 * 2**attempt)
            else:
                self._assigned = True
                self._tune()
                return
        raise gives_up("taking partitions", last)

    async def _check_topics(self) -> None:
        offsets = self.ownership.offsets
        for stage in self.ownership.stages():
            counts = {topic: await offsets.partitions(topic) for topic in stage.topics}
            if stage.changelog is None:
                continue
            found = await offsets.partitions(stage.changelog)
            if {found} != set(counts.values()):
                detail = f"{stage.changelog} has {found} partitions, its input {counts}"
                raise WorkerEnd(RuntimeReason.TOPIC, detail)

    async def on_revoked(self) -> None:
        """Let running transactions end before the partitions go. Also called before the group is joined at all."""
        if not self._watching:
            self._watching.append(asyncio.create_task(self._join(), name="joining"))
        await self.ownership.revoke()

    async def stop(self) -> None:
        """Finish transactions and close producers and stores, before the consumer leaves the group."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        for part in (self.time.stop, self.ownership.stop):
            try:
                async with asyncio.timeout(STOP_BUDGET_S):
                    await part()
            except TimeoutError:
                log.error("%s did not stop in time, given up", part.__qualname__)

    async def _join(self) -> None:
        """End when the group refuses this worker for good; Faust would wait for ever."""
        while self.ending is None:
            await asyncio.sleep(1.0)
            refusal = self.app.consumer.refusal()
            if refusal is not None:
                mend = "give all workers the same number of bundles, and the right to read the group"
                self.end(WorkerEnd(RuntimeReason.REFUSED, f"{type(refusal).__name__}: {mend}"))

    def end(self, reason: WorkerEnd) -> None:
        """End the process: this worker cannot go on. The first reason counts."""
        if self.ending is not None:
            return
        self.ending = reason
        log.critical("worker ends: %s", reason)
        asyncio.get_running_loop().create_task(self.app.crash(reason))
        # A crash that hangs in its own shutdown would be a worker that neither works nor ends.
        last = threading.Timer(EXIT_BUDGET_S, os._exit, (EXIT_CODE,))
        last.daemon = True
        last.start()

    def _tune(self) -> None:
        """Once state is restored: it is there to stay, the collector need not look at it again and again."""
        if not self._tuned:
            self._tuned = True
            collector.settled()

    async def _watchdog(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self.config.watchdog_s / 4))
            now = time.monotonic()
            metrics.READY.set(self.ready)
            metrics.LAG.clear()  # a partition that went elsewhere has no lag here
            for worker in list(self.ownership.workers.values()):
                metrics.LAG.labels(*worker.labels).set(worker.lag)
                if worker.ready and not worker.lag:
                    worker.committed_at = now
                elif now - max(worker.committed_at, self.ownership.moved_at) > self.config.watchdog_s:
                    what = f"at offset {worker.position}" if worker.ready else "not taken up again since a rebalance"
                    self.end(WorkerEnd(RuntimeReason.STUCK, f"{worker.stage.name} {worker.tp.partition} {what}"))

    # What the web asks

    def status(self) -> WorkerStatus:
        """What this worker is doing."""
        holding = self.time.coordinator.holding()
        return WorkerStatus(
            established=self.time.established,
            leads=self.time.coordinator.leads,
            holds_time=None if holding is None else f"{holding[0].topic}/{holding[0].partition}",
            holds_time_s=0.0 if holding is None else round(holding[1], 3),
            silent_s=round(self.contact.silent_s, 3),
            partitions=[
                PartitionStatus(w.stage.name, tp.topic, tp.partition, w.ready, w.position, w.lag, w.progress, w.timed)
                for tp, w in sorted(self.ownership.workers.items())
            ],
            ending=None if self.ending is None else str(self.ending),
        )

    def livez(self) -> tuple[bool, dict[str, Any]]:
        """Whether the process should live on, and why not."""
        return self.ending is None, {"ending": None if self.ending is None else str(self.ending)}

    @property
    def ready(self) -> bool:
        """Whether every partition of this worker works, and a broker is there to work with."""
        if not self._assigned or self.ending is not None or self.contact.lost:
            return False
        return all(worker.ready for worker in self.ownership.workers.values())

    def readyz(self) -> tuple[bool, dict[str, Any]]:
        """Whether every partition of this worker works, and the status."""
        return self.ready, asdict(self.status())

    def metrics(self) -> bytes:
        """All metrics, in the text format of Prometheus."""
        return metrics.exposition()


def faust_settings(config: RuntimeConfig) -> dict[str, Any]:
    """Keyword arguments for `faust.App` that the runtime relies on."""
    return {
        "broker": [f"relais://{address}" for address in config.brokers],
        "datadir": str(config.data_dir / "faust"),
        "topic_disable_leader": True,
        "topic_allow_declare": False,
        "table_standby_replicas": 0,
        "PartitionAssignor": BundleAssignor,
        "web_tables_enabled": False,
        "consumer_auto_offset_reset": "earliest",
        "consumer_group_instance_id": config.slot,
        "consumer_max_fetch_size": config.max_fetch_bytes,
        "broker_session_timeout": config.session_timeout_s,
        "broker_heartbeat_interval": config.heartbeat_s,
        "broker_request_timeout": max(config.request_timeout_ms / 1000, config.session_timeout_s),
        "broker_max_poll_interval": 1e6,
        "stream_wait_empty": False,
    }


def install(app: faust.App, stages: Iterable[Stage], config: RuntimeConfig) -> Runtime:
    """Give an app its stages: one agent each, which receives whole batches of a partition.

    The broker of the app must be `relais://…`; `faust_settings` gives what else the app needs.
    """
    found = list(stages)
    if app.conf.id != config.group:
        raise ValueError("the group of the runtime must be the id of the app")
    runtime = Runtime(app, found, config)
    setattr(app, APP_ATTRIBUTE, runtime.ownership)
    for stage in found:
        _agent(app, stage, runtime)

    async def assigned(*_: Any, **__: Any) -> None:
        await runtime.on_assigned()

    async def revoked(*_: Any, **__: Any) -> None:
        await runtime.on_revoked()

    async def stopping(*_: Any, **__: Any) -> None:
        await runtime.stop()

    app.on_rebalance_complete.connect(assigned, weak=False)
    app.on_partitions_revoked.connect(revoked, weak=False)
    app.on_before_shutdown.connect(stopping, weak=False)
    return runtime


def _agent(app: faust.App, stage: Stage, runtime: Runtime) -> None:
    topic = app.topic(*stage.topics, schema=RawBatch(), acks=False, maxsize=8)

    async def take(batches: Any) -> None:
        async for batch in batches:
            worker = runtime.ownership.workers.get(batch.tp)
            if worker is not None:
                worker.submit(batch)

    app.agent(topic, name=f"relais.{stage.name}.{stage.topics[0]}", concurrency=1)(take)
