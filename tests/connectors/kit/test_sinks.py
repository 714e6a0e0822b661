"""The contract of sinks, kept by a folder of files, and what the runner does with each outcome."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.kit.contract import ConnectorConfig, Finding, Item, Outcome, Reject, Report, Retry, Sent, Unavailable
from connectors.kit.intake import Outcome as Fate
from deploy.reading import records
from schemas import codec
from tests.support.connector_contract import PATIENCE_S, until
from tests.support.sink_contract import SinkBed, SinkContract


class Folder:
    """Writes each item once to a file that only grows."""

    Config = ConnectorConfig

    def __init__(self, file: Path) -> None:
        self.file = file
        self.answers: list[Outcome] = []

    async def check(self) -> Report:
        return Report([Finding(self.file.exists(), "the file is there")])

    async def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        if not self.file.exists():
            raise Unavailable("the file is away")
        answers: list[Outcome] = []
        for item in items:
            answer = self.answers.pop(0) if self.answers else Sent(receipt=True)
            known = [json.loads(line)["id"] for line in self.file.read_text().splitlines()]
            if isinstance(answer, Sent) and item.id not in known:
                with self.file.open("a") as out:
                    out.write(json.dumps({"id": item.id, "state": item.content.get("state"), "of": item.key}) + "\n")
            answers.append(answer)
        return answers


class FolderPlace:
    keeps_states = True
    receipts = True

    def __init__(self, folder: Path) -> None:
        self.file = folder / "inbox.jsonl"
        self.file.touch()

    def sink(self) -> Folder:
        return Folder(self.file)

    async def received(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    async def take_down(self) -> None:
        self.file.rename(self.file.with_suffix(".away"))

    async def bring_back(self) -> None:
        self.file.with_suffix(".away").rename(self.file)


class TestFolder(SinkContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> FolderPlace:
        return FolderPlace(tmp_path)

    async def test_what_is_rejected_is_a_dead_letter_and_the_next_goes_on(self, bed: SinkBed) -> None:
        sink = bed.place.sink()
        assert isinstance(sink, Folder)
        sink.answers = [Reject("the receiver wants a procedure: give one")]
        await bed.say(1, "sent")
        async with bed.running(sink) as outlet:
            await until(lambda: outlet.counts[Fate.REFUSED] == 1)
            await bed.say(2, "sent")
            await bed.until(["sent"])
        found = records(bed.kafka.bootstrap, f"{bed.instance}.dead-letters")
        [letter] = [codec.bus().decode(record.value or b"")[1] async for record in found]
        assert (letter["reason"], letter["detail"]) == ("rejected", "the receiver wants a procedure: give one")
        assert json.loads(letter["value"])["content"]["state"] == "sent"

    async def test_what_is_to_be_sent_again_keeps_its_order_over_a_restart(self, bed: SinkBed) -> None:
        sink = bed.place.sink()
        assert isinstance(sink, Folder)
        sink.answers = [Retry(3600)]
        await bed.say(1, "sent")
        async with bed.running(sink) as outlet:
            await until(lambda: outlet.counts[Fate.RETRIED] == 1)
            await bed.say(1, "accepted")
            await bed.say(2, "sent")
            await bed.until(["sent"])
        async with bed.running():
            await bed.until(["sent", "sent", "accepted"])
        of: dict[str, list[str]] = {}
        for item in await bed.place.received():
            of.setdefault(item["of"], []).append(item["state"])
        assert sorted(of.values()) == [["sent"], ["sent", "accepted"]]

    async def test_a_handoff_that_is_no_more_is_told_where_it_was_known(self, bed: SinkBed) -> None:
        await bed.say(1, "sent")
        async with bed.running() as outlet:
            await bed.until(["sent"])
            await bed.say(1, None)
            await bed.say(2, None)
            end = time.monotonic() + PATIENCE_S
            while outlet.counts[Fate.SENT] < 2:
                assert time.monotonic() < end
                await asyncio.sleep(0.02)
            await bed.say(3, "sent")
            await bed.until(["sent", "None", "sent"])
            assert outlet.counts[Fate.SENT] == 3
