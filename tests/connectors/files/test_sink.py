"""The sink `folder`: one file an item, whole, under the same name each time; formulas are told apart from text."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.files import sink as sink_module
from connectors.files.sink import FolderSink
from connectors.files.source import FilesSource
from connectors.gateway import words
from connectors.kit import spec as specs
from connectors.kit.contract import ConfigError, Item, Record, Sent, Unavailable
from connectors.kit.intake import Outcome
from deploy.connectors import trial
from tests.connectors.files.conftest import Spot, drain
from tests.support import outputs
from tests.support.books import book

HANDOFF = Item(
    "i1", "handoff", "k1", {"handoff": "handoff:viriat:" + 32 * "0", "state": "sent", "from": {"name": "=cmd|' /C calc'!A0"}},
    documents=[{"label": "Plan", "size": 3}],
)  # fmt: skip


def sink(place: Spot, **config: Any) -> FolderSink:
    return FolderSink(FolderSink.Config.model_validate({"place": place.config} | config))


def written(place: Spot) -> list[Path]:
    return sorted(one for one in place.path.iterdir() if one.is_file())


async def test_an_item_is_a_file_that_a_repeat_writes_again(place: Spot) -> None:
    made = sink(place)
    assert (await made.check()).ok
    status = Item("i2", "status", "k2", {"state": "décidé"})
    assert await made.send([HANDOFF, status]) == [Sent(), Sent()]
    assert await made.send([HANDOFF]) == [Sent()]
    first, second = written(place)
    assert json.loads(first.read_text("utf-8"))["content"]["state"] == "sent"
    assert json.loads(second.read_text("utf-8"))["content"] == {"state": "décidé"}
    await made.send([Item("i3", "handoff", "k1", {}, gone=True)])
    assert sum(json.loads(one.read_text("utf-8"))["gone"] for one in written(place)) == 1
    await made.close()


async def test_nobody_ever_sees_half_a_file(folder: Spot) -> None:
    made = sink(folder)
    large = Item("i1", "handoff", "k1", {"text": "x" * 2_000_000})
    writing = asyncio.create_task(made.send([large] * 5))
    while not writing.done():
        for one in folder.path.glob("handoff-*"):
            json.loads(one.read_text("utf-8"))
        await asyncio.sleep(0)


async def test_a_draft_that_is_a_link_is_not_written_through(place: Spot) -> None:
    made = sink(place)
    outside = place.path.parent / "outside"
    (place.path / f".{made.name_of(HANDOFF)}.tmp").symlink_to(outside)
    await made.send([HANDOFF])
    assert not outside.exists() and len(written(place)) == 1
    await made.close()


async def test_cells_that_a_spreadsheet_would_run_are_text(place: Spot) -> None:
    made = sink(place, format="csv")
    cells = {name: name + "1+1" for name in ("=", "+", "-", "@", "\t", "\r", "x")}
    await made.send([HANDOFF, Item("i9", "status", "k9", cells)])
    rows = []
    for one in written(place):
        with one.open(encoding="utf-8-sig", newline="") as file:
            rows += list(csv.DictReader(file, delimiter=";"))
    assert (
        rows[0]["content.from.name"] == "'=cmd|' /C calc'!A0" and json.loads(rows[0]["documents"])[0]["label"] == "Plan"
    )
    for name in cells:
        assert rows[1][f"content.{name}"] == ("x1+1" if name == "x" else f"'{name}1+1")
    await made.close()
    plain = sink(place, format="csv", neutralise=False)
    await plain.send([HANDOFF])
    assert "'=cmd" not in written(place)[0].read_text("utf-8")
    await plain.close()


async def test_the_receipt_is_delivery_or_the_file_that_comes_back(place: Spot) -> None:
    status = Item("i2", "status", "k2", {})
    at_once = sink(place, receipt="delivery")
    assert await at_once.send([HANDOFF, status]) == [Sent(receipt=True), Sent()]
    await at_once.close()
    made = sink(place)
    await made.send([HANDOFF])
    taken = written(place)[0]
    assert (place.path / "recus").is_dir()
    taken.rename(place.path / "recus" / taken.name)  # what the body's software does
    receipts = Spot(place.path / "recus", dict(place.config))
    receipts.config["folder"] = str(receipts.path)
    source: FilesSource = receipts.source(format={"kind": "json"}, key=["content.handoff"], pattern="handoff-*.json")
    [record] = [one for batch in await drain(source) for one in batch.records]
    assert isinstance(record, Record) and record.key == HANDOFF.content["handoff"]
    await made.close()
    await source.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB."""
    if os.getuid() != 0:
        pytest.skip("only root mounts a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize("kind", ["folder", "sftp"])
async def test_a_full_disk_is_waited_for(small: Path, kind: str, request: pytest.FixtureRequest) -> None:
    config = {"folder": str(small)} if kind == "folder" else request.getfixturevalue("sshd").config(small)
    made = sink(Spot(small, config))
    with pytest.raises(Unavailable, match="disk"):
        await made.send([HANDOFF, Item("i2", "status", "k2", {"text": "x" * 200_000})])
    assert [one.name for one in written(Spot(small, config))] == [made.name_of(HANDOFF)]  # no half file, no draft
    assert await made.send([HANDOFF]) == [Sent()]
    await made.close()


async def test_a_folder_that_is_not_there_or_may_not_be_written_is_told(folder: Spot) -> None:
    made = sink(folder)
    folder.path.rmdir()
    assert not (await made.check()).ok
    with pytest.raises(ConfigError, match="is not there"):
        await made.send([HANDOFF])


async def test_the_receipt_of_the_guide_states_that_a_handoff_was_received(folder: Spot) -> None:
    datum = outputs.handoff(7, from_body="gba", to="viriat", handoff="handoff:gba:" + 32 * "7", from_case="case:gba/1")
    made = sink(folder)
    await made.send([Item("a", "handoff", "h", words.handoff(datum, "viriat", book()))])
    taken = written(folder)[0]
    taken.rename(folder.path / "recus" / taken.name)
    readme = (Path(sink_module.__file__).parent / "README.md").read_text("utf-8")
    given, mapping = re.findall(r"^```yaml\n(# recus.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    given = given.replace("/srv/arrivee/recus", str(folder.path / "recus"))
    (folder.path.parent / "recus.yaml").write_text(given, "utf-8")
    (folder.path.parent / "recus.map.yaml").write_text(mapping, "utf-8")
    spec = specs.load(folder.path.parent / "recus.yaml")
    (told,) = [one async for one in trial.dry_run(spec, frozenset({"viriat", "gba"}), 20)]
    assert told.outcome is Outcome.PUBLISHED, told.refusal
    (fact,) = told.facts
    assert (fact.type, fact.subject) == ("handoff.received", f"case:viriat/handoff:gba:{32 * '7'}")
