"""Places: every test that takes `place` runs on a folder of this machine and on one behind a real OpenSSH server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.files.source import FilesSource
from connectors.kit.contract import Batch, Cursor, Record, Refused
from tests.support import openssh


@dataclass
class Spot:
    """A folder, and how a configuration names it."""

    path: Path
    config: dict[str, Any]

    def source(self, **config: Any) -> FilesSource:
        """A source on it: CSV with the key `numero`, whole as soon as it is there, unless told otherwise."""
        given = {"format": {"kind": "csv"}, "key": ["numero"], "stable_s": 0, "place": self.config} | config
        return FilesSource(FilesSource.Config.model_validate(given))

    def put(self, name: str, content: str | bytes) -> None:
        """A file arrives."""
        (self.path / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def names(self, folder: str) -> list[str]:
        """What lies in one of its folders."""
        found = self.path / folder
        return sorted(one.name for one in found.iterdir()) if found.is_dir() else []


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openssh.Server]:
    """Return an OpenSSH server that all tests of the run share."""
    if openssh.program() is None:
        pytest.skip("OpenSSH's server is not installed here")
    with openssh.server(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(params=["folder", "sftp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Spot:
    """Return an empty place."""
    path = tmp_path / "arrivee"
    path.mkdir()
    if request.param == "folder":
        return Spot(path, {"folder": str(path)})
    server: openssh.Server = request.getfixturevalue("sshd")
    return Spot(path, server.config(path))


@pytest.fixture
def folder(tmp_path: Path) -> Spot:
    """Return an empty folder of this machine."""
    path = tmp_path / "arrivee"
    path.mkdir()
    return Spot(path, {"folder": str(path)})


async def drain(source: FilesSource, since: Cursor = None, *, ack: bool = True) -> list[Batch]:
    """All batches that there are for now; each is acknowledged as the runner does, after it was taken."""
    found = []
    async for batch in source.read(since):
        found.append(batch)
        if ack:
            await source.ack(batch)
    return found


def keys(batches: list[Batch]) -> list[str]:
    """The keys of the records, in order."""
    return [one.key for batch in batches for one in batch.records if isinstance(one, Record)]


def refused(batches: list[Batch]) -> list[Refused]:
    """What could not be read, in order."""
    return [one for batch in batches for one in batch.records if isinstance(one, Refused)]


async def killed(source: FilesSource) -> None:
    """The process of a source dies: nothing is put back, only its connection ends."""
    await source._place.close()
