"""What came in and was not yet published: a small SQLite queue that survives any end of the process."""

from __future__ import annotations

import sqlite3
import time
from enum import Enum, auto
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from connectors.kit.contract import Unavailable
from connectors.kit.sqlitefile import SqliteFile

_TABLES = """
CREATE TABLE IF NOT EXISTS waiting (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, form INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, digest BLOB NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_at ON seen (at);
"""


# Rows leave in the order in which they came, so the numbers tell how many there are, without counting.
_LENGTH = "SELECT coalesce((SELECT max(number) FROM waiting) - (SELECT min(number) FROM waiting) + 1, 0)"
_MOST_ROWS = 500
_MOST_BYTES = 8 * 2**20


class Put(Enum):
    """What became of a delivery."""

    KEPT = auto()
    KNOWN = auto()
    """It had come before."""
    OTHER = auto()
    """Something else had come under its id."""
    FULL = auto()
    """Too much waits."""


class Waiting(NamedTuple):
    """A delivery that waits."""

    number: int
    id: str
    form: bool
    """Whether the body is a form, not JSON."""
    body: bytes


class Queue:
    """The queue. Every method is whole or nothing, and may be called from any thread."""

    def __init__(self, path: Path, most: int, remember_s: float) -> None:
        """`most`: so many may wait. `remember_s`: so long an id is known again. Raises `Unavailable` if the file cannot be used."""
        self._most = most
        self._remember_s = remember_s
        try:
            self._file = SqliteFile(path, _TABLES)
        except (OSError, sqlite3.Error) as error:
            raise Unavailable(f"queue: {path} cannot be used ({error}): name a file that we may write") from None

    def put(self, id_: str, body: bytes, *, form: bool) -> Put:
        """Keep a delivery: when this returns, it is on the disk."""
        digest, now = sha256(body).digest(), time.time()
        with self._file.writing() as db:
            db.execute("DELETE FROM seen WHERE at < ?", (now - self._remember_s,))
            known = db.execute("SELECT digest FROM seen WHERE id = ?", (id_,)).fetchone()
            if known is not None:
                return Put.KNOWN if known[0] == digest else Put.OTHER
            if db.execute(_LENGTH).fetchone()[0] >= self._most:
                return Put.FULL
            db.execute("INSERT INTO seen VALUES (?, ?, ?)", (id_, digest, now))
            db.execute("INSERT INTO waiting (id, form, body) VALUES (?, ?, ?)", (id_, form, body))
        return Put.KEPT

    def after(self, number: int) -> list[Waiting]:
        """What waits behind this number, in order; a part of it, if it is much."""
        found: list[Waiting] = []
        size = 0
        with self._file.reading() as db:
            for row in db.execute(
                "SELECT number, id, form, body FROM waiting WHERE number > ? ORDER BY number LIMIT ?",
                (number, _MOST_ROWS),
            ):
                found.append(Waiting(row[0], row[1], bool(row[2]), row[3]))
                size += len(row[3])
                if size >= _MOST_BYTES:
                    break
        return found

    def drop(self, number: int) -> None:
        """Forget what was published, up to this number."""
        with self._file.writing() as db:
            db.execute("DELETE FROM waiting WHERE number <= ?", (number,))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
