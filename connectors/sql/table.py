"""`sql-table`: what concerns the body into a table of its own database, one row for each state of a handoff or a status.

The table is made by the body's administrator with the statement that `check` prints. A row is written once, whatever is sent again, and
`position` grows in the order of writing: the rows of one handoff come in the order in which it went through its states.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Index,
    MetaData,
    String,
    Text,
    false,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from connectors.kit.contract import ConfigError, Finding, Item, Outcome, Reject, Report, Sent
from connectors.sql import checks, reading
from connectors.sql.errors import ValueRefused
from connectors.sql.server import Server, ServerConfig

CHUNK = 500
HANDOFF = "handoff"


class Receipt(StrEnum):
    """When a handoff counts as received by the body."""

    WRITTEN = "written"
    TAKEN = "taken"


class TableConfig(ServerConfig):
    """Where to write."""

    table: str = "relais_inbox"
    """Table to write to, `schema.table` or `table`."""
    receipt: Receipt = Receipt.TAKEN
    """`written`: a row in the table counts as `handoff.received`, because somebody looks at it. `taken`: the body's software sets
    `taken_at`, and the source `sql-receipts` over the same table states the receipt."""


def shape(name: str) -> SqlTable:
    """The table."""
    schema, _, plain = name.rpartition(".")
    long_text = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
    precise = DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    return SqlTable(
        plain,
        MetaData(schema=schema or None),
        Column("item_id", String(200), primary_key=True, comment="names this state of this handoff or status"),
        Column("position", BigInteger, nullable=False, unique=True, autoincrement=False, comment="grows in the order of writing"),
        Column("kind", String(20), nullable=False, comment="handoff or status"),
        Column("item_key", String(200), nullable=False, comment="the same for all states of one handoff or status"),
        Column("gone", Boolean(create_constraint=False), nullable=False, comment="it is no more: withdrawn or purged"),
        Column("content", long_text, nullable=False, comment="JSON; emptied once it is no more"),
        Column("written_at", precise, nullable=False, comment="UTC"),
        Column("taken_at", precise, comment="set by the body's software when it took it over"),
        Column("told_at", precise, comment="set by relais when the receipt was published"),
        Index(f"{plain}_key", "item_key"),
    )  # fmt: skip


def ddl(connection: Connection, name: str) -> str:
    """The statements that make the table in this kind of database."""
    made = shape(name)
    parts: list[ExecutableDDLElement] = [
        CreateTable(made),
        *map(CreateIndex, sorted(made.indexes, key=lambda index: str(index.name))),
    ]
    return ";\n".join(str(part.compile(dialect=connection.dialect)).strip() for part in parts) + ";"


class Table:
    """A sink that writes into a table."""

    Config = TableConfig

    def __init__(self, config: TableConfig) -> None:
        self._config = config
        self._shape = shape(config.table)
        self._server = Server(config)

    async def check(self) -> Report:
        """Connect; whether the table is there, with its columns and the right to write. If not, the statement that makes it."""
        return await checks.report(self._server, self._findings)

    async def close(self) -> None:
        """Give the connections back."""
        await self._server.close()

    async def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Write them in one transaction; one by one where a value does not fit, to find out which."""
        try:
            await self._server.run(lambda connection: self._write(connection, items))
        except ValueRefused:
            return [await self._send_one(item) for item in items]
        return [self._sent(item) for item in items]

    async def _send_one(self, item: Item) -> Outcome:
        try:
            await self._server.run(lambda connection: self._write(connection, [item]))
        except ValueRefused as error:
            return Reject(error.mend)
        return self._sent(item)

    def _sent(self, item: Item) -> Sent:
        written = self._config.receipt is Receipt.WRITTEN
        return Sent(receipt=written and item.kind == HANDOFF and not item.gone)

    def _write(self, connection: Connection, items: Sequence[Item]) -> None:
        table = self._shape
        known: set[str] = set()
        for start in range(0, len(items), CHUNK):
            ids = [item.id for item in items[start : start + CHUNK]]
            known |= set(connection.execute(select(table.c.item_id).where(table.c.item_id.in_(ids))).scalars())
        position = connection.execute(select(func.coalesce(func.max(table.c.position), 0))).scalar_one()
        fresh = {item.id: item for item in items if item.id not in known}
        rows, gone = [], []
        for position, item in enumerate(fresh.values(), position + 1):  # noqa: B020 - it goes on from there
            rows.append(_row(item, position))
            if item.gone:
                gone.append((item.key, position))
        if rows:
            connection.execute(insert(table), rows)
        for key, until in gone:
            what = {table.c.content: "{}", table.c.gone: True}
            connection.execute(update(table).where(table.c.item_key == key, table.c.position <= until).values(what))

    def _findings(self, connection: Connection) -> Iterator[Finding]:
        try:
            found = reading.table(connection, self._config.table)
        except NoSuchTableError:
            made = ddl(connection, self._config.table)
            yield Finding(False, f"there is no table {self._config.table}", f"have it made:\n{made}")
            return
        try:
            reading.columns(found, self._shape.c.keys(), "table")
        except ConfigError as error:
            yield Finding(False, error.mend, f"have them added, as in:\n{ddl(connection, self._config.table)}")
            return
        nothing = select(*self._shape.c).where(false())  # changes nothing, but needs the right to
        connection.execute(insert(self._shape).from_select(list(self._shape.c), nothing))
        connection.execute(update(self._shape).values({self._shape.c.content: "{}"}).where(false()))
        yield Finding(True, f"{self._config.table} is there and may be written")


def _row(item: Item, position: int) -> dict[str, object]:
    content = dict(item.content)
    if item.documents:
        content.setdefault("documents", [dict(one) for one in item.documents])
    return {
        "item_id": item.id,
        "position": position,
        "kind": item.kind,
        "item_key": item.key,
        "gone": item.gone,
        "content": json.dumps(content, ensure_ascii=False),
        "written_at": datetime.now(UTC),
    }
