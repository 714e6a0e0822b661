"""One run: traffic, faults, rest, verdict."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import operator
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deploy.bench.bed import producing
from deploy.chaos import traffic
from deploy.chaos.bus import Bus, aborted
from deploy.chaos.checker import Published, check
from deploy.chaos.faults import Fault, possible, strike
from deploy.chaos.rules import SPEAKER
from deploy.chaos.scene import Scene
from deploy.chaos.traffic import SPAN, Arrival
from deploy.errors import DeployError
from deploy.settings import load
from schemas.codec import bus
from schemas.references import Keys, partition_of

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from deploy.settings import Settings

DAY_MS = 86_400_000
PARTITIONS = 6
MORE_KILLS = 12
"""Kills beyond the faults wanted, at most, until one has hit an open transaction; for each a day of traffic is left."""

BREATH = 20
"""After so many faults nothing fails until time is established: between faults that follow each other it may never be, and then nothing
that hangs on it, such as an alert that is false, would show before the end."""
BREATH_S = 60.0
"""At most so long."""
TICK_PATIENCE_S = 20.0
"""At the end a led clock goes on after so long, if all is not at rest."""


class Plan(NamedTuple):
    """What a run does; with the same plan it does the same, but for the moments at which processes do theirs."""

    seed: int
    facts: int
    faults: int
    workers: int = 2
    led: bool = True
    kinds: tuple[Fault, ...] = ()
    """Only these faults; none: all that the machine allows."""
    days: int = 60
    """Days over which stories begin."""
    patience_s: float = 300.0
    """At the end, wait for rest so long after what waits was last seen to become less."""


def settings_of(plan: Plan, folder: Path) -> Settings:
    """Small batches in a small run, so that many transactions are open; short sessions, so that partitions move."""
    return load(
        instance="chaos", clock="led" if plan.led else "wall", partitions=PARTITIONS, output_partitions=3,
        data_dir=folder / "data", batch_records=min(400, max(64, plan.facts // 300)), session_timeout_ms=3_000,
        heartbeat_ms=500, transaction_timeout_ms=10_000, cache_mb=64,
        reference_key=random.Random(plan.seed).randbytes(32).hex(),  # noqa: S311
    )  # fmt: skip


class Feed:
    """Publishes the traffic, day by day, past all proxies."""

    def __init__(self, plan: Plan, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.first_day = traffic.FIRST_DAY if plan.led else int(time.time() // 86_400) - plan.days - SPAN
        self.days = traffic.days(plan.seed, plan.facts, plan.days, self.first_day)
        self.done = 0
        self.sent = 0
        self._led = plan.led
        self._keys = Keys(settings.reference_secret())
        self._topic = f"{settings.instance}.case-events"
        self._producer = producer

    @property
    def published(self) -> Published:
        """All that a whole run publishes."""
        every = [a for day in self.days for a in day]
        refused = Counter((a.value, a.refused) for a in every if a.refused)
        return Published(frozenset(a.value for a in every if not a.refused), refused)

    async def upto(self, day: int) -> None:
        """Publish all days before this one that are not published yet, with the ticks of a led clock."""
        if not self.done:
            await self.tick(0)
        while self.done < min(day, len(self.days)):
            records = self.days[self.done]
            await asyncio.gather(*[await self._send(arrival) for arrival in records])
            self.sent += len(records)
            self.done += 1
            await self.tick(self.done)

    async def _send(self, arrival: Arrival) -> Awaitable[object]:
        topic, key, partition = f"{self._topic}.{arrival.door}", None, 0
        if not arrival.door:
            topic, key = self._topic, self._keys.of(arrival.subject)
            partition = partition_of(key, PARTITIONS)
        sent: Awaitable[object] = await self._producer.send(topic, arrival.value, key, partition)
        return sent

    async def tick(self, day: int) -> int:
        """Put a led clock at the beginning of a day of the run; returns it, ms."""
        at = (self.first_day + day) * DAY_MS
        if self._led:
            value = bus().encode("tick", {"at": at})
            logs = [(self._topic, p) for p in range(PARTITIONS)] + [(f"{self._topic}.{SPEAKER}", 0)]
            await asyncio.gather(*[await self._producer.send(topic, value, partition=p) for topic, p in logs])
        return at


async def run(plan: Plan, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Play it. Returns the figures and what was violated; the folder keeps logs and data."""
    settings = settings_of(plan, folder)
    scene = Scene(settings, folder, plan.workers, say)
    rnd = random.Random(plan.seed)  # noqa: S311
    begun = time.monotonic()
    struck: Counter[Fault] = Counter()
    async with scene.playing(), producing(scene.brokers, request_timeout_ms=120_000) as producer:
        feed = Feed(plan, settings, producer)
        say(f"seed {plan.seed}: {sum(map(len, feed.days))} records over {len(feed.days)} days, {plan.faults} faults")
        breaths = await _strike_all(plan, scene, feed, rnd, struck)
        await feed.upto(len(feed.days))
        scene.heal()
        say("the faults are over; waiting for rest")
        now = await _rest(plan, scene, feed)
        played = time.monotonic() - begun
        say(f"at rest after {played:.0f} s; checking")
        verdict = check(
            await Bus.look(scene.brokers, settings.instance, plan.led), feed.published, now, DAY_MS if plan.led else 1,
            Keys(settings.reference_secret()),
        )  # fmt: skip
        hit = await aborted(scene.brokers, settings.instance)
    violations = [*scene.violations, *verdict.violations]
    if struck[Fault.KILL] and not hit:
        violations.append("no kill hit an open transaction: this run shows nothing")
    by_fault = {fault.value: struck[fault] for fault in Fault if struck[fault]}
    return {
        "seed": plan.seed, "clock": "led" if plan.led else "wall", "workers": plan.workers, "records": feed.sent,
        "faults": struck.total(), "by fault": by_fault, "skipped": sorted(scene.skipped),
        "ended by themselves": dict(sorted(scene.ends.items())), "commits with unknown outcome": sum(p.commits_cut for p in scene.proxies),
        "aborted records": hit, "time established on the way": breaths, **verdict.counts, "seconds": round(played),
        "seconds with check": round(time.monotonic() - begun),
        "violated": violations,
    }  # fmt: skip


async def _strike_all(plan: Plan, scene: Scene, feed: Feed, rnd: random.Random, struck: Counter[Fault]) -> int:
    """Let all faults happen while traffic comes in; how often time was established in between."""
    breaths = 0
    kinds = plan.kinds or tuple(possible(scene))
    queue = [kinds[i % len(kinds)] for i in range(plan.faults)]
    rnd.shuffle(queue)
    for number, fault in enumerate(queue, 1):
        feeding = asyncio.create_task(feed.upto((len(feed.days) - MORE_KILLS) * number // plan.faults))
        told = await strike(fault, scene, rnd)
        struck[fault] += 1
        scene.say(f"{number}/{plan.faults} {fault.value} {told}")
        await feeding
        if number % BREATH == 0:
            breaths += await _breathe(plan, scene, feed)
        elif rnd.random() < 0.5:
            await asyncio.sleep(rnd.uniform(0, 2))
    for _ in range(MORE_KILLS if struck[Fault.KILL] else 0):
        if await aborted(scene.brokers, scene.settings.instance):
            break
        await feed.upto(feed.done + 1)
        scene.say(f"one kill more, {await strike(Fault.KILL, scene, rnd)}: none has hit an open transaction yet")
        struck[Fault.KILL] += 1
    return breaths


async def _breathe(plan: Plan, scene: Scene, feed: Feed) -> bool:
    """Let nothing fail until time is established at the last tick, or by the wall clock; whether it was in time."""
    known = await feed.tick(feed.done) if plan.led else int(time.time() * 1000)
    try:
        await scene.rest(functools.partial(operator.le, known), PARTITIONS + 1, BREATH_S)
    except DeployError:
        scene.say("time was not established in a while without faults")
        return False
    scene.say("time is established")
    return True


async def _rest(plan: Plan, scene: Scene, feed: Feed) -> int:
    """Wait for rest. A led clock goes on by a day until rest was found on two days: a fact that admission forwarded after the last tick
    bears that tick as its stamp, and is held until time has passed it; and admission that was taken over knows no time before a tick.
    """
    partitions = PARTITIONS + 1
    if not plan.led:
        after = int(time.time() * 1000) + 1_000
        return await scene.rest(lambda now: now > after, partitions, plan.patience_s)
    day, found = len(feed.days) + SPAN, 0
    least, end = math.inf, time.monotonic() + plan.patience_s
    while True:
        last = await feed.tick(day)
        try:
            now = await scene.rest(functools.partial(operator.eq, last), partitions, TICK_PATIENCE_S)
        except DeployError:
            lag = await scene.lag(partitions)
            if lag < least:
                least, end = lag, time.monotonic() + plan.patience_s
            elif time.monotonic() > end:
                raise
        else:
            found += 1
            if found == 2:
                return now
        day += 1


def failed(found: dict[str, Any]) -> bool:
    """Whether a run found a violation."""
    return bool(found["violated"])


async def _stoppable(plan: Plan, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    task = asyncio.current_task()
    assert task is not None
    # what was started has to be ended, whoever ends us
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await run(plan, folder, say)
    except asyncio.CancelledError:
        raise DeployError("stopped before its end") from None


def play(plan: Plan, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """`run`, from where nothing else runs. What went wrong before a verdict is a violation too."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that a broker is away is what we want
    try:
        return asyncio.run(_stoppable(plan, folder, say))
    except DeployError as error:
        return {"seed": plan.seed, "violated": [str(error)]}


def parse_kinds(names: Sequence[str]) -> tuple[Fault, ...]:
    """Faults by name. Raises `DeployError`."""
    try:
        return tuple(Fault(name) for name in names)
    except ValueError as error:
        raise DeployError(f"{error}; there are {', '.join(Fault)}") from None
