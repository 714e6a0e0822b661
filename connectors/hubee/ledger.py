"""Which folder a handoff became: HubEE cannot be asked by our number, so the sink remembers it, in a file of SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from connectors.kit.contract import ConfigError
from connectors.kit.sqlitefile import SqliteFile

_TABLES = (
    "CREATE TABLE IF NOT EXISTS folders"
    " (key TEXT PRIMARY KEY, folder TEXT NOT NULL, case_id TEXT NOT NULL, complete INTEGER NOT NULL)"
)


class Entry(NamedTuple):
    """A folder."""

    folder: str
    """HubEE's id of the folder."""
    case: str
    """HubEE's id of its only case."""
    complete: bool
    """Whether it was completed, so that its recipient sees it."""


class Ledger:
    """The folders by key of the handoff. Synchronous; each change is on disk when the call returns."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises `ConfigError`."""
        try:
            self._file = SqliteFile(path, _TABLES)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"{path} cannot be used ({type(error).__name__}): name a file that can be written", "ledger"
            ) from None

    def get(self, key: str) -> Entry | None:
        """The folder of a handoff."""
        with self._file.reading() as db:
            row = db.execute("SELECT folder, case_id, complete FROM folders WHERE key = ?", (key,)).fetchone()
        return None if row is None else Entry(row[0], row[1], bool(row[2]))

    def put(self, key: str, entry: Entry) -> None:
        """Remember the folder of a handoff."""
        with self._file.writing() as db:
            db.execute("INSERT OR REPLACE INTO folders VALUES (?, ?, ?, ?)", (key, *entry))

    def forget(self, key: str) -> None:
        """Forget the folder of a handoff."""
        with self._file.writing() as db:
            db.execute("DELETE FROM folders WHERE key = ?", (key,))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
