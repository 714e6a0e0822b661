"""A small source for tests: a file of JSON lines that only grows, one line a record; and the place where it stands."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.kit.contract import (
    Batch,
    ConnectorConfig,
    Cursor,
    Finding,
    Record,
    Refused,
    Report,
    Unavailable,
)

MAPPING = """
case: "'R-' & number"
events:
  - states: case.opened
    when: kind = 'opened'
    on: $date(at)
    with: {procedure: voirie.signalement}
  - states: case.suspended
    when: kind = 'suspended'
    on: $date(at)
    with: {cause: pieces}
  - states: case.resumed
    when: kind = 'resumed'
    on: $date(at)
"""


class LedgerConfig(ConnectorConfig):
    """Configuration of the ledger."""

    file: Path
    """File of JSON lines."""
    size: int = 4
    """Lines in a batch."""


class Ledger:
    """Reads lines from where it left off."""

    Config = LedgerConfig

    def __init__(self, config: LedgerConfig) -> None:
        self._config = config

    async def check(self) -> Report:
        return Report([Finding(self._config.file.exists(), "the file is there", "write the file")])

    async def read(self, since: Cursor) -> AsyncIterator[Batch]:
        try:
            lines = self._config.file.read_bytes().splitlines()
        except OSError:
            raise Unavailable("the file is not there") from None
        for start in range(since or 0, len(lines), self._config.size):
            end = min(start + self._config.size, len(lines))
            yield Batch([self._record(lines[at], at) for at in range(start, end)], end)

    def _record(self, line: bytes, at: int) -> Record | Refused:
        place = f"line {at + 1}"
        try:
            content = json.loads(line)
        except ValueError:
            return Refused(line, "this line is not JSON", place)
        return Record(str(content["number"]), content, line, version=str(at), place=place)


class LedgerPlace:
    """The file, as a test handles it."""

    mapping = MAPPING
    zone = "America/Cayenne"

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ledger.jsonl"
        self.file.touch()

    def source(self) -> Ledger:
        return Ledger(LedgerConfig(file=self.file))

    def add(self, number: int, kind: str, at: str, **more: object) -> None:
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"number": number, "kind": kind, "at": at, **more}) + "\n")

    async def write(self, numbers: Iterable[int], at: datetime) -> None:
        local = at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None).isoformat(timespec="seconds")
        for number in numbers:
            self.add(number, "opened", local)

    async def write_bad(self) -> None:
        with self.file.open("a", encoding="utf-8") as out:
            out.write("{broken\n")

    async def take_down(self) -> None:
        self.file.rename(self.file.with_suffix(".away"))

    async def bring_back(self) -> None:
        self.file.with_suffix(".away").rename(self.file)
