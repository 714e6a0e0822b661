"""`relais connector run` as a process that is killed at any moment: every record once."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

from deploy import topics
from deploy.local_kafka import LocalKafka
from deploy.reading import records
from deploy.settings import load
from schemas import codec
from tests.connectors.kit.ledger import MAPPING

HERE = Path(__file__).parent
FILE = """
name: {name}
connector: ledger.py:Ledger
body: viriat
system: {name}
time_zone: Europe/Paris
mapping: {name}.map.yaml
every: 100ms
config: {{file: {name}.jsonl, size: 20}}
"""


def lay(folder: Path, name: str, numbers: Sequence[int]) -> Path:
    """A connector with its records, as files."""
    (folder / "ledger.py").write_text((HERE / "ledger.py").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / f"{name}.map.yaml").write_text(MAPPING.replace("R-", f"{name.upper()}-"), encoding="utf-8")
    (folder / f"{name}.yaml").write_text(FILE.format(name=name), encoding="utf-8")
    with (folder / f"{name}.jsonl").open("a") as out:
        out.writelines(f'{{"number": {n}, "kind": "opened", "at": "2026-03-01"}}\n' for n in numbers)
    return folder / f"{name}.yaml"


@contextmanager
def running(kafka: LocalKafka, instance: str, folder: Path, files: Sequence[Path]) -> Iterator[subprocess.Popen[bytes]]:
    given = {
        "RELAIS_BROKERS": kafka.bootstrap, "RELAIS_INSTANCE": instance, "RELAIS_PARTITIONS": "4",
        "RELAIS_OUTPUT_PARTITIONS": "1", "RELAIS_DATA_DIR": str(folder / "data"), "RELAIS_BATCH_RECORDS": "50",
        "RELAIS_CONNECTOR_PORT": "0",
    }  # fmt: skip
    command = [sys.executable, "-m", "deploy", "connector", "run", *map(str, files)]
    with (folder / "run.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | given, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def stated(kafka: LocalKafka, instance: str) -> Counter[str]:
    found: Counter[str] = Counter()
    async with aclosing(records(kafka.bootstrap, f"{instance}.case-events")) as reading:
        async for record in reading:
            found[codec.events().decode(record.value or b"")[1]["header"]["subject"]] += 1
    return found


@pytest.fixture
async def folder(kafka: LocalKafka, instance: str, tmp_path: Path) -> Path:
    settings = load(
        brokers=kafka.bootstrap, instance=instance, partitions=4, output_partitions=1, data_dir=tmp_path / "data"
    )
    settings.ensure_reference_secret()
    await topics.ensure_instance(settings, kafka.bootstrap)
    return tmp_path


async def _killed(kafka: LocalKafka, instance: str, folder: Path, kills: int, count: int) -> None:
    file = lay(folder, "permits", range(count))
    for turn in range(kills):
        with running(kafka, instance, folder, [file]):
            before, end = await stated(kafka, instance), time.monotonic() + 30
            while (now := await stated(kafka, instance)) == before and now.total() < count:
                assert time.monotonic() < end, (folder / "run.log").read_text()
            await asyncio.sleep(0.02 * (turn % 5))
    lay(folder, "permits", range(count, count + 10))
    with running(kafka, instance, folder, [file]) as process:
        end = time.monotonic() + 100
        while len(await stated(kafka, instance)) < count + 10:
            assert time.monotonic() < end, (folder / "run.log").read_text()
        process.terminate()
        assert process.wait(20) == 0
    assert await stated(kafka, instance) == Counter(f"case:viriat/PERMITS-{n}" for n in range(count + 10))


async def test_killed_in_the_middle_it_states_every_record_once(kafka: LocalKafka, instance: str, folder: Path) -> None:
    await _killed(kafka, instance, folder, kills=2, count=1_000)


@pytest.mark.long
async def test_killed_again_and_again_it_states_every_record_once(
    kafka: LocalKafka, instance: str, folder: Path
) -> None:
    await _killed(kafka, instance, folder, kills=12, count=8_000)


async def test_one_that_fails_does_not_disturb_another(kafka: LocalKafka, instance: str, folder: Path) -> None:
    good, bad = lay(folder, "permits", range(5)), lay(folder, "signals", range(5))
    bad.write_text(bad.read_text().replace("ledger.py:Ledger", "failing.py:Failing"), encoding="utf-8")
    (folder / "failing.py").write_text(
        "from ledger import Ledger\n"
        "class Failing(Ledger):\n"
        "    async def read(self, since):\n"
        "        raise KeyError('secret')\n"
        "        yield\n"
    )
    with running(kafka, instance, folder, [good, bad]) as process:
        end = time.monotonic() + 30
        while (await stated(kafka, instance)).total() < 5:
            assert time.monotonic() < end, (folder / "run.log").read_text()
        process.terminate()
        assert process.wait(20) == 0
    assert await stated(kafka, instance) == Counter(f"case:viriat/PERMITS-{n}" for n in range(5))
    log = (folder / "run.log").read_text()
    assert '"error": "KeyError", "at": "failing.py:4"' in log
    assert "secret" not in log
