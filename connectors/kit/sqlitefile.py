"""A small SQLite file in which a connector keeps what Kafka and the body's software do not know."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SqliteFile:
    """The file. What is written is whole or nothing, and on the disk when the call returns; any thread may call."""

    def __init__(self, path: Path, tables: str) -> None:
        """Open or make it, readable by its owner alone. `tables`: statements that make what is missing.

        Raises:
            OSError, sqlite3.Error: it cannot be used; the caller knows which field names it.
        """
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(tables)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """To ask something, while nobody else uses the file in this process."""
        with self._lock:
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, undone if its block raises."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._connection.close()
