"""The coordinator of established time: opens rounds, waits for reports, makes time known."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from aiokafka import TopicPartition
from prometheus_client import Gauge

from streams.runtime import metrics, timelog
from streams.runtime.config import Clock, RuntimeConfig
from streams.runtime.errors import TransactionFailed
from streams.runtime.ownership import Ownership
from streams.runtime.partition import PartitionWorker
from streams.runtime.processor import Send
from streams.runtime.time import Established, EstablishedTime, Open, Participant, Step, Word

log = logging.getLogger(__name__)

TICK_S = 0.02
IDLE_S = 0.2
OPENING_S = 10.0
"""An opening that was written and is not seen for so long is given up."""
REFRESH_S = 30.0
"""Topics are asked for their partitions so often."""


class Coordinator:
    """Leads while this worker runs partition 0 of the leading topic; idle otherwise."""

    def __init__(self, config: RuntimeConfig, ownership: Ownership, lead: TopicPartition) -> None:
        self.position = 0
        """Up to where the time topic has been read."""
        self._config = config
        self._ownership = ownership
        self._tp = lead
        self._machine: EstablishedTime | None = None
        self._since = -1
        self._opening: tuple[int, float] | None = None
        self._settled: Established | None = None
        self._cycle_at = 0.0
        self._expected_at = 0.0
        self._moved = asyncio.Event()
        self._missing_since: dict[Participant, float] = {}

    @property
    def leads(self) -> bool:
        """Whether this worker coordinates."""
        return self._machine is not None

    def holding(self) -> tuple[Participant, float] | None:
        """Return the partition that has held time back for the longest, and for how many seconds."""
        if not self._missing_since:
            return None
        who = min(self._missing_since, key=self._missing_since.__getitem__)
        return who, time.monotonic() - self._missing_since[who]

    def opened(self, opening: Open, timestamp: int) -> None:
        """Take note of an opening in the topic."""
        if self._machine is not None and self._opening is not None and self._opening[0] == opening.round:
            self._opening = None
            self._machine.opened(opening.round, timestamp)

    def reported(self, round_: int, words: dict[Participant, Word]) -> None:
        """Take note of a report in the topic."""
        machine = self._machine
        if machine is None:
            return
        was_running = machine.running
        self._settled = machine.report(round_, words) or self._settled
        if was_running and not machine.running and machine.outcome is not None:
            metrics.TIME_ROUNDS.labels(machine.outcome.value).inc()
            self._moved.set()

    async def turn(self, established: int | None, last_round: int) -> None:
        """Do the next thing that a coordinator has to do, or wait a little."""
        lead = self._ownership.workers.get(self._tp)
        if lead is None or not lead.ready or self.position < lead.heat.since:
            if lead is None or not lead.ready:
                self._machine = None
            await asyncio.sleep(IDLE_S if lead is None else TICK_S)
            return
        if self._machine is None or self._since != lead.heat.since:
            self._begin(lead, established, last_round)
        assert self._machine is not None
        await self._expect(self._machine)
        await self._advance(self._machine, lead)
        self._measure(self._machine)

    def _begin(self, lead: PartitionWorker, established: int | None, last_round: int) -> None:
        self._machine = EstablishedTime(self._config.clock, self._config.time_margin_ms, established, last_round)
        self._since, self._opening, self._settled = lead.heat.since, None, None
        self._expected_at = self._cycle_at = 0.0

    async def _expect(self, machine: EstablishedTime) -> None:
        now = time.monotonic()
        if self._expected_at and now - self._expected_at < REFRESH_S:
            return
        counts = {topic: await self._ownership.offsets.partitions(topic) for topic in self._ownership.topics}
        machine.expect(Participant(topic, p) for topic, count in counts.items() for p in range(count))
        self._expected_at = now

    async def _advance(self, machine: EstablishedTime, lead: PartitionWorker) -> None:
        if self._settled is not None:
            at, self._settled = self._settled, None
            await self._write(machine, lead, timelog.ESTABLISHED_KEY, timelog.dump_established(at))
            return
        if self._opening is not None:
            if time.monotonic() - self._opening[1] > OPENING_S:
                self._opening = None
                machine.abandon()
            await asyncio.sleep(TICK_S / 4)
            return
        opening = machine.next()
        if opening is None:
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await self._moved.wait()
            return
        if not self._may_open(machine):
            await asyncio.sleep(TICK_S)
            return
        self._opening = (opening.round, time.monotonic())
        await self._write(machine, lead, timelog.OPEN_KEY, timelog.dump_open(opening))

    def _may_open(self, machine: EstablishedTime) -> bool:
        """Whether the interval has passed, if the round would begin a cycle, and whether time can move at all."""
        if machine.step is Step.SETTLE or (machine.step is Step.QUIET and machine.retrying):
            return True
        now = time.monotonic()
        if now - self._cycle_at < self._config.time_interval_ms / 1000:
            return False
        if self._config.clock is Clock.LED and machine.step is Step.COLLECT:
            last = -1 if machine.last is None else machine.last
            mine = [worker.progress for worker in self._ownership.workers.values()]
            if any(progress is None or progress <= last for progress in mine):
                return False
        self._cycle_at = now
        return True

    async def _write(self, machine: EstablishedTime, lead: PartitionWorker, key: bytes, value: bytes) -> None:
        try:
            await lead.request([Send(self._config.time_log, 0, key, value)])
        except TransactionFailed:
            self._opening = None
            machine.abandon()

    def _measure(self, machine: EstablishedTime) -> None:
        now = time.monotonic()
        missing = machine.missing()
        for gone in [who for who in self._missing_since if who not in missing]:
            del self._missing_since[gone]
            self._held(gone).set(0)
        for who in missing:
            since = self._missing_since.setdefault(who, now)
            if now - since > 1:
                self._held(who).set(now - since)

    def _held(self, who: Participant) -> Gauge:
        return metrics.TIME_HELD.labels(self._ownership.stage_of(who.topic), str(who.partition))
