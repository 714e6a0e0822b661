"""Rows that are no more: what was published is remembered in a file, and the keys of the table are gone through from time to time.

A row may be away for a moment only, while a nightly job fills the table anew. So a row counts as gone when several scans in a row have not
met it, and where too many are missing at once nothing is said until a person has looked.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from connectors.kit.contract import ConfigError, ConnectorConfig, Json, Unavailable
from connectors.kit.sqlitefile import SqliteFile

VANISHED = "vanished"
"""Field of the record that a row leaves: true; beside it `vanished_at`, the instant at which that was noticed."""
FEW = 10
"""So many rows may always be missing at once."""
PAGE = 1_000
_TABLES = """
CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY, kept TEXT NOT NULL, scan INTEGER NOT NULL, missed INTEGER NOT NULL, gone TEXT)
 WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS known_gone ON known (gone) WHERE gone IS NOT NULL;
CREATE TABLE IF NOT EXISTS scans (number INTEGER NOT NULL, at REAL NOT NULL);
INSERT INTO scans SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM scans);
"""
_SEEN = "UPDATE known SET scan = (SELECT number + 1 FROM scans), missed = 0 WHERE key = ? AND gone IS NULL"
_KEEP = (
    "INSERT INTO known VALUES (?, ?, (SELECT number FROM scans), 0, NULL)"
    " ON CONFLICT (key) DO UPDATE SET kept = excluded.kept, missed = 0, gone = NULL"
)
_MISSING = "gone IS NULL AND scan <= (SELECT number FROM scans)"


class Vanished(ConnectorConfig):
    """How rows that are no more are noticed."""

    ledger: Path
    """File that remembers the rows that were published. Keep it: without it, only what vanishes from then on is noticed."""
    keep: tuple[str, ...] = ()
    """Columns that the mapping needs of a row that is no more, besides its key: what the number of the case is made of, its last state."""
    every_h: float = Field(24.0, gt=0)
    """So often, in hours, all keys are gone through."""
    scans: int = Field(2, ge=1, le=100)
    """A row that so many of these, one after the other, have not met is no more."""
    most_percent: float = Field(10.0, gt=0, le=100)
    """Where more of the rows than this are missing at once (and more than 10), the table is being filled anew, or another one: nothing is
    said until they are back. Raise it for a purge that is meant."""


class Known:
    """The rows that were published. Each call is whole or nothing, and may come from any thread."""

    def __init__(self, config: Vanished) -> None:
        """Open or make the file. Raises `ConfigError`."""
        self._config = config
        path = config.ledger
        try:
            self._file = SqliteFile(path, _TABLES)
        except (OSError, sqlite3.Error) as error:
            mend = f"{path} cannot be used ({type(error).__name__}): name a file that can be written"
            raise ConfigError(mend, "vanished.ledger") from None

    def published(self, rows: Sequence[tuple[str, Mapping[str, Json]]]) -> None:
        """Remember rows, each with what is kept of it; those that are no more, and were told, are forgotten."""
        with self._file.writing() as db:
            gone = [(key,) for key, kept in rows if VANISHED in kept]
            db.executemany("DELETE FROM known WHERE key = ? AND gone IS NOT NULL", gone)
            db.executemany(_KEEP, [(key, _text(kept)) for key, kept in rows if VANISHED not in kept])

    def due(self) -> bool:
        """Whether it is time to go through the keys."""
        with self._file.reading() as db:
            at: float = db.execute("SELECT at FROM scans").fetchone()[0]
        return not 0 <= time.time() - at < self._config.every_h * 3_600

    def met(self, keys: Sequence[str]) -> None:
        """The scan under way has met these."""
        with self._file.writing() as db:
            db.executemany(_SEEN, [(key,) for key in keys])

    def ended(self) -> None:
        """The scan has met all that there is: what it has not met is missing. Raises `Unavailable` if that is too much."""
        with self._file.writing() as db:
            all_: int = db.execute("SELECT count(*) FROM known WHERE gone IS NULL").fetchone()[0]
            missing: int = db.execute(f"SELECT count(*) FROM known WHERE {_MISSING}").fetchone()[0]  # noqa: S608
            if missing > max(FEW, all_ * self._config.most_percent / 100):
                raise Unavailable(
                    f"{missing} of {all_} rows are missing at once: if they were deleted on purpose, raise `vanished.most_percent` "
                    "until that has been told"
                )
            now = datetime.now(UTC).isoformat(timespec="seconds")
            db.execute(f"UPDATE known SET missed = missed + 1 WHERE {_MISSING}")  # noqa: S608
            db.execute("UPDATE known SET gone = ? WHERE gone IS NULL AND missed >= ?", (now, self._config.scans))
            db.execute("UPDATE scans SET number = number + 1, at = ?", (time.time(),))

    def gone(self) -> Iterator[list[tuple[str, dict[str, Json]]]]:
        """Rows that are no more, and were not told yet: key, and what was kept with `vanished` and `vanished_at`."""
        last = ""
        while True:
            with self._file.reading() as db:
                ask = "SELECT key, kept, gone FROM known WHERE gone IS NOT NULL AND key > ? ORDER BY key LIMIT ?"
                rows = db.execute(ask, (last, PAGE)).fetchall()
            if not rows:
                return
            yield [(key, {**json.loads(kept), VANISHED: True, f"{VANISHED}_at": at}) for key, kept, at in rows]
            last = rows[-1][0]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _text(kept: Mapping[str, Json]) -> str:
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
