"""A worker to drive: it counts events by key, and says what it does on its standard output, one JSON a line.

Run as `python counting.py '<json>'`. An event is (key, 8-byte id); the state of a key is (count, xor of ids). Every new
state also goes to the topic of counts, and every `hop`-th event is sent on to the next partition, as the keyed stage does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import resource
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faust
from aiokafka import TopicPartition

from streams.runtime.config import Clock, RuntimeConfig, StoreKind
from streams.runtime.errors import TransactionFailed
from streams.runtime.metrics import AbortReason
from streams.runtime.process import Process
from streams.runtime.processor import Effects, Record, Send
from streams.runtime.service import faust_settings, install
from streams.runtime.stage import Stage
from streams.runtime.store import Change, Store
from streams.runtime.transaction import Transactions

STATE = struct.Struct(">QQ")
ID = struct.Struct(">Q")
STAMP = struct.Struct(">q")
TICK = b"\x00tick"
HOP = "hop"
PROGRESS = b"\x00progress"


class Forwarder:
    """Writes what it reads to the input of the count, as the stage of admission does."""

    progress = None

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    def process(self, records: list[Record]) -> Effects:
        effects = Effects(least=min(r.timestamp for r in records))
        for r in records:
            assert r.key is not None
            partition = int(r.key[3:]) % self.options["partitions"]
            effects.sends.append(
                Send(self.options["input"], partition, r.key, r.value, [(HOP, STAMP.pack(r.timestamp))])
            )
        return effects

    def timers(self, established: int, limit: int) -> Effects | None:
        return None

    def derive(self, key: bytes, value: bytes | None) -> list[Change]:
        return []

    def reset(self) -> None:
        """Nothing is held."""


class Counter:
    """Counts events by key."""

    def __init__(self, partition: int, store: Store, options: dict[str, Any]) -> None:
        self.partition, self.store, self.options = partition, store, options
        self.memory: dict[bytes, tuple[int, int]] = {}
        self.timed: list[int] = []

    @property
    def progress(self) -> int | None:
        raw = self.store.get(PROGRESS)
        return STAMP.unpack(raw)[0] if raw else None

    def _get(self, key: bytes) -> tuple[int, int]:
        if key not in self.memory:
            raw = self.store.get(key)
            count, xor = STATE.unpack(raw) if raw else (0, 0)
            self.memory[key] = (count, xor)
        return self.memory[key]

    def process(self, records: list[Record]) -> Effects:
        effects = Effects()
        touched = set()
        hop, partitions = self.options.get("hop", 0), self.options["partitions"]
        if self.options.get("sleep"):
            time.sleep(random.random() * self.options["sleep"])
        for _, timestamp, key, value, headers in records:
            assert key is not None and value is not None
            if key == TICK:
                effects.progress = STAMP.unpack(value)[0]
                continue
            if value == b"bug":
                raise RuntimeError("told to")
            count, xor = self._get(key)
            self.memory[key] = (count + 1, xor ^ ID.unpack(value)[0])
            touched.add(key)
            if hop and not headers and ID.unpack(value)[0] % hop == 0:
                to = (self.partition + 1) % partitions
                effects.sends.append(Send(self.options["input"], to, key, value, [(HOP, STAMP.pack(timestamp))]))
                effects.least = min(timestamp, effects.least or timestamp)
        effects.state = [(key, STATE.pack(*self.memory[key])) for key in sorted(touched)]
        if effects.progress is not None:
            effects.state.append((PROGRESS, STAMP.pack(effects.progress)))
        if self.options.get("counts"):
            effects.sends += [Send(self.options["counts"], self.partition, key, v) for key, v in effects.state]
        return effects

    def timers(self, established: int, limit: int) -> Effects | None:
        if not self.timed or self.timed[-1] < established:
            self.timed.append(established)
            say("timers", partition=self.partition, at=established)
        return None

    def derive(self, key: bytes, value: bytes | None) -> list[Change]:
        return [(b"\x01seen" + key, b"1")] if value is not None else []

    def reset(self) -> None:
        self.memory.clear()


def say(what: str, **facts: Any) -> None:
    sys.__stdout__.write(json.dumps({"what": what, "t": time.time(), **facts}) + "\n")
    sys.__stdout__.flush()


def stages(options: dict[str, Any]) -> Iterator[Stage]:
    yield Stage(
        name="count",
        topics=(options["input"],),
        changelog=options["changelog"],
        factory=lambda partition, store: Counter(partition, store, options),
    )
    for topic in options.get("raw", ()):
        yield Stage(
            name="forward", topics=(topic,), changelog=None, factory=lambda _p, _s: Forwarder(options), label=topic
        )


def spoil(chance: float, hold_s: float) -> None:
    """Let transactions stay open, once their records were written, for up to `hold_s`; and sometimes fail then."""
    produce = Transactions._produce

    async def fail(self: Transactions, *args: Any) -> int | None:
        position = await produce(self, *args)
        await asyncio.sleep(random.random() * hold_s)
        if random.random() < chance:
            raise TransactionFailed(AbortReason.TEST)
        return position

    Transactions._produce = fail  # type: ignore[method-assign]


def adder(sums: dict[str, Any]) -> Any:
    """An ordinary agent of Faust with an ordinary table."""

    async def add(values: Any) -> None:
        async for value in values:
            sums["sum"] += int(value)

    return add


def build(options: dict[str, Any]) -> tuple[faust.App, RuntimeConfig]:
    spoil(options.get("fail", 0.0), options.get("hold", 0.0))
    known = {**options.get("config", {})}
    if "clock" in known:
        known["clock"] = Clock(known["clock"])
    if "store" in known:
        known["store"] = StoreKind(known["store"])
    config = RuntimeConfig(
        brokers=tuple(options["brokers"]),
        instance=options["instance"],
        group=options["group"],
        data_dir=Path(options["data_dir"]),
        **known,
    )
    Path(config.data_dir).mkdir(parents=True, exist_ok=True)
    app = faust.App(options["group"], **faust_settings(config), web_enabled=False)
    runtime = install(app, stages(options), config)
    runtime.ownership.trace = lambda step, tp: say("step", step=step, partition=tp.partition)
    fetched, most = runtime.ownership.fetched, [0]

    def count(tp: TopicPartition, records: int, highwater: int) -> None:
        most[0] = max(most[0], records)
        fetched(tp, records, highwater)

    runtime.ownership.fetched = count  # type: ignore[method-assign]

    sums: dict[str, Any] = {}
    if "plain" in options:
        sums = app.Table("sums", default=int, partitions=1)
        app.agent(app.topic(options["plain"], value_serializer="raw"), name="plain")(adder(sums))

    async def ready(*_: Any, **__: Any) -> None:
        owned = sorted(tp.partition for tp in runtime.ownership.workers)
        say("assigned", partitions=owned)

    app.on_rebalance_complete.connect(ready, weak=False)

    if options.get("strand"):

        @app.timer(interval=2.0)
        async def strand() -> None:
            await runtime.on_revoked()  # a rebalance begins, and never ends

    @app.timer(interval=0.1)
    async def report() -> None:
        status = runtime.status()
        mine = [p for p in status.partitions if p.stage == "count"]
        say(
            "status",
            established=status.established,
            leads=status.leads,
            lag={p.partition: p.lag for p in mine},
            ready=[p.partition for p in mine if p.ready],
            offsets={p.partition: p.offset for p in mine},
            ends={tp.partition: w.done_to for tp, w in runtime.ownership.workers.items() if w.stage.name == "count"},
            is_ready=runtime.readyz()[0],
            sum=dict(sums).get("sum", 0),
            is_live=runtime.livez()[0],
            holds=status.holds_time,
            most=most[0],
        )

    return app, config


if __name__ == "__main__":
    found = json.loads(sys.argv[1])
    if "largest_file" in found:
        resource.setrlimit(resource.RLIMIT_FSIZE, (found["largest_file"], found["largest_file"]))
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    app, config = build(found)
    Process(app, config, loglevel=found.get("loglevel", "WARNING")).execute_from_commandline()
