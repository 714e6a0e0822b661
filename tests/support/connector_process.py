"""`relais connector run` as a process of its own, which a test kills (-9) in the middle of its work and starts again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import topics
from deploy.local_kafka import LocalKafka
from deploy.reading import records
from deploy.settings import load
from schemas import codec

PATIENCE_S = 300.0
Seen = Callable[[], Awaitable[int]]
"""How much has come about."""


def lay_file(folder: Path, name: str, connector: str, config: Mapping[str, Any], **head: Any) -> Path:
    """Write a connector's file, with `<name>.map.yaml` as its mapping if that lies beside it. `head` goes before what is usual."""
    mapping = f"{name}.map.yaml"
    usual = {"name": name, "connector": connector, "body": "viriat", "system": name, "time_zone": "Europe/Paris"}
    usual |= {"mapping": mapping, "every": "50ms"} if (folder / mapping).exists() else {}
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(usual | head | {"config": config}))
    return path


@dataclass
class Runs:
    """The runs of some connectors in one instance."""

    kafka: LocalKafka
    instance: str
    folder: Path
    """Where their files lie, and their log."""
    partial: int = 0
    """Kills that came when some of the work was done, and not all."""

    @property
    def log(self) -> str:
        """What they have said."""
        return (self.folder / "run.log").read_text(encoding="utf-8")

    async def prepare(self) -> None:
        """Make the instance."""
        settings = load(
            brokers=self.kafka.bootstrap, instance=self.instance, partitions=4, output_partitions=1,
            data_dir=self.folder / "data",
        )  # fmt: skip
        settings.ensure_reference_secret()
        await topics.ensure_instance(settings, self.kafka.bootstrap)

    @contextmanager
    def running(self, files: Sequence[Path]) -> Iterator[subprocess.Popen[bytes]]:
        """A run; what has not ended at the end is killed."""
        given = {
            "RELAIS_BROKERS": self.kafka.bootstrap, "RELAIS_INSTANCE": self.instance, "RELAIS_PARTITIONS": "4",
            "RELAIS_OUTPUT_PARTITIONS": "1", "RELAIS_DATA_DIR": str(self.folder / "data"), "RELAIS_BATCH_RECORDS": "50",
            "RELAIS_CONNECTOR_PORT": "0",
        }  # fmt: skip
        command = [sys.executable, "-m", "deploy", "connector", "run", *map(str, files)]
        with (self.folder / "run.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=os.environ | given, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    async def stated(self) -> Counter[str]:
        """Subjects of the facts on the bus."""
        found: Counter[str] = Counter()
        async with aclosing(records(self.kafka.bootstrap, f"{self.instance}.case-events")) as reading:
            async for record in reading:
                found[codec.events().decode(record.value or b"")[1]["header"]["subject"]] += 1
        return found

    async def count(self) -> int:
        """Facts on the bus."""
        return (await self.stated()).total()

    async def killed(self, files: Sequence[Path], kills: int, whole: int, seen: Seen | None = None) -> None:
        """Start it so many times, and kill it each time once more has come about. `whole`: what there is to come about."""
        look = seen or self.count
        for turn in range(kills):
            with self.running(files) as process:
                before = await look()
                await self._until(process, lambda before=before: _more(look, before, whole))  # type: ignore[misc]
                await asyncio.sleep(0.02 * (turn % 5))
            self.partial += 0 < await look() < whole

    async def finished(self, files: Sequence[Path], done: Callable[[], Awaitable[bool]]) -> None:
        """Let it run until it is done, then stop it as an operator would."""
        with self.running(files) as process:
            await self._until(process, done)
            process.terminate()
            assert process.wait(20) in (0, -signal.SIGTERM), (
                self.log
            )  # what was killed may have done all: it had not begun yet

    async def _until(self, process: subprocess.Popen[bytes], what: Callable[[], Awaitable[bool]]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not await what():
            assert time.monotonic() < end and process.poll() is None, f"{await self.stated()}\n{self.log[-3_000:]}"
            await asyncio.sleep(0.02)


async def _more(look: Seen, before: int, whole: int) -> bool:
    return (now := await look()) > before or now >= whole
