"""What was dispatched: one entry for each (alert, episode), so that neither a restart nor a record written again doubles one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table, delete, select, update

from connectors.status.database import Database

LEDGER = MetaData()
dispatches = Table(
    "relais_dispatches",
    LEDGER,
    Column("alert", LargeBinary(16), primary_key=True),
    Column("raised_on", Integer, primary_key=True),  # names the episode
    Column("labels", String, nullable=False),
    Column("annotations", String, nullable=False),
    Column("resolved_at", BigInteger),  # ms since the epoch
)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One episode of one alert."""

    alert: bytes
    raised_on: int
    """First day, days since 1970-01-01."""
    labels: dict[str, str]
    """As first sent: they never change while it lasts."""
    annotations: dict[str, str]
    resolved_at: int | None = None
    """When it was found to be over, ms since the epoch."""

    @property
    def name(self) -> tuple[bytes, int]:
        """Identity of the episode."""
        return self.alert, self.raised_on


class Ledger:
    """The entries that are firing, or whose end is still to be told. Synchronous."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.write() as connection:
            LEDGER.create_all(connection)

    def turn(self, firing: Iterable[Dispatch], now: int, forget_before: int) -> list[Dispatch]:
        """Enter what began, end what is over (at `now`), forget what ended before an instant; all that is left."""
        wanted = {d.name: d for d in firing}
        c = dispatches.c
        with self._database.write() as connection:
            connection.execute(delete(dispatches).where(c.resolved_at < forget_before))
            known = {(row.alert, row.raised_on): row for row in connection.execute(select(dispatches))}
            for name, found in wanted.items():
                row = known.get(name)
                if row is None:
                    connection.execute(dispatches.insert().values(**_row(found)))
                elif row.resolved_at is not None:
                    here = (c.alert == name[0]) & (c.raised_on == name[1])
                    connection.execute(update(dispatches).where(here).values(resolved_at=None))
            for name, row in known.items():
                if name not in wanted and row.resolved_at is None:
                    here = (c.alert == name[0]) & (c.raised_on == name[1])
                    connection.execute(update(dispatches).where(here).values(resolved_at=now))
            rows = connection.execute(select(dispatches).order_by(c.raised_on, c.alert))
            return [
                Dispatch(r.alert, r.raised_on, json.loads(r.labels), json.loads(r.annotations), r.resolved_at)
                for r in rows
            ]


def _row(found: Dispatch) -> dict[str, Any]:
    return {
        "alert": found.alert,
        "raised_on": found.raised_on,
        "labels": json.dumps(found.labels, sort_keys=True),
        "annotations": json.dumps(found.annotations, sort_keys=True, ensure_ascii=False),
        "resolved_at": None,
    }
