"""`relais bench compare`: the same keyed work by relais' runtime, a plain Faust agent with a table, and Quix Streams, one by one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.bench import bed
from deploy.bench.rivals import PARTITIONS, TOPIC
from deploy.bench.traffic import Shape, Traffic
from deploy.errors import DeployError, Exit

Say = Callable[[str], None]

NAMES = ("relais", "faust", "quix")
_PROGRAMS = {"relais": "relais", "faust": "plain_faust", "quix": "quix"}
_GUARANTEES = {"relais": "exactly once", "faust": "at least once", "quix": "exactly once"}
WITHIN_S = 150


class NotInstalledError(DeployError):
    """Quix Streams is not here."""

    exit_code = Exit.USAGE


def run(events: int, journeys: int, names: Sequence[str], folder: Path, say: Say) -> dict[str, Any]:
    """Events that are there already, spread over so many keys; events per second of each."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise NotInstalledError(f"{', '.join(unknown)}: there are {', '.join(NAMES)}")
    if "quix" in names and find_spec("quixstreams") is None:
        raise NotInstalledError(
            "Quix Streams is not installed: pip install 'relais[compare]', or name others with --only"
        )
    found: dict[str, Any] = {}
    with bed.broker(folder) as brokers:
        say(f"writing {events} events of {journeys} keys")
        asyncio.run(_write(brokers, events, journeys))
        for name in names:
            told = _one(name, brokers, folder / name, events)
            rate = round(events / told["seconds"])
            say(f"  {name}: {rate} events/s")
            found[name] = {
                "events_per_second": rate, "guarantee": _GUARANTEES[name],
                "process_us_per_event": round(told["cpu"] / events * 1e6, 1),
            }  # fmt: skip
    return {
        "bench": "compare", "events": events, "journeys": journeys, **found, "machine": bed.machine(),
        "settings": {"partitions": PARTITIONS},
    }  # fmt: skip


def _one(name: str, brokers: str, folder: Path, events: int) -> dict[str, float]:
    """Run one program to its end."""
    command = [sys.executable, "-m", f"deploy.bench.rivals.{_PROGRAMS[name]}", brokers, str(folder), str(events)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S, env=os.environ)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise DeployError(f"{name} is not through after {WITHIN_S} s: ask for fewer events") from None
    for line in done.stdout.splitlines():
        if "{" in line:  # after what a terminal would be told
            told: dict[str, float] = json.loads(line[line.index("{") :])
            return told
    raise DeployError(f"{name} ended without an answer: {done.stderr[-500:]}")


async def _write(brokers: str, events: int, journeys: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    appended = {"message.timestamp.type": "LogAppendTime"}
    try:
        await admin.create_topics(
            [NewTopic(name, PARTITIONS, 1, topic_configs=appended) for name in (TOPIC, "c.state")]
            + [NewTopic("c.time", 1, 1, topic_configs=appended)]
        )
    finally:
        await admin.close()
    traffic = Traffic(Shape.ALONE)
    async with bed.producing(brokers) as producer:
        log = bed.Appending(producer, TOPIC)
        for i in range(events):
            n = i % journeys
            await log.append(n % PARTITIONS, b"%016d" % n, traffic.fact(n, i // journeys % traffic.length).value)
        await log.flush()
