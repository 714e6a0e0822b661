"""The bed of a benchmark: a broker of its own, topics, facts already there, workers as processes, and the machine told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from deploy.bench.traffic import Made
from deploy.fleet import Worker
from deploy.settings import Settings
from schemas.references import Keys, partition_of

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


def scrape(worker: Worker) -> dict[str, float]:
    """Each metric of a worker, summed over its labels."""
    with urlopen(f"http://127.0.0.1:{worker.port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def rss_mib(worker: Worker) -> int:
    """Resident memory of a worker; -1 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{worker.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) // 1024
    return -1


def bodies_file(settings: Settings) -> Path:
    """The directory that the workers of a benchmark are given."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    path = settings.data_dir / "bodies.yaml"
    path.write_text(DIRECTORY, encoding="utf-8")
    return path
