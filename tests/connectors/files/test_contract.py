"""The contracts of sources and sinks, kept by files in a folder and by files behind a real OpenSSH server."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.files.sink import FolderSink
from connectors.files.source import FilesSource
from tests.connectors.files.conftest import Spot, killed
from tests.support import openssh
from tests.support.connector_contract import SourceContract
from tests.support.sink_contract import SinkContract

MAPPING = """
case: "'R-' & numero"
events:
  - states: case.opened
    on: $date(le)
    with: {procedure: voirie.signalement}
"""


class FilesPlace:
    """A folder to which old software writes CSV."""

    mapping = MAPPING
    zone = "America/Cayenne"

    def __init__(self, spot: Spot) -> None:
        self.spot = spot
        self._files = 0
        self._made: list[FilesSource] = []

    def source(self) -> FilesSource:
        self._made.append(
            self.spot.source(format={"kind": "csv", "encoding": "windows-1252"}, ready="rename", batch_records=4)
        )
        return self._made[-1]

    async def end(self) -> None:
        """Let go of what the processes of the test held."""
        for one in self._made:
            await killed(one)

    def arrive(self, text: str) -> None:
        """A file is written, then named."""
        self._files += 1
        draft = self.spot.path / "export.tmp"
        draft.write_text(text, encoding="windows-1252")
        os.utime(draft, (self._files, self._files))
        draft.rename(self.spot.path / f"export-{self._files}.csv")

    async def write(self, numbers: Iterable[int], at: datetime) -> None:
        local = at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None).isoformat(timespec="seconds")
        self.arrive("numero;le;objet\n" + "".join(f"{number};{local};Clôture\n" for number in numbers))

    async def write_bad(self) -> None:
        self.arrive("numero;le;objet\n5;Clôture\n")

    async def take_down(self) -> None:
        raise NotImplementedError

    async def bring_back(self) -> None:
        raise NotImplementedError


class MountedFolder(FilesPlace):
    """A folder whose mount goes away: it answers that it is no folder that can be reached."""

    async def take_down(self) -> None:
        away = self.spot.path.with_name("away")
        self.spot.path.rename(away)
        self.spot.path.symlink_to(self.spot.path.name)  # a loop: ELOOP, as a stale mount gives an error of its own

    async def bring_back(self) -> None:
        self.spot.path.unlink()
        self.spot.path.with_name("away").rename(self.spot.path)


class Server(FilesPlace):
    """A folder behind a server that stops."""

    def __init__(self, spot: Spot, server: openssh.Server) -> None:
        super().__init__(spot)
        self._server = server

    async def take_down(self) -> None:
        self._server.stop()

    async def bring_back(self) -> None:
        self._server.start()


class TestFolder(SourceContract):
    @pytest.fixture
    async def place(self, folder: Spot) -> AsyncIterator[FilesPlace]:
        made = MountedFolder(folder)
        yield made
        await made.end()


class TestSftp(SourceContract):
    @pytest.fixture
    async def place(self, folder: Spot, sshd: openssh.Server) -> AsyncIterator[FilesPlace]:
        made = Server(Spot(folder.path, sshd.config(folder.path)), sshd)
        yield made
        await made.end()


class Inbox:
    """A folder to which items are brought."""

    keeps_states = True
    receipts = True

    def __init__(self, spot: Spot) -> None:
        self.spot = spot

    def sink(self) -> FolderSink:
        return FolderSink(FolderSink.Config.model_validate({"place": self.spot.config, "receipt": "delivery"}))

    async def received(self) -> list[dict[str, Any]]:
        files = sorted(self.spot.path.glob("handoff-*.json"), key=lambda one: one.stat().st_mtime_ns)
        found = [json.loads(one.read_text("utf-8")) for one in files]
        return [{"id": one["id"], "state": one["content"].get("state")} for one in found]

    async def take_down(self) -> None:
        away = self.spot.path.with_name("away")
        self.spot.path.rename(away)
        self.spot.path.symlink_to(self.spot.path.name)

    async def bring_back(self) -> None:
        self.spot.path.unlink()
        self.spot.path.with_name("away").rename(self.spot.path)


class TestFolderSink(SinkContract):
    @pytest.fixture
    def place(self, folder: Spot) -> Inbox:
        return Inbox(folder)
