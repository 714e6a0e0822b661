"""The database of the read model: SQLite by default, PostgreSQL by its address; transactions alike on both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite

_T = TypeVar("_T")
CHUNK = 500
"""Values in one statement."""
LOCK = 0x72656C6169732001
"""PostgreSQL advisory lock of those who write the read model."""


class Database:
    """Connections to the read model. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        """`url`: SQLAlchemy's form, `sqlite:///path` or `postgresql+psycopg://…`; it may hold a password: never logged."""
        self.engine: Engine = create_engine(url, hide_parameters=True)
        self.sqlite = self.engine.dialect.name == "sqlite"
        if self.sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        elif self.engine.dialect.name != "postgresql":
            raise ValueError("the read model is kept in sqlite or postgresql")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read in one snapshot."""
        with self.engine.connect() as plain:
            options = {} if self.sqlite else {"isolation_level": "REPEATABLE READ"}
            connection = plain.execution_options(**options)
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Write in one transaction, one writer at a time."""
        with self.engine.connect() as plain:
            connection = plain.execution_options(relais_write=True)
            with connection.begin():
                if not self.sqlite:
                    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
                yield connection

    def upsert(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, or put them in the place of those with the same primary key."""
        if not rows:
            return
        insert = (sqlite.insert if self.sqlite else postgresql.insert)(table)
        keys = [c.name for c in table.primary_key]
        others = {name: insert.excluded[name] for name in rows[0] if name not in keys}
        if others:
            statement = insert.on_conflict_do_update(index_elements=keys, set_=others)
        else:
            statement = insert.on_conflict_do_nothing(index_elements=keys)
        connection.execute(statement, [dict(row) for row in rows])

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def chunks(items: Iterable[_T]) -> Iterator[list[_T]]:
    """The items in lists that fit one statement."""
    listed = list(items)
    for start in range(0, len(listed), CHUNK):
        yield listed[start : start + CHUNK]


def sqlite_url(path: Path) -> str:
    """The address of a SQLite file."""
    return f"sqlite:///{path}"


def _prepare_sqlite(raw: Any, _record: object) -> None:
    raw.isolation_level = None  # transactions are begun below, not by the driver
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000", "secure_delete=ON"):
        raw.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("relais_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
