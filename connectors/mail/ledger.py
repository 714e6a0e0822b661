"""Which handoffs were told by mail, so that neither a restart nor a read model built again tells one twice."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table, delete, select

from connectors.status.database import Database, chunks

LEDGER = MetaData()
mails = Table(
    "relais_mails",
    LEDGER,
    Column("handoff", LargeBinary(16), primary_key=True),  # key of its reference
    Column("fate", String(20), nullable=False),
    Column("at", BigInteger, nullable=False, index=True),  # ms since the epoch
)


class Fate(StrEnum):
    """What became of a message."""

    SENT = "sent"
    """A server has taken it."""
    REFUSED = "refused"
    """A server refused it for good: the address of the contact is to be mended."""


class Ledger:
    """The messages of which something is known. Synchronous."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.write() as connection:
            LEDGER.create_all(connection)

    def new(self, keys: Collection[bytes]) -> set[bytes]:
        """Those of these handoffs of which nothing is entered."""
        known: set[bytes] = set()
        with self._database.read() as connection:
            for some in chunks(keys):
                known.update(connection.scalars(select(mails.c.handoff).where(mails.c.handoff.in_(some))))
        return set(keys) - known

    def enter(self, key: bytes, fate: Fate, now: int) -> None:
        """Enter what became of a message at `now`, ms since the epoch."""
        with self._database.write() as connection:
            self._database.upsert(connection, mails, [{"handoff": key, "fate": fate.value, "at": now}])

    def forget(self, before: int, waiting: Collection[bytes]) -> None:
        """Forget what was entered before an instant, but not what still waits to be taken."""
        with self._database.write() as connection:
            old = set(connection.scalars(select(mails.c.handoff).where(mails.c.at < before)))
            for some in chunks(old.difference(waiting)):
                connection.execute(delete(mails).where(mails.c.handoff.in_(some)))
