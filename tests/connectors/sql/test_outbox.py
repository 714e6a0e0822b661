"""The transactional outbox, in Debezium's shape."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from sqlalchemy import text

from connectors.kit.contract import Refused
from connectors.sql.outbox import Outbox
from tests.connectors.sql.base import Base, drain, keys, records, told

JSON_TYPE = {"sqlite": "TEXT", "postgresql": "JSONB", "mariadb": "JSON"}
ID_TYPE = {"sqlite": "CHAR(36)", "postgresql": "UUID", "mariadb": "UUID"}
INSERT = "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES (:id, 'permit', :about, 'filed', :payload)"


def outbox(base: Base, **settings: Any) -> Outbox:
    return base.hold(Outbox(Outbox.Config.model_validate(base.settings | settings)))


def create(base: Base, id_: str = "INTEGER", payload: str | None = None, more: str = "") -> None:
    base.run(
        f"CREATE TABLE outbox (id {id_} PRIMARY KEY, aggregatetype VARCHAR(255) NOT NULL, aggregateid VARCHAR(255) NOT NULL, "
        f"type VARCHAR(255) NOT NULL, payload {payload or JSON_TYPE[base.kind]}{more})"
    )


def put(base: Base, *ids: int) -> None:
    for one in ids:
        base.run(INSERT, id=one, about=f"PC-{one % 3}", payload=json.dumps({"n": one}))


async def test_what_is_published_is_deleted_and_nothing_else(base: Base) -> None:
    create(base)
    put(base, *range(10))
    source = outbox(base, batch_rows=4)
    batches = await drain(source.read(None))
    assert keys(batches) == [str(i) for i in range(10)]
    first = records(batches)[0]
    assert dict(first.content) == {
        "id": 0,
        "aggregatetype": "permit",
        "aggregateid": "PC-0",
        "type": "filed",
        "payload": {"n": 0},
    }
    put(base, 20)
    await source.ack(batches[0])
    await source.ack(batches[0])
    assert [row.id for row in base.rows("SELECT id FROM outbox ORDER BY id")] == [*range(4, 10), 20]
    assert keys(await drain(source.read(None))) == [*map(str, range(4, 10)), "20"]


async def test_debezium_s_own_table_is_taken_as_it_is(base: Base) -> None:
    create(base, ID_TYPE[base.kind])
    ids = sorted(str(uuid.uuid4()) for _ in range(5))
    for one in ids:
        base.run(INSERT, id=one, about="PC-1", payload="{}")
    source = outbox(base, batch_rows=2)
    batches = await drain(source.read(None))
    assert sorted(keys(batches)) == ids
    report = await source.check()
    assert report.ok
    assert "id says no order" in told(report)
    for batch in batches:
        await source.ack(batch)
    assert not base.rows("SELECT id FROM outbox")


@pytest.mark.parametrize("kind", ["TIMESTAMP NULL", "BOOLEAN", "INTEGER DEFAULT 0"])
async def test_rows_may_be_marked_instead(base: Base, kind: str) -> None:
    create(base, more=f", sent {kind}")
    put(base, 1, 2, 3)
    source = outbox(base, mark="sent", order=["aggregateid"])
    batches = await drain(source.read(None))
    assert keys(batches) == ["3", "1", "2"]
    await source.ack(batches[0])
    assert len(base.rows("SELECT id FROM outbox")) == 3
    assert not await drain(source.read(None))
    put(base, 4)
    assert keys(await drain(source.read(None))) == ["4"]
    assert "no index on sent" in told(await source.check())


@pytest.mark.parametrize("base", ["postgresql", "mariadb"], indirect=True)  # SQLite has one writer at a time
async def test_a_lower_id_that_is_committed_after_a_higher_one_is_not_lost(base: Base) -> None:
    create(base)
    source = outbox(base)
    late = base.engine.connect()
    late.execute(text(INSERT), {"id": 1, "about": "PC-1", "payload": "{}"})
    put(base, 2)
    first = await drain(source.read(None))
    assert keys(first) == ["2"]
    await source.ack(first[0])
    late.commit()
    late.close()
    assert keys(await drain(source.read(first[0].cursor))) == ["1"]


async def test_a_payload_that_is_no_json_is_refused_once(base: Base) -> None:
    create(base, payload="TEXT")
    base.run(INSERT, id=1, about="PC-1", payload="{broken")
    put(base, 2)
    source = outbox(base)
    (batch,) = await drain(source.read(None))
    assert isinstance(batch.records[0], Refused)
    assert batch.records[0].raw == b"{broken"
    assert "broken" not in batch.records[0].mend
    await source.ack(batch)
    assert not base.rows("SELECT id FROM outbox")


async def test_the_check_changes_nothing_and_names_what_is_missing(base: Base) -> None:
    base.run(
        "CREATE TABLE outbox (id INTEGER PRIMARY KEY, type VARCHAR(10), payload TEXT)",
        "INSERT INTO outbox VALUES (1, 'a', '{}')",
    )
    report = await outbox(base).check()
    assert "aggregatetype, aggregateid; there are id, type, payload" in told(report)
    assert "there is no table nowhere" in told(await outbox(base, table="nowhere").check())
    assert len(base.rows("SELECT id FROM outbox")) == 1
