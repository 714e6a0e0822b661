"""Documents of open handoffs that could not be fetched when that was last tried, kept beside the read model for the pages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from connectors.status.database import Database
from connectors.status.tables import STATE, dead_documents

_EPOCH = date(1970, 1, 1).toordinal()


class DeadDocument(NamedTuple):
    """A document that its addressee cannot fetch."""

    handoff: str
    sha256: str
    sender: str
    fault: str
    """Why, as `connectors.documents.links.Fault` has it."""


def keep(database: Database, found: Iterable[DeadDocument], today: date) -> None:
    """Put what a check found in the place of what the last one did; what was dead then keeps the day since when it is."""
    t = dead_documents
    with database.write() as connection:
        STATE.create_all(connection)
        known = {(row.handoff, row.sha256): row.since for row in connection.execute(select(t))}
        connection.execute(delete(t))
        rows = {(one.handoff, one.sha256): one for one in found}
        day = today.toordinal() - _EPOCH
        if rows:
            told = [one._asdict() | {"since": known.get(place, day)} for place, one in rows.items()]
            connection.execute(t.insert(), told)


def dead(
    connection: Connection, *, handoff: str | None = None, sender: str | None = None
) -> list[tuple[DeadDocument, int]]:
    """Those of a handoff, or of a sender, each with the day since when it is known."""
    t = dead_documents
    where = [column == value for column, value in ((t.c.handoff, handoff), (t.c.sender, sender)) if value is not None]
    rows = connection.execute(select(t).where(*where).order_by(t.c.since, t.c.handoff, t.c.sha256))
    return [(DeadDocument(row.handoff, row.sha256, row.sender, row.fault), row.since) for row in rows]
