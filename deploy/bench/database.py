"""`relais bench database`, `relais bench files`: a year of records of a database or of CSV files through the whole runner, onto the bus."""

from __future__ import annotations

import asyncio
import csv
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, text

from connectors.kit import spec as specs
from connectors.kit.contract import Closing, Source
from connectors.kit.intake import Outcome
from connectors.kit.loop import Loop
from connectors.kit.metrics import State
from deploy import rules, topics
from deploy.bench import bed
from deploy.connectors import running
from deploy.local_kafka import LocalKafka
from deploy.settings import Settings, load
from streams.runtime import collector

Say = Callable[[str], None]
START = datetime.fromisoformat("2025-01-01T08:00:00")
INSERTED = 10_000
MAPPING = """
case: number
labels:
  channels: {GUICHET: counter, COURRIER: post, TELESERVICE: electronic}
events:
  - states: case.opened
    on: filed
    with: {procedure: urbanisme.pc-maison}
    from: {channel: "$label('channels', channel)"}
  - states: case.acknowledged
    when: state = 'instruit'
    at: changed
    with: {kind: receipt}
"""
TABLE = """CREATE TABLE relais_bench (number VARCHAR(40) PRIMARY KEY, state VARCHAR(20) NOT NULL, channel VARCHAR(20) NOT NULL,
 commune VARCHAR(5) NOT NULL, surface NUMERIC(12,2), filed DATE NOT NULL, changed TIMESTAMP NULL)"""


def run(
    records: int, url: str | None, password_file: Path | None, folder: Path, say: Say, *, files: int = 0
) -> dict[str, Any]:
    """Run on a broker of its own in `folder`, from an empty database at `url` (absent: SQLite), or from so many `files` of CSV.

    Returns the figures as a JSON object.
    """
    folder.mkdir(parents=True, exist_ok=True)
    say(f"writing {records} records")
    if files:
        connector, config = "files", _write(folder / "exports", records, files)
    else:
        connector, config = "sql-poll", _database(url or f"sqlite:///{folder / 'year.db'}", password_file, records)
    given = {
        "name": "bench", "connector": connector, "body": "viriat", "system": "legacy", "time_zone": "Europe/Paris",
        "mapping": "bench.map.yaml", "config": config,
    }  # fmt: skip
    (folder / "bench.yaml").write_text(json.dumps(given), encoding="utf-8")
    (folder / "bench.map.yaml").write_text(MAPPING, encoding="utf-8")
    settings = load(data_dir=folder, instance="bench", batch_records=5_000, cache_mb=512)
    settings.ensure_reference_secret()
    with LocalKafka(folder / "kafka", say=lambda _: None) as broker:
        return asyncio.run(_run(settings, broker.bootstrap, specs.load(folder / "bench.yaml"), records, say))


def _database(url: str, password_file: Path | None, records: int) -> dict[str, Any]:
    """A table of records, and how it is read."""
    _fill(url, password_file.read_text(encoding="utf-8").strip() if password_file else None, records)
    return {
        "url": url, "table": "relais_bench", "key": ["number"], "modified": "changed",
        **({"password": {"file": str(password_file.absolute())}} if password_file else {}),
    }  # fmt: skip


def _write(folder: Path, records: int, files: int) -> dict[str, Any]:
    """Files of records as French software exports them, and how they are read."""
    folder.mkdir()
    rows = ({**row, "changed": row["changed"].replace(" ", "T") + "+01:00"} for row in _rows(records))
    for number in range(files):
        with (folder / f"{number:05}.csv").open("w", encoding="windows-1252", newline="") as out:
            writer = csv.DictWriter(out, ("number", "state", "channel", "surface", "filed", "changed"), delimiter=";")
            writer.writeheader()
            writer.writerows(islice(rows, -(-records // files)))
    form = {"kind": "csv", "encoding": "windows-1252"}
    return {"place": {"folder": str(folder)}, "format": form, "key": ["number"], "ready": "rename"}


async def _run(settings: Settings, brokers: str, spec: specs.Spec, records: int, say: Say) -> dict[str, Any]:
    await topics.ensure_instance(settings, brokers)
    say("reading alone")
    begun = time.perf_counter()
    read = await _read(spec)
    reading = time.perf_counter() - begun
    assert read == records
    directory = rules.directory(bed.bodies_file(settings))
    say("through the runner")
    collector.settled()
    loop = running.make(settings, spec, running.runtime_config(settings, brokers), directory)
    begun, worked = time.perf_counter(), time.process_time()
    seconds = await _until_idle(loop) - begun
    worked = time.process_time() - worked
    assert loop.counts[Outcome.PUBLISHED] == records, (loop.counts, loop.told)
    say("the same again, from the beginning")
    again = running.make(settings, spec, running.runtime_config(settings, brokers), directory)
    begun = time.perf_counter()
    await _until_idle(again)
    return {
        "bench": "database" if spec.file.connector == "sql-poll" else "files", "source": spec.file.connector, "from": _origin(spec),
        "records": records, "seconds": round(seconds, 2), "records_per_second": round(records / seconds),
        "cpu_us_per_record": round(worked / records * 1e6, 1),
        "read_alone_records_per_second": round(records / reading), "next_poll_seconds": round(time.perf_counter() - begun, 2),
        **bed.machine(),
    }  # fmt: skip


def _origin(spec: specs.Spec) -> str:
    url = getattr(spec.config, "url", None)
    return "csv" if url is None else make_url(str(url)).get_backend_name()


async def _read(spec: specs.Spec) -> int:
    source = spec.make()
    assert isinstance(source, Closing)
    count = 0
    reader: Source = source  # type: ignore[assignment]
    async for batch in reader.read(None):
        count += len(batch.records)
    await source.close()
    return count


async def _until_idle(loop: Loop) -> float:
    """Run a connector until it has read everything; the moment at which it had."""
    task = asyncio.create_task(loop.run())
    while loop.state is not State.IDLE and not task.done():  # noqa: ASYNC110 - it has no event for that
        await asyncio.sleep(0.01)
    ended = time.perf_counter()
    loop.stop()
    await task
    return ended


def _fill(url: str, password: str | None, records: int) -> None:
    engine = create_engine(make_url(url).set(password=password) if password else url)
    with engine.begin() as connection:
        connection.execute(text(TABLE))
        connection.execute(text("CREATE INDEX relais_bench_changed ON relais_bench (changed, number)"))
    insert = text("INSERT INTO relais_bench VALUES (:number, :state, :channel, '01451', :surface, :filed, :changed)")
    rows = _rows(records)
    with engine.begin() as connection:
        while piece := list(islice(rows, INSERTED)):
            connection.execute(insert, piece)
    engine.dispose()


def _rows(records: int) -> Iterator[dict[str, Any]]:
    step = timedelta(days=360) / records
    channels = ("GUICHET", "COURRIER", "TELESERVICE")
    for n in range(records):
        at = START + step * n
        yield {
            "number": f"PC-001451-25-{n:07}", "state": "instruit" if n % 2 else "depose", "channel": channels[n % 3],
            "surface": n % 400 + 0.5, "filed": at.date().isoformat(), "changed": at.isoformat(" ", "microseconds"),
        }  # fmt: skip
