"""What concerns a body, in a table of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text

from connectors.kit.contract import Item, Reject, Sent
from connectors.sql.receipts import Receipts
from connectors.sql.table import Table, ddl
from tests.connectors.sql.base import Base, drain, failed, keys, records, told


def table(base: Base, **settings: Any) -> Table:
    return base.hold(Table(Table.Config.model_validate(base.settings | settings)))


def item(id_: str, key: str = "h1", state: str = "sent", **more: Any) -> Item:
    return Item(id_, more.pop("kind", "handoff"), key, {"handoff": key, "state": state}, **more)


@pytest.fixture
async def made(base: Base) -> Base:
    """The table is made with the statement that the check prints."""
    said = failed(await table(base).check())
    assert "there is no table relais_inbox" in said.what
    statements = said.mend.partition("\n")[2].rstrip(";").split(";\n")
    base.run(*statements)
    return base


async def test_items_are_written_once_in_order(made: Base) -> None:
    sink = table(made)
    items = [item("a"), item("b", state="received"), item("s", "s1", kind="status"), item("b", state="received")]
    assert await sink.send(items) == [Sent()] * 4
    made.run("UPDATE relais_inbox SET taken_at = '2026-03-02 09:00:00' WHERE item_id = 'a'")
    assert await sink.send([*items, item("c", state="accepted")]) == [Sent()] * 5
    rows = made.rows("SELECT item_id, position, kind, content, taken_at FROM relais_inbox ORDER BY position")
    assert [(row.item_id, row.position) for row in rows] == [("a", 1), ("b", 2), ("s", 3), ("c", 4)]
    assert json.loads(rows[3].content) == {"handoff": "h1", "state": "accepted"}
    assert rows[0].taken_at is not None  # what the body wrote is left alone
    assert (await sink.check()).ok


async def test_what_is_no_more_is_emptied_where_it_stood(made: Base) -> None:
    sink = table(made)
    await sink.send([item("a"), item("b", "h2"), Item("c", "handoff", "h1", {}, gone=True)])
    rows = made.rows("SELECT item_id, gone, content FROM relais_inbox ORDER BY position")
    assert [(bool(row.gone), row.content) for row in rows] == [
        (True, "{}"),
        (False, '{"handoff": "h2", "state": "sent"}'),
        (True, "{}"),
    ]


async def test_a_written_row_is_a_receipt_where_that_is_set(made: Base) -> None:
    sink = table(made, receipt="written")
    items = [item("a"), item("s", "s1", kind="status"), item("g", gone=True)]
    assert await sink.send(items) == [Sent(receipt=True), Sent(), Sent()]


async def test_receipts_are_read_once_from_what_the_body_took(made: Base) -> None:
    await table(made).send([item("a"), item("b", "h2"), item("s", "s1", kind="status"), item("d", "h3")])
    made.run("UPDATE relais_inbox SET taken_at = '2026-03-02 09:00:00' WHERE item_id IN ('b', 's', 'd')")
    source = made.hold(Receipts(Receipts.Config.model_validate(made.settings)))
    batches = await drain(source.read(None))
    assert keys(batches) == ["b", "d"]
    content = records(batches)[0].content
    assert (content["handoff"], content["taken_at"][:19]) in (
        ("h2", "2026-03-02T09:00:00"), ("h2", "2026-03-02T10:00:00")  # PostgreSQL knows in what zone it was written
    )  # fmt: skip
    await source.ack(batches[0])
    assert not await drain(source.read(None))
    assert (await source.check()).ok


@pytest.mark.parametrize("base", ["postgresql", "mariadb"], indirect=True)  # SQLite knows no lengths
async def test_an_item_that_does_not_fit_does_not_hold_up_the_others(made: Base) -> None:
    outcomes = await table(made).send([item("a"), item("b" * 300), item("c")])
    assert [type(outcome) for outcome in outcomes] == [Sent, Reject, Sent]
    assert [row.item_id for row in made.rows("SELECT item_id FROM relais_inbox ORDER BY position")] == ["a", "c"]


async def test_a_table_of_another_shape_is_told(base: Base) -> None:
    base.run("CREATE TABLE relais_inbox (item_id VARCHAR(200) PRIMARY KEY, content TEXT)")
    report = told(await table(base).check())
    assert "there is no column position, kind" in report
    assert "CREATE TABLE relais_inbox" in report
    with base.engine.connect() as connection:
        assert "CREATE TABLE town.inbox" in ddl(connection, "town.inbox")
        connection.execute(text("SELECT 1"))
