"""Rows that are no more: noticed once, not while a table is filled anew, and stated as the mapping says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from connectors.kit.contract import Batch, ConfigError, Cursor, Record, Unavailable
from connectors.kit.intake import Intake, Outcome
from connectors.kit.mapper import Mapper
from connectors.kit.stating import Stating
from connectors.sql.poll import Poll
from schemas import codec
from schemas.references import Keys
from streams.runtime.store import MemoryStore
from tests.connectors.sql.base import Base, drain, keys, records, told

ROWS = 40
MAPPING = """
case: numero & '-' & dispositif
events:
  - states: case.opened
    when: $not($exists(vanished))
    on: $date(depose_le)
    with: {procedure: voirie.signalement}
  - states: case.closed
    when: $exists(vanished) and etat != 'CLOS'   # a closed one is only tidied away
    on: $date(vanished_at)
    with: {reason: error}
"""
Make = Callable[..., Poll]
pytestmark = pytest.mark.parametrize("base", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def permits(base: Base) -> Base:
    base.run(
        "CREATE TABLE permits (numero INTEGER PRIMARY KEY, dispositif VARCHAR(10), etat VARCHAR(10), depose_le DATE,"
        " changed TIMESTAMP NULL)"
    )
    insert(base, range(ROWS))
    return base


def insert(base: Base, numbers: range) -> None:
    rows = [{"n": n, "e": "CLOS" if n % 2 else "OUVERT"} for n in numbers]
    statement = "INSERT INTO permits VALUES (:n, 'APA', :e, '2026-03-01', '2026-03-02 09:00:00')"
    with base.engine.begin() as connection:
        connection.execute(text(statement), rows)


@pytest.fixture(params=["modified", "whole"])
def make(request: pytest.FixtureRequest, permits: Base, tmp_path: Path) -> Make:
    """Make sources over one ledger, each as after a restart: one that asks what was modified, or one that reads all."""

    def made(**vanished: Any) -> Poll:
        rule = {"ledger": tmp_path / "known.db", "keep": ["dispositif", "ETAT"], "every_h": 1e-9} | vanished
        given = {"table": "permits", "key": ["numero"], "time_zone": "Europe/Paris", "page_rows": 7, "vanished": rule}
        given |= {"modified": "changed"} if request.param == "modified" else {}
        return permits.hold(Poll(Poll.Config.model_validate(permits.settings | given)))

    return made


async def published(source: Poll, since: Cursor) -> tuple[list[Batch], Cursor]:
    """One reading as the runner does it, and where it goes on."""
    batches = []
    async for batch in source.read(since):
        batches.append(batch)
        await source.ack(batch)
    return batches, batches[-1].cursor if batches else since


def gone(batches: list[Batch]) -> list[Record]:
    return [record for record in records(batches) if "vanished" in record.content]


async def test_a_row_that_is_no_more_is_told_once_with_what_was_kept_of_it(permits: Base, make: Make) -> None:
    source = make()
    batches, at = await published(source, None)
    assert len(keys(batches)) == ROWS
    permits.run("DELETE FROM permits WHERE numero IN (3, 4)")
    batches, at = await published(source, at)
    assert gone(batches) == [], "it may be away for a moment only"
    batches, at = await published(make(), at)
    first, second = sorted(gone(batches), key=lambda record: record.key)
    assert (first.key, second.key) == ("3", "4")
    kept = {name.lower(): value for name, value in first.content.items()}
    assert kept.pop("vanished_at").endswith("+00:00")
    assert kept == {"numero": 3, "dispositif": "APA", "etat": "CLOS", "vanished": True}
    for _ in range(3):
        batches, at = await published(source, at)
        assert gone(batches) == []
    insert(permits, range(3, 4))  # it comes back, and goes again
    for _ in range(2):
        batches, at = await published(source, at)
    permits.run("DELETE FROM permits WHERE numero = 3")
    found = [gone((await published(source, at))[0]) for _ in range(3)]
    assert [[record.key for record in some] for some in found] == [[], ["3"], []]


async def test_a_table_that_is_filled_anew_says_nothing(permits: Base, make: Make) -> None:
    source = make(scans=1)
    _, at = await published(source, None)
    _, at = await published(source, at)
    permits.run("DELETE FROM permits WHERE numero >= 20")
    for _ in range(3):
        with pytest.raises(Unavailable, match=r"20 of 40 rows are missing at once.*most_percent"):
            await published(source, at)
    insert(permits, range(20, ROWS))
    batches, at = await published(source, at)
    assert gone(batches) == []
    permits.run("DELETE FROM permits WHERE numero >= 20")
    batches, at = await published(make(scans=1, most_percent=60), at)
    assert len(gone(batches)) == 20, "a purge that is meant"


async def test_a_crash_before_it_was_remembered_says_the_same_again(permits: Base, make: Make) -> None:
    _, at = await published(make(), None)
    permits.run("DELETE FROM permits WHERE numero = 5")
    _, at = await published(make(), at)
    first = gone(await drain(make().read(at)))
    again = gone((await published(make(), at))[0])
    assert first == again and len(first) == 1
    assert gone((await published(make(), at))[0]) == []


async def test_a_dry_run_remembers_nothing(make: Make, tmp_path: Path) -> None:
    await drain(make().read(None))
    assert not (tmp_path / "known.db").exists()


async def test_what_it_states_is_for_the_mapping_to_say(permits: Base, make: Make, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(MAPPING)
    mapper = Mapper(tmp_path / "map.yaml", "viriat", "permits", ZoneInfo("Europe/Paris"))
    store = MemoryStore()
    stating = Stating("viriat", "permits", codec.events(), Keys(bytes(16)), 1, None)
    intake = Intake(("", "state", "letters"), mapper, stating, store)
    source, at, facts = make(), None, []
    for turn in range(5):
        if turn == 1:
            permits.run("DELETE FROM permits WHERE numero IN (3, 4)")
        batches, at = await published(source, at)
        for batch in batches:
            step = intake.take(batch.records, batch.cursor)
            store.write(step.effects.state, 0)
            assert not any(one.outcome is Outcome.REFUSED for one in step.told)
            facts += [(fact.type, fact.subject) for one in step.told for fact in one.facts]
    assert facts.count(("case.closed", "case:viriat/4-APA")) == 1
    assert len(facts) == ROWS + 1


async def test_a_check_says_whether_it_is_noticed(permits: Base, make: Make) -> None:
    assert "every 1e-09 h all keys" in told(await make().check())
    plain = {"table": "permits", "key": ["numero"], "time_zone": "Europe/Paris"}
    assert "deleted is not noticed (set `vanished`" in told(
        await permits.hold(Poll(Poll.Config.model_validate(permits.settings | plain))).check()
    )


async def test_what_is_wrong_is_told(permits: Base, make: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"vanished\.keep: foyer is not read: there are numero"):
        await drain(make(keep=["foyer"]).read(None))
    source = make(ledger=tmp_path)
    with pytest.raises(ConfigError, match=r"vanished\.ledger"):
        await published(source, None)
    permits.run("ALTER TABLE permits ADD vanished INTEGER")
    with pytest.raises(ConfigError, match="there is a column vanished"):
        await drain(make().read(None))
