"""How fast the runtime is by itself: `python -m tests.runtime.measure [events]`, on a broker of its own.

The processor does next to nothing: one state record of 225 bytes for each event of 280 bytes, one output for each fifth.
What remains is reading, handing over, the transaction and the store.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local_kafka import LocalKafka
from streams.runtime import metrics
from streams.runtime.config import RuntimeConfig
from streams.runtime.processor import Effects, Record, Send
from streams.runtime.service import faust_settings, install
from streams.runtime.stage import Stage
from streams.runtime.store import Change, Store

PARTITIONS = 4
EVENT, STATE, OUTPUT = b"e" * 280, b"s" * 225, b"o" * 498


class Nothing:
    """Writes as much as a real stage, and computes nothing."""

    progress = None

    def __init__(self, partition: int) -> None:
        self.partition = partition

    def process(self, records: list[Record]) -> Effects:
        state: list[Change] = [(r.key or b"", STATE) for r in records]
        sends = [Send("m.out", self.partition, r.key, OUTPUT) for r in records[::5]]
        return Effects(state=state, sends=sends)

    def timers(self, established: int, limit: int) -> Effects | None:
        return None

    def derive(self, key: bytes, value: bytes | None) -> list[Change]:
        return []

    def reset(self) -> None:
        """Nothing is held."""


def make(partition: int, store: Store) -> Nothing:
    return Nothing(partition)


def worker(bootstrap: str, folder: str, events: int) -> None:
    """Run until everything is processed, and say how long it took."""
    config = RuntimeConfig(brokers=(bootstrap,), instance="m", group="measure", data_dir=Path(folder) / "data")
    config.data_dir.mkdir(exist_ok=True)
    app = faust.App("measure", **faust_settings(config), web_enabled=False)
    runtime = install(app, [Stage(name="nothing", topics=("m.in",), changelog="m.state", factory=make)], config)
    begun: list[tuple[float, float]] = []

    @app.timer(interval=0.05)
    async def watch() -> None:
        done = sum(w.position for w in runtime.ownership.workers.values())
        if done and not begun:
            begun.append((time.monotonic(), time.process_time()))
        if done >= events:
            at, cpu = time.monotonic() - begun[0][0], time.process_time() - begun[0][1]
            inside = sum(s.value for m in metrics.PROCESS_SECONDS.collect() for s in m.samples if "total" in s.name)
            print(json.dumps({"seconds": at, "cpu": cpu, "inside": inside}), file=sys.__stdout__, flush=True)
            os._exit(0)

    faust.Worker(app, loglevel="WARNING", redirect_stdouts=False).execute_from_commandline()


async def feed(bootstrap: str, events: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    appended = {"message.timestamp.type": "LogAppendTime"}
    await admin.create_topics(
        [NewTopic(f"m.{name}", PARTITIONS, 1, topic_configs=appended) for name in ("in", "state", "out")]
        + [NewTopic("m.time", 1, 1, topic_configs=appended)]
    )
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=1 << 18)
    await producer.start()
    for i in range(events):
        await producer.send("m.in", key=b"%016d" % (i % 50_000), value=EVENT, partition=i % PARTITIONS)
    await producer.flush()
    await producer.stop()


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder, LocalKafka(Path(folder) / "kafka") as kafka:
        asyncio.run(feed(kafka.bootstrap, events))
        command: list[Any] = [sys.executable, "-m", "tests.runtime.measure", "worker", kafka.bootstrap, folder, events]
        out = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=300)
        found = json.loads(next(line for line in out.stdout.splitlines() if line.startswith("{")))
    rate, cpu = events / found["seconds"], found["cpu"] / events * 1e6
    print(
        f"{rate:,.0f} events/s; processor time {cpu:.1f} µs per event, of which {found['inside'] / events * 1e6:.1f} in process()"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
