"""What the README of the SQL connectors shows can be used as it stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from connectors.gateway import words
from connectors.kit import spec as specs
from connectors.kit.contract import Item, Record
from connectors.kit.intake import Outcome, Told
from connectors.kit.mapper import Mapper
from connectors.sql import outbox, poll
from connectors.sql.table import Table
from deploy.connectors import trial
from tests.connectors.sql.base import Base
from tests.connectors.sql.test_table import made  # noqa: F401 - a fixture
from tests.support import outputs
from tests.support.books import book

README = (Path(poll.__file__).parent / "README.md").read_text(encoding="utf-8")
FILE, VANISHED, GONE, RECEIPTS = re.findall(r"^```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
(OUTBOX,) = re.findall(r"^```sql\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
BODIES = frozenset({"viriat", "gba"})


async def tried(folder: Path, given: dict[str, Any], mapping: str) -> Sequence[Told]:
    (folder / "one.map.yaml").write_text(mapping, encoding="utf-8")
    (folder / "one.yaml").write_text(yaml.safe_dump(given | {"mapping": "one.map.yaml"}), encoding="utf-8")
    return [told async for told in trial.dry_run(specs.load(folder / "one.yaml"), BODIES, 20)]


@pytest.mark.parametrize("base", ["postgresql"], indirect=True)
async def test_the_table_of_the_guide_is_polled(base: Base, tmp_path: Path) -> None:
    base.run(
        "CREATE TABLE dossiers (numero VARCHAR(40) PRIMARY KEY, etat TEXT, depose_le DATE, modifie_le TIMESTAMP, nom TEXT)"
    )
    base.run("INSERT INTO dossiers VALUES ('PC-1', 'depose', '2026-03-01', '2026-03-02 10:00', 'private')")
    given = yaml.safe_load(FILE)
    given["config"] = {**{k: v for k, v in given["config"].items() if k not in ("url", "password")}, **base.settings}
    mapping = "case: numero\nevents:\n  - states: case.opened\n    on: depose_le\n    with: {procedure: urbanisme.pc-maison}\n"
    (told,) = await tried(tmp_path, given, mapping)
    assert told.outcome is Outcome.PUBLISHED
    assert "private" not in repr(told)  # a column that was not asked for is not read


@pytest.mark.parametrize("base", ["postgresql"], indirect=True)
async def test_the_mapping_of_the_guide_says_what_a_row_that_is_no_more_states(base: Base, tmp_path: Path) -> None:
    base.run("CREATE TABLE dossiers (numero VARCHAR(40) PRIMARY KEY, etat TEXT, depose_le DATE, modifie_le TIMESTAMP)")
    for number, state in (("PC-1", "DEPOSE"), ("PC-2", "CLOS"), ("PC-3", "DEPOSE")):
        values = {"n": number, "s": state}
        base.run("INSERT INTO dossiers VALUES (:n, :s, '2026-03-01', '2026-03-02 10:00')", **values)
    vanished = yaml.safe_load(VANISHED)["vanished"] | {"ledger": tmp_path / "known.db", "scans": 1}
    given = {**yaml.safe_load(FILE)["config"], **base.settings, "vanished": vanished}
    given.pop("password", None)
    source = base.hold(poll.Poll(poll.Poll.Config.model_validate(given)))
    for batch in [batch async for batch in source.read(None)]:
        await source.ack(batch)
    base.run("DELETE FROM dossiers WHERE numero <> 'PC-3'")
    (tmp_path / "map.yaml").write_text(f"case: numero\nevents:\n{GONE}", encoding="utf-8")
    mapper = Mapper(tmp_path / "map.yaml", "viriat", "permis", ZoneInfo("Europe/Paris"))
    records = [record async for batch in source.read(batch.cursor) for record in batch.records]
    said = [(one["type"], one["subject"]) for r in records if isinstance(r, Record) for one in mapper.said(r.content)]
    assert said == [("case.opened", "case:viriat/PC-3"), ("case.closed", "case:viriat/PC-1")]


@pytest.mark.parametrize("base", ["postgresql"], indirect=True)
async def test_the_outbox_of_the_guide_is_one(base: Base) -> None:
    base.run(OUTBOX)
    base.run("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('a', 'b', 'c', '{}')")
    source = base.hold(outbox.Outbox(outbox.Outbox.Config.model_validate(base.settings)))
    report = await source.check()
    assert report.ok
    assert not [finding for finding in report.findings if finding.mend or finding.advice]
    assert [len(batch.records) async for batch in source.read(None)] == [1]


async def test_the_receipt_of_the_guide_states_that_a_handoff_was_received(made: Base, tmp_path: Path) -> None:  # noqa: F811
    datum = outputs.handoff(7, from_body="gba", to="viriat", handoff="handoff:gba:" + 32 * "7", from_case="case:gba/1")
    content = words.handoff(datum, "viriat", book())
    await made.hold(Table(Table.Config.model_validate(made.settings))).send([Item("a", "handoff", "h", content)])
    made.run("UPDATE relais_inbox SET taken_at = '2026-03-02 09:00:00'")
    given = {"name": "r", "connector": "sql-receipts", "body": "viriat", "system": "inbox", "time_zone": "Europe/Paris"}
    (told,) = await tried(tmp_path, given | {"config": made.settings}, RECEIPTS)
    assert told.outcome is Outcome.PUBLISHED, told.refusal
    (fact,) = told.facts
    assert (fact.type, fact.subject) == ("handoff.received", f"case:viriat/handoff:gba:{32 * '7'}")
