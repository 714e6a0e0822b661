"""The bed of a benchmark: a broker of its own, topics, facts already there, workers as processes, and the machine told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from deploy.bench.traffic import Made
from deploy.errors import DeployError
from deploy.settings import Settings
from schemas.references import Keys, partition_of

READY_S = 120.0

DIRECTORY = """bodies:
- {id: viriat, name: Mairie de Viriat, kind: commune, insee: "01451"}
- {id: grand-bourg-agglomeration, name: Grand Bourg Agglomération, kind: epci}
- {id: udap-01, name: UDAP de l'Ain, kind: state}
- {id: prefecture-ain, name: Préfecture de l'Ain, kind: prefecture}
"""


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "cores": os.cpu_count(), "memory_mib": memory, "python": platform.python_version(), "system": platform.platform(),
        "compiled": _compiled(), "aiokafka": version("aiokafka"), "faust": version("faust-streaming"),
    }  # fmt: skip


def _compiled() -> bool:
    from streams.engine import facts  # noqa: PLC0415

    return not str(facts.__file__).endswith(".py")


@asynccontextmanager
async def producing(brokers: str, **more: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A fast producer."""
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers,
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=512 * 1024,
        linger_ms=20,
        **more,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def publish(brokers: str, topic: str, partitions: int, keys: Keys, facts: Iterable[Made]) -> tuple[int, int]:
    """Append facts to `topic`, each in the partition of its case. Returns their number and their bytes."""
    count = size = 0
    async with producing(brokers) as producer:
        batches: dict[int, Any] = {}
        pending: list[asyncio.Future[Any]] = []

        async def flush(p: int) -> None:
            batch = batches.pop(p)
            batch.close()
            pending.append(await producer.send_batch(batch, topic, partition=p))

        for fact in facts:
            key = keys.of(fact.subject)
            p = partition_of(key, partitions)
            batch = batches.get(p) or batches.setdefault(p, producer.create_batch())
            if batch.append(key=key, value=fact.value, timestamp=None) is None:
                await flush(p)
                batches[p] = producer.create_batch()
                batches[p].append(key=key, value=fact.value, timestamp=None)
            count += 1
            size += len(fact.value)
        for p in list(batches):
            await flush(p)
        await asyncio.gather(*pending)
    return count, size


@dataclass(slots=True)
class Worker:
    """One worker process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def scrape(self) -> dict[str, float]:
        """Sum over labels of each metric."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
        return found

    def ready(self) -> bool:
        """Whether it works."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2):
                return True
        except OSError:
            return False

    def rss_mib(self) -> int:
        """Resident memory."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS"):
                    return int(line.split()[1]) // 1024
        return -1


@contextmanager
def workers(settings: Settings, brokers: str, count: int, more: Iterable[str] = ()) -> Iterator[list[Worker]]:
    """`count` workers of the instance, as processes; stopped at the end."""
    running: list[Worker] = []
    try:
        for i in range(count):
            running.append(start_worker(settings, brokers, i, more))
        yield running
    finally:
        for worker in running:
            worker.process.terminate()
        for worker in running:
            try:
                worker.process.wait(40)
            except subprocess.TimeoutExpired:
                worker.process.kill()


def start_worker(settings: Settings, brokers: str, number: int, more: Iterable[str] = ()) -> Worker:
    """Start one worker process on a free port."""
    import socket  # noqa: PLC0415

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {
        f"RELAIS_{k.upper()}": str(v) for k, v in settings.model_dump(exclude_defaults=True, exclude_none=True).items()
    }
    given |= {
        "RELAIS_BROKERS": brokers,
        "RELAIS_REFERENCE_KEY": settings.reference_secret().hex(),
        "RELAIS_WORKER_PORT": str(port),
    }
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    log = settings.data_dir / f"worker-{number}.log"
    bodies = settings.data_dir / "bodies.yaml"
    bodies.write_text(DIRECTORY, encoding="utf-8")
    command = [sys.executable, "-m", "deploy", "worker", "--slot", f"w{number}", "--directory", str(bodies), *more]
    with log.open("ab") as out:
        process = subprocess.Popen(command, env={**os.environ, **given}, stdout=out, stderr=out)  # noqa: S603
    return Worker(process, port, log)


async def wait_ready(running: Iterable[Worker]) -> float:
    """Wait until every worker works; seconds that it took."""
    begun = time.perf_counter()
    for worker in running:
        while not worker.ready():
            if worker.process.poll() is not None:
                raise DeployError(f"a worker ended: see {worker.log}")
            if time.perf_counter() - begun > READY_S:
                raise DeployError(f"a worker is not ready after {READY_S:.0f} s: see {worker.log}")
            await asyncio.sleep(0.1)
    return time.perf_counter() - begun
