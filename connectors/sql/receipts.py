"""`sql-receipts`: what the body's software has taken over from the table that `sql-table` fills.

The software sets `taken_at`; each such row is read once, so that a mapping states `handoff.received`, and `told_at` is set.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import false

from connectors.kit.contract import Batch, Cursor, Record, Refused, Report
from connectors.kit.zones import Zoned
from connectors.sql import checks
from connectors.sql.queue import Queue
from connectors.sql.server import Server, ServerConfig
from connectors.sql.table import HANDOFF, shape
from connectors.sql.values import to_json


class ReceiptsConfig(Zoned, ServerConfig):
    """Where to read."""

    table: str = "relais_inbox"
    """The table of `sql-table`."""


class Receipts:
    """A source of receipts."""

    Config = ReceiptsConfig

    def __init__(self, config: ReceiptsConfig) -> None:
        self._config = config
        self._zone = config.zone
        self._server = Server(config)
        self._queue = Queue(
            server=self._server, table=config.table, id_="item_id", order=("position",), mark="told_at",
            ready=lambda found: found.c.taken_at.is_not(None) & (found.c.kind == HANDOFF) & (found.c.gone == false()),
        )  # fmt: skip

    async def check(self) -> Report:
        """Connect; columns, the right to mark."""
        return await checks.report(
            self._server, lambda c: self._queue.findings(c, list(shape(self._config.table).c.keys()))
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._server.close()

    def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """What was taken and is not told."""
        return self._queue.read(self._record)

    async def ack(self, batch: Batch) -> None:
        """Set `told_at`."""
        await self._queue.done(batch)

    def _record(self, row: dict[str, Any]) -> Record | Refused:
        try:
            content = json.loads(row["content"])
            if not isinstance(content, dict):
                raise ValueError
        except (ValueError, RecursionError):
            return Refused(row["content"].encode(), "leave the column content as relais wrote it", self._config.table)
        taken = to_json(row["taken_at"], self._zone)
        return Record(row["item_id"], {**content, "taken_at": taken}, version="1", place=self._config.table)
