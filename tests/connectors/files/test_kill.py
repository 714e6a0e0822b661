"""`relais connector run` on files, killed (-9) in the middle: every record of a folder and of an SFTP server once on the bus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from deploy.local_kafka import LocalKafka
from tests.connectors.files.conftest import Spot
from tests.support import openssh
from tests.support.connector_process import Runs, lay_file

MAPPING = """
case: "'{name}-' & numero"
events:
  - states: case.opened
    on: "'2026-03-02'"
    with: {{procedure: voirie.signalement}}
"""


def lay(folder: Path, name: str, spot: Spot) -> Path:
    """A connector that reads a place."""
    config = {
        "place": spot.config, "pattern": "*.csv", "format": {"kind": "csv"}, "key": ["numero"], "ready": "rename", "batch_records": 20,
    }  # fmt: skip
    (folder / f"{name}.map.yaml").write_text(MAPPING.format(name=name.upper()))
    return lay_file(folder, name, "files", config)


async def killed(runs: Runs, spots: dict[str, Spot], kills: int, count: int) -> None:
    await runs.prepare()
    files = [lay(runs.folder, name, spot) for name, spot in spots.items()]
    half = count // 2
    for spot in spots.values():
        for number, numbers in enumerate((range(half), range(half, count))):
            spot.put("x.tmp", "numero;etat\n" + "".join(f"{n};depose\n" for n in numbers))
            (spot.path / "x.tmp").rename(spot.path / f"{number}.csv")
    await runs.killed(files, kills, len(spots) * count)

    async def done() -> bool:
        return len(await runs.stated()) >= len(spots) * count and not any(s.names(".work") for s in spots.values())

    await runs.finished(files, done)
    expected = Counter(f"case:viriat/{s.upper()}-{n}" for s in spots for n in range(count))
    assert await runs.stated() == expected
    assert all(len(spot.names("done")) == 2 and spot.names(".work") == [] for spot in spots.values())


@pytest.fixture
def spots(tmp_path: Path, sshd: openssh.Server) -> dict[str, Spot]:
    """A folder of this machine and one behind SFTP."""
    made = {}
    for name in ("folder", "sftp"):
        path = tmp_path / name
        path.mkdir()
        made[name] = Spot(path, {"folder": str(path)} if name == "folder" else sshd.config(path))
    return made


async def test_killed_in_the_middle_every_record_is_stated_once(
    kafka: LocalKafka, instance: str, tmp_path: Path, spots: dict[str, Spot]
) -> None:
    await killed(Runs(kafka, instance, tmp_path), spots, kills=1, count=300)


@pytest.mark.long
async def test_killed_again_and_again_every_record_is_stated_once(
    kafka: LocalKafka, instance: str, tmp_path: Path, spots: dict[str, Spot]
) -> None:
    await killed(Runs(kafka, instance, tmp_path), spots, kills=12, count=4_000)
