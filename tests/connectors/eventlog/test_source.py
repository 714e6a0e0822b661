"""An event log is a source like the others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.eventlog.source import EventLog, EventLogConfig
from tests.support.connector_contract import SourceContract

MAPPING = """
case: "'R-' & trace"
events:
  - states: case.opened
    when: activity = 'in'
    on: $date(time)
    with: {procedure: voirie.signalement}
"""


class LogPlace:
    mapping = MAPPING
    zone = "America/Cayenne"

    def __init__(self, folder: Path) -> None:
        self.file = folder / "log.csv"
        self.file.write_text("case,activity,time\n")

    def source(self) -> EventLog:
        return EventLog(EventLogConfig(file=self.file, trace="case"))

    def add(self, case: str, time: str) -> None:
        with self.file.open("a") as out:
            out.write(f"{case},in,{time}\n")

    async def write(self, numbers: Iterable[int], at: datetime) -> None:
        for number in numbers:
            self.add(str(number), at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None).isoformat(timespec="seconds"))

    async def write_bad(self) -> None:
        self.add("99", "yesterday")

    async def take_down(self) -> None:
        self.file.rename(self.file.with_suffix(".away"))

    async def bring_back(self) -> None:
        self.file.with_suffix(".away").rename(self.file)


class TestEventLog(SourceContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> LogPlace:
        return LogPlace(tmp_path)
