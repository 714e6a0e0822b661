"""The bed of a benchmark: a broker of its own, topics, facts already there, workers as processes, and the machine told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from deploy import fleet
from deploy.bench.traffic import Made
from deploy.fleet import Worker
from deploy.local_kafka import LocalKafka
from deploy.ports import free_port
from deploy.processes import Child
from deploy.settings import Settings, load
from schemas.directory import Directory
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


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Addresses of a broker of its own in `folder`, stopped in the end."""
    with LocalKafka(folder / "kafka", say=lambda _: None) as local:
        yield local.bootstrap


@contextmanager
def instance(folder: Path, **chosen: Any) -> Iterator[tuple[Settings, str]]:
    """Settings of an instance in `folder`, and the addresses of a broker of its own."""
    settings = load(data_dir=folder, instance=f"bench-{secrets.token_hex(3)}", **chosen)
    settings.ensure_reference_secret()
    with broker(folder) as brokers:
        yield settings, brokers


def told(settings: Settings) -> dict[str, Any]:
    """The settings that figures depend on."""
    names = (
        "partitions",
        "output_partitions",
        "bundles",
        "batch_records",
        "cache_mb",
        "session_timeout_ms",
        "heartbeat_ms",
        "clock",
    )
    return {name: getattr(settings, name) for name in names}


def spread(seconds: Sequence[float]) -> dict[str, Any]:
    """How times are spread: p50, p99 and the longest, in ms; None for each without a time."""
    ordered = sorted(seconds)
    if not ordered:
        return {"count": 0, "p50_ms": None, "p99_ms": None, "max_ms": None}
    last = len(ordered) - 1
    p50, p99 = ordered[last // 2], ordered[min(last, round(last * 0.99))]
    return {
        "count": len(ordered),
        **{n: round(v * 1000, 1) for n, v in (("p50_ms", p50), ("p99_ms", p99), ("max_ms", ordered[last]))},
    }


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


class Appending:
    """Appends to the partitions of a topic, in order within each, in batches as large as the producer takes."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._batches: dict[int, Any] = {}
        self._pending: list[asyncio.Future[Any]] = []

    async def append(self, partition: int, key: bytes | None, value: bytes) -> None:
        """Append one record."""
        batch = self._batches.get(partition)
        if batch is not None and batch.append(key=key, value=value, timestamp=None) is not None:
            return
        if batch is not None:
            await self._send(partition)
        batch = self._batches[partition] = self._producer.create_batch()
        batch.append(key=key, value=value, timestamp=None)

    async def flush(self) -> None:
        """Wait until the broker has everything."""
        for partition in list(self._batches):
            await self._send(partition)
        await asyncio.gather(*self._pending)
        self._pending.clear()

    async def _send(self, partition: int) -> None:
        batch = self._batches.pop(partition)
        batch.close()
        self._pending.append(await self._producer.send_batch(batch, self._topic, partition=partition))


async def publish(brokers: str, topic: str, partitions: int, keys: Keys, facts: Iterable[Made]) -> tuple[int, int]:
    """Append facts to `topic`, each in the partition of its case. Returns their number and their bytes."""
    count = size = 0
    async with producing(brokers) as producer:
        log = Appending(producer, topic)
        for fact in facts:
            key = keys.of(fact.subject)
            await log.append(partition_of(key, partitions), key, fact.value)
            count += 1
            size += len(fact.value)
        await log.flush()
    return count, size


async def live(brokers: str, topic: str, partitions: int) -> int:
    """Keys of a compacted topic whose last committed value is not a tombstone."""
    found: set[bytes] = set()
    reader = AIOKafkaConsumer(bootstrap_servers=brokers, isolation_level="read_committed", enable_auto_commit=False)
    await reader.start()
    try:
        wanted = [TopicPartition(topic, p) for p in range(partitions)]
        ends = await reader.end_offsets(wanted)
        reader.assign(wanted)
        await reader.seek_to_beginning()
        while any([await reader.position(tp) < end for tp, end in ends.items()]):
            for records in (await reader.getmany(timeout_ms=200)).values():
                for record in records:
                    (found.discard if record.value is None else found.add)(record.key)
    finally:
        await reader.stop()
    return len(found)


def scrape(worker: Worker) -> dict[str, float]:
    """Each metric of a worker, summed over its labels."""
    with urlopen(f"http://127.0.0.1:{worker.port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    return totals(text)


def totals(text: str) -> dict[str, float]:
    """Each metric of an exposition, summed over its labels."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


@contextmanager
def gateway(settings: Settings, brokers: str) -> Iterator[str]:
    """A gateway process with its pages and its read model; its address. Tokens and an account are in the data folder."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    given = fleet.variables(settings, brokers=brokers, http_port=port, worker_port=0)
    log = settings.data_dir / "gateway.log"
    child = Child(
        "gateway", ["gateway", "--directory", str(bodies_file(settings))], given, f"{address}/readyz", log, print
    )
    child.start()
    try:
        child.wait_ready(fleet.READY_S)
        yield address
    finally:
        child.stop()


def rss_mib(worker: Worker) -> int:
    """Resident memory of a worker; -1 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{worker.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) // 1024
    return -1


def directory() -> Directory:
    """The bodies of the traffic."""
    return Directory.model_validate(yaml.safe_load(DIRECTORY))


def bodies_file(settings: Settings) -> Path:
    """The directory that the workers of a benchmark are given."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    path = settings.data_dir / "bodies.yaml"
    path.write_text(DIRECTORY, encoding="utf-8")
    return path
