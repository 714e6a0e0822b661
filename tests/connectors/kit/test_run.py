"""`relais connector run` as a process that is killed at any moment: every record once."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.local_kafka import LocalKafka
from tests.connectors.kit.ledger import MAPPING
from tests.support.connector_process import Runs, lay_file

HERE = Path(__file__).parent


def lay(folder: Path, name: str, numbers: Sequence[int]) -> Path:
    """A connector with its records, as files."""
    (folder / "ledger.py").write_text((HERE / "ledger.py").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / f"{name}.map.yaml").write_text(MAPPING.replace("R-", f"{name.upper()}-"), encoding="utf-8")
    with (folder / f"{name}.jsonl").open("a") as out:
        out.writelines(f'{{"number": {n}, "kind": "opened", "at": "2026-03-01"}}\n' for n in numbers)
    return lay_file(folder, name, "ledger.py:Ledger", {"file": f"{name}.jsonl", "size": 20}, every="100ms")


@pytest.fixture
async def runs(kafka: LocalKafka, instance: str, tmp_path: Path) -> Runs:
    """Return the runs of a new instance."""
    made = Runs(kafka, instance, tmp_path)
    await made.prepare()
    return made


async def _killed(runs: Runs, kills: int, count: int) -> None:
    file = lay(runs.folder, "permits", range(count))
    await runs.killed([file], kills, count)
    lay(runs.folder, "permits", range(count, count + 10))
    await runs.finished([file], lambda: _stated(runs, count + 10))
    assert await runs.stated() == Counter(f"case:viriat/PERMITS-{n}" for n in range(count + 10))


async def _stated(runs: Runs, least: int) -> bool:
    return len(await runs.stated()) >= least


async def test_killed_in_the_middle_it_states_every_record_once(runs: Runs) -> None:
    await _killed(runs, kills=2, count=1_000)


@pytest.mark.long
async def test_killed_again_and_again_it_states_every_record_once(runs: Runs) -> None:
    await _killed(runs, kills=12, count=8_000)


async def test_one_that_fails_does_not_disturb_another(runs: Runs) -> None:
    good, bad = lay(runs.folder, "permits", range(5)), lay(runs.folder, "signals", range(5))
    bad.write_text(bad.read_text().replace("ledger.py:Ledger", "failing.py:Failing"), encoding="utf-8")
    (runs.folder / "failing.py").write_text(
        "from ledger import Ledger\n"
        "class Failing(Ledger):\n"
        "    async def read(self, since):\n"
        "        raise KeyError('secret')\n"
        "        yield\n"
    )
    await runs.finished([good, bad], lambda: _stated(runs, 5))
    assert await runs.stated() == Counter(f"case:viriat/PERMITS-{n}" for n in range(5))
    assert '"error": "KeyError", "at": "failing.py:4"' in runs.log
    assert "secret" not in runs.log
