"""Events that the gateway does not have yet, in a file of SQLite: they survive the program and the machine's restart."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from connectors.publisher.problems import Flaw, Refused

TABLE = """CREATE TABLE IF NOT EXISTS spool (n INTEGER PRIMARY KEY, source TEXT NOT NULL, subject TEXT NOT NULL, id TEXT NOT NULL,
 event TEXT NOT NULL, flaws TEXT, UNIQUE (source, subject, id))"""

_HEAD = """SELECT n, event FROM spool s WHERE flaws IS NULL AND (:free OR NOT EXISTS (SELECT 1 FROM spool r
 WHERE r.source = s.source AND r.subject = s.subject AND r.n < s.n AND r.flaws IS NOT NULL)) ORDER BY n LIMIT :limit"""


class AlreadySaidError(ValueError):
    """An event with the same source, subject and id waits in the spool and says something else."""


class Spool:
    """The file. Safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it; readable by its owner alone."""
        self._path = path
        path.touch(mode=0o600)
        with self._open() as base:
            base.execute("PRAGMA journal_mode = WAL")
            base.execute(TABLE)

    def add(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Keep events, all or none; they are on the disk when this returns. One that was refused takes the corrected form."""
        with self._writing() as base:
            for event in events:
                named = (event["source"], event["subject"], event["id"])
                text = json.dumps(event, ensure_ascii=False)
                where = "source = ? AND subject = ? AND id = ?"
                known = base.execute(f"SELECT event, flaws FROM spool WHERE {where}", named).fetchone()  # noqa: S608
                if known and known[1] is None and known[0] != text:
                    raise AlreadySaidError(f"{event['id']} of {event['subject']} waits already and says something else")
                if known and known[1] is not None:  # in its old place
                    base.execute(f"UPDATE spool SET event = ?, flaws = NULL WHERE {where}", (text, *named))  # noqa: S608
                base.execute(
                    "INSERT OR IGNORE INTO spool (source, subject, id, event) VALUES (?, ?, ?, ?)", (*named, text)
                )

    def head(self, limit: int, *, in_order: bool = False) -> list[tuple[int, str]]:
        """The oldest events that wait: number and JSON. `in_order`: none behind one of its subject that was refused."""
        with self._open() as base:
            return list(base.execute(_HEAD, {"free": not in_order, "limit": limit}))

    def done(self, numbers: Sequence[int]) -> None:
        """The gateway has these."""
        with self._writing() as base:
            base.executemany("DELETE FROM spool WHERE n = ?", [(n,) for n in numbers])

    def refuse(self, number: int, flaws: Sequence[Flaw]) -> None:
        """The gateway will not take this one as it is."""
        with self._writing() as base:
            text = json.dumps([asdict(flaw) for flaw in flaws], ensure_ascii=False)
            base.execute("UPDATE spool SET flaws = ? WHERE n = ?", (text, number))

    def refused(self) -> list[Refused]:
        """Those that were not taken, until they are published again in another form or forgotten."""
        with self._open() as base:
            rows = base.execute("SELECT event, flaws FROM spool WHERE flaws IS NOT NULL ORDER BY n").fetchall()
        return [Refused(json.loads(event), [Flaw(**one) for one in json.loads(flaws)]) for event, flaws in rows]

    def forget(self, source: str, subject: str, id_: str) -> None:
        """Drop one that was refused."""
        with self._writing() as base:
            named = (source, subject, id_)
            base.execute("DELETE FROM spool WHERE source = ? AND subject = ? AND id = ? AND flaws IS NOT NULL", named)

    def waiting(self) -> int:
        """How many wait to be sent."""
        with self._open() as base:
            found: int = base.execute("SELECT count(*) FROM spool WHERE flaws IS NULL").fetchone()[0]
            return found

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as base:
            base.execute("PRAGMA synchronous = FULL")
            yield base

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
            except BaseException:
                base.execute("ROLLBACK")
                raise
            base.execute("COMMIT")
