"""How many records a second a connector brings onto the bus: from a source in the same process, through the mapping, to the commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

from connectors.kit.contract import Batch, ConnectorConfig, Cursor, Record, Report
from connectors.kit.intake import Outcome
from connectors.kit.loop import Ground, RunnerConfig
from connectors.kit.runner import Runner
from connectors.kit.spec import ConnectorFile, Spec
from deploy import topics
from deploy.bench.bed import machine
from deploy.connectors import running
from deploy.local_kafka import LocalKafka
from deploy.settings import load
from streams.runtime import collector

MAPPING = """
case: numero & '-' & dispositif
labels: {etat: {DEPOSE: opened, COURS: started, DECIDE: decided}}
events:
  - states: case.opened
    when: $label('etat', statut) = 'opened'
    on: $date(maj)
    with: {procedure: urbanisme.pc-maison, channel: counter}
  - states: case.step-started
    when: $label('etat', statut) = 'started'
    on: $date(maj)
    from: {step: etape}
  - states: case.decided
    when: $label('etat', statut) = 'decided'
    on: $date(maj)
    with: {outcome: granted}
"""
BATCH = 1_000


class Made:
    """A source that costs nothing."""

    Config: ClassVar[type[ConnectorConfig]] = ConnectorConfig

    def __init__(self, count: int) -> None:
        self._count = count

    async def check(self) -> Report:
        """Nothing to check."""
        return Report()

    async def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """Records of a permit software, each one fact."""
        for start in range(since or 0, self._count, BATCH):
            end = min(start + BATCH, self._count)
            yield Batch([_record(n) for n in range(start, end)], end)


def _record(n: int) -> Record:
    content = {
        "numero": f"PC-{n // 3}", "dispositif": "PCMI", "statut": ("DEPOSE", "COURS", "DECIDE")[n % 3], "maj": "01/03/2026",
        "etape": "instruction", "insee": "01451", "objet": "extension d'une maison", "surface": 120,
    }  # fmt: skip
    return Record(f"PC-{n // 3}", content, version=str(n))


def run(records: int, folder: Path) -> dict[str, Any]:
    """Bring so many records onto a broker of its own."""
    with LocalKafka(folder / "kafka") as broker:
        return asyncio.run(_run(broker.bootstrap, records, folder))


async def _run(brokers: str, records: int, folder: Path) -> dict[str, Any]:
    settings = load(brokers=brokers, data_dir=folder / "data", instance="bench")
    settings.ensure_reference_secret()
    (folder / "bench.map.yaml").write_text(MAPPING, encoding="utf-8")
    file = ConnectorFile(
        name="bench",
        connector="bench",
        body="viriat",
        system="bench",
        time_zone="Europe/Paris",
        mapping=Path("bench.map.yaml"),
    )
    spec = Spec(folder / "bench.yaml", file, Made, ConnectorConfig())

    async def prepare() -> Ground:
        await topics.ensure_connector(settings, brokers, "bench")
        return Ground(running.stating(settings, spec, {"viriat"}))

    config = RunnerConfig(batch_records=settings.batch_records)
    runner = Runner(spec, prepare, running.runtime_config(settings, brokers), config, Made(records))
    runner.once = True
    collector.settled()
    begun, cpu = time.perf_counter(), time.process_time()
    await runner.run()
    seconds, busy = time.perf_counter() - begun, time.process_time() - cpu
    if runner.counts[Outcome.PUBLISHED] != records:
        raise RuntimeError(f"{runner.counts[Outcome.PUBLISHED]} of {records} records were published: {runner.told}")
    return {
        "records": records,
        "seconds": round(seconds, 2),
        "records_per_s": round(records / seconds),
        "records_per_cpu_s": round(records / busy),
        **machine(),
    }
