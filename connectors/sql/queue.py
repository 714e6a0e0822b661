"""Rows of a table as a queue: what is not yet marked is read, what was published is marked or deleted.

There is no cursor at all: a row whose transaction commits late is simply still unmarked when its turn comes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Integer,
    Table,
    delete,
    false,
    or_,
    true,
    update,
)

from connectors.kit.contract import Batch, ConfigError, Finding, Record, Refused
from connectors.sql import reading
from connectors.sql.server import Server
from connectors.sql.written import WrittenTime

CHUNK = 500
"""Rows marked by one statement."""


@dataclass(frozen=True, slots=True)
class QueueBatch(Batch):
    """A batch that knows which rows it is made of, those that cannot be read too."""

    ids: Sequence[Any] = ()


class Queue:
    """A table as a queue."""

    def __init__(
        self,
        server: Server,
        table: str,
        id_: str,
        order: Sequence[str],
        mark: str | None,
        ready: Callable[[Table], ColumnElement[bool]] = lambda _: true(),
        batch_rows: int = 1_000,
    ) -> None:
        """How it is one.

        Args:
            server: where the table is.
            table: its name.
            id_: column that names a row.
            order: columns that say the order; the id comes last of itself.
            mark: column set when a row is done; None: the row is deleted.
            ready: which rows are ready, besides being unmarked.
            batch_rows: rows of one batch.
        """
        self._server, self._name, self._id, self._order_names, self._mark = server, table, id_, order, mark
        self._ready, self._batch_rows = ready, batch_rows
        self._found: Table | None = None

    async def read(self, make: Callable[[dict[str, Any]], Record | Refused]) -> AsyncIterator[Batch]:
        """All rows that wait now, each made a record from its values by column name."""
        after: list[Any] | None = None
        while True:
            names, rows = await self._server.run(partial(self._page, after=after))
            if rows:
                width = len(rows[0]) - len(names)
                records = [make(dict(zip(names, row[width:], strict=True))) for row in rows]
                yield QueueBatch(records, None, [row[width - 1] for row in rows])
            if len(rows) < self._batch_rows:
                return
            after = list(rows[-1][:width])

    async def done(self, batch: Batch) -> None:
        """Mark or delete the rows of a batch; again does no harm."""
        ids = batch.ids if isinstance(batch, QueueBatch) else ()
        await self._server.run(lambda connection: self._settle(connection, ids))

    def findings(self, connection: Connection, needed: Sequence[str]) -> Iterator[Finding]:
        """Columns, order, rights."""
        found = self._table(connection)
        reading.columns(found, needed, "table")
        self._order(found)
        yield Finding(True, f"columns: {', '.join(found.c.keys())}")
        waiting = self._waiting(found)
        reading.page(connection, (), self._order(found), waiting, None, 1)
        connection.execute(self._settling(found).where(false()))  # changes nothing, but needs the right to
        yield Finding(True, f"rows can be read and {'marked' if self._mark else 'deleted'}")
        if not self._order_names and not isinstance(found.c[self._id].type, Integer):
            mend = "name a column that grows in `order` (a number, a time), so that rows of one aggregate come in order"
            yield Finding(True, f"{self._id} says no order", advice=mend)
        if self._mark and not reading.indexed(connection, found, [self._mark]):
            yield Finding(
                True,
                f"no index on {self._mark}",
                advice=f"an index on ({self._mark}) keeps polls quick as the table grows",
            )

    def _page(self, connection: Connection, after: Sequence[Any] | None) -> tuple[list[str], list[reading.Row]]:
        found = self._table(connection)
        order = self._order(found)
        rows = reading.page(connection, list(found.c), order, self._waiting(found), after, self._batch_rows)
        return list(found.c.keys()), rows

    def _table(self, connection: Connection) -> Table:
        if self._found is None:
            self._found = reading.table(connection, self._name)
        return self._found

    def _order(self, found: Table) -> list[ColumnElement[Any]]:
        return [*reading.columns(found, self._order_names, "order"), *reading.columns(found, [self._id], "id")]

    def _waiting(self, found: Table) -> ColumnElement[bool]:
        if self._mark is None:
            return self._ready(found)
        (mark,) = reading.columns(found, [self._mark], "mark")
        unset = or_(mark.is_(None), mark == false()) if isinstance(mark.type, Boolean) else mark.is_(None)
        return self._ready(found) & (or_(unset, mark == 0) if isinstance(mark.type, Integer) else unset)

    def _settling(self, found: Table) -> Any:
        if self._mark is None:
            return delete(found)
        (mark,) = reading.columns(found, [self._mark], "mark")
        return update(found).values({mark: _set(mark)})

    def _settle(self, connection: Connection, ids: Sequence[Any]) -> None:
        found = self._table(connection)
        (name,) = reading.columns(found, [self._id], "id")
        statement = self._settling(found)
        for start in range(0, len(ids), CHUNK):
            connection.execute(statement.where(name.in_(ids[start : start + CHUNK]), self._waiting(found)))


def _set(mark: ColumnElement[Any]) -> Any:
    """What a mark is set to, by its type."""
    now = datetime.now(UTC)
    if isinstance(mark.type, Boolean):
        return True
    if isinstance(mark.type, Integer):
        return 1
    if isinstance(mark.type, DateTime | WrittenTime):
        return now if getattr(mark.type, "timezone", False) else now.replace(tzinfo=None)
    if isinstance(mark.type, Date):
        return now.date()
    raise ConfigError("give a column of a time, a day, a truth value or a whole number", "mark")
