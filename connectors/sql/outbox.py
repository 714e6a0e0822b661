"""`sql-outbox`: a transactional outbox, in the shape of Debezium's as it is.

The body's software writes a row into the outbox in the same transaction as its own change. A row is read while it is there (or unmarked),
and deleted or marked after its fact is committed on the bus.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from pydantic import Field

from connectors.kit.contract import Batch, Cursor, Record, Refused, Report
from connectors.kit.zones import Zoned
from connectors.sql import checks
from connectors.sql.queue import Queue
from connectors.sql.server import Server, ServerConfig
from connectors.sql.values import UnreadableError, key_of, to_json

COLUMNS = ("aggregatetype", "aggregateid", "type", "payload")
"""Columns of Debezium's outbox, besides the id."""


class OutboxConfig(Zoned, ServerConfig):
    """Where the outbox is, and what becomes of its rows."""

    table: str = "outbox"
    """The outbox, `schema.table` or `table`; columns aggregatetype, aggregateid, type, payload, and any others."""
    id: str = "id"
    """Column that names a row, for ever."""
    order: tuple[str, ...] = ()
    """Columns by which rows are read (a number or a time that grows); without, by the id, which orders nothing if it is drawn at random."""
    mark: str | None = None
    """Column to set once a row is published: a time, a day, a truth value or a number, empty before. Without, the row is deleted."""
    batch_rows: int = Field(default=1_000, ge=1)
    """Rows read and published at once."""


class Outbox:
    """A source that empties an outbox."""

    Config = OutboxConfig

    def __init__(self, config: OutboxConfig) -> None:
        self._config = config
        self._zone = config.zone
        self._server = Server(config)
        self._queue = Queue(
            server=self._server, table=config.table, id_=config.id, order=config.order, mark=config.mark, batch_rows=config.batch_rows
        )  # fmt: skip

    async def check(self) -> Report:
        """Connect; columns, order, the right to mark or delete."""
        return await checks.report(self._server, lambda c: self._queue.findings(c, [self._config.id, *COLUMNS]))

    async def close(self) -> None:
        """Give the connections back."""
        await self._server.close()

    def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """What is in the outbox and not published."""
        return self._queue.read(self._record)

    async def ack(self, batch: Batch) -> None:
        """Delete or mark what is published."""
        await self._queue.done(batch)

    def _record(self, row: dict[str, Any]) -> Record | Refused:
        """A row by its column names; the payload as the JSON that it holds."""
        place = self._config.table
        row = {name.lower(): value for name, value in row.items()}
        key = key_of([row[self._config.id.lower()]], self._zone)
        payload = row["payload"]
        try:
            if isinstance(payload, (str, bytes, bytearray, memoryview)):
                row["payload"] = json.loads(
                    payload if isinstance(payload, str) else bytes(payload), parse_constant=_refuse
                )
            content = {name: to_json(value, self._zone) for name, value in row.items()}
        except (UnreadableError, ValueError, RecursionError):
            raw = payload.encode() if isinstance(payload, str) else bytes(payload)
            return Refused(raw, "write JSON in UTF-8 into the column payload", place)
        return Record(key or "", content, version="1", place=place)  # a row is written once


def _refuse(name: str) -> None:
    raise ValueError(name)
