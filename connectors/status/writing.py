"""What records of the bus change in the read model: positions and effects of a batch in one SQL transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, select, update

from connectors.status.database import Database, chunks
from connectors.status.resolution import Resolution
from connectors.status.tables import STATE, WITHDRAWN, Tables, generations
from connectors.status.tables import tables as tables_of
from schemas.codec import Codec, DecodeError, bus
from schemas.references import KEY_SIZE, Keys
from streams.engine.handed import first_due, first_running
from streams.engine.handoffs import ENDS
from streams.engine.messages import split_keys
from streams.engine.root import CLAIM, FACT
from streams.runtime.processor import Record

TOPICS = ("statuses", "handoffs", "alerts", "dead-letters", "journeys")
"""Topics that the read model is made of."""
RETENTION_MS = 90 * 86_400_000
"""Dead letters are kept as long as their topic keeps them."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition."""

    topic: str
    """Name within the instance, one of `TOPICS`."""
    partition: int
    base: int
    """Position that the reader believes to be the stored one."""
    next: int
    """Position after these records."""
    records: list[Record]


class MovedError(Exception):
    """Somebody else has written this generation in the meantime, or dropped it: read the positions again."""


class Writer:
    """Writes generations of the read model. Synchronous; one call at a time."""

    def __init__(self, database: Database, keys: Keys, events: Codec) -> None:
        self._database = database
        self._keys = keys
        self._events = events
        self._bus = bus()
        self.unreadable = 0
        """Facts that this version cannot read."""

    # -- generations
    def begin(self, fresh: bool = False) -> Tables:
        """The generation to go on with: the newest, or a new one (the first one serves at once)."""
        with self._database.write() as connection:
            STATE.create_all(connection)
            known = list(connection.execute(select(generations).order_by(generations.c.number)))
            if known and not fresh:
                return tables_of(known[-1].number)
            tables = tables_of(known[-1].number + 1 if known else 1)
            tables.meta.create_all(connection)
            values = {"number": tables.number, "serving": not known, "seq": 0, "updated": _now()}
            connection.execute(generations.insert().values(**values))
            return tables

    def serves(self, tables: Tables) -> bool:
        """Whether this generation is the one that is read."""
        with self._database.read() as connection:
            mine = generations.c.number == tables.number
            return bool(connection.scalar(select(generations.c.serving).where(mine)))

    def serve(self, tables: Tables) -> None:
        """Let a generation serve in the place of the others. Feeds begin anew, by their cursor."""
        with self._database.write() as connection:
            connection.execute(update(generations).values(serving=generations.c.number == tables.number))

    def drop_others(self, tables: Tables) -> None:
        """Drop all older generations: to be called once nobody reads them any more, some time after `serve`."""
        with self._database.write() as connection:
            for old in list(connection.execute(select(generations))):
                if old.number < tables.number:
                    tables_of(old.number).meta.drop_all(connection)
                    connection.execute(delete(generations).where(generations.c.number == old.number))

    def positions(self, tables: Tables) -> tuple[dict[tuple[str, int], int], int]:
        """Stored positions, and when the generation was last written (ms since the epoch)."""
        with self._database.read() as connection:
            found = connection.execute(select(tables.positions))
            at = connection.scalar(select(generations.c.updated).where(generations.c.number == tables.number))
            return {(row.topic, row.part): row.next for row in found}, at or 0

    # -- records
    def apply(self, tables: Tables, batches: list[Batch]) -> None:
        """Apply batches and move the positions, all or nothing. Raises `MovedError` if they do not fit."""
        with self._database.write() as connection:
            self._check(connection, tables, batches)
            mine = generations.c.number == tables.number
            seq = (connection.scalar(select(generations.c.seq).where(mine)) or 0) + 1
            for name, take in (
                ("journeys", self._take_journeys),
                ("statuses", self._take_statuses),
                ("handoffs", self._take_handoffs),
                ("alerts", self._take_alerts),
            ):
                records = [r for b in batches if b.topic == name for r in b.records if r.key is not None]
                if records:
                    take(connection, tables, records, seq)
            for batch in batches:
                if batch.topic == "dead-letters" and batch.records:
                    self._take_letters(connection, tables, batch)
            rows = [{"topic": b.topic, "part": b.partition, "next": b.next} for b in batches]
            self._database.upsert(connection, tables.positions, rows)
            connection.execute(update(generations).where(mine).values(seq=seq, updated=_now()))

    def _check(self, connection: Connection, tables: Tables, batches: list[Batch]) -> None:
        known = connection.scalar(select(generations.c.number).where(generations.c.number == tables.number))
        if known is None:
            raise MovedError
        stored = {(r.topic, r.part): r.next for r in connection.execute(select(tables.positions))}
        if any(stored.get((b.topic, b.partition), 0) != b.base for b in batches):
            raise MovedError

    def _take_statuses(self, connection: Connection, tables: Tables, records: list[Record], _seq: int) -> None:
        values = [self._bus.decode(r.value)[1] if r.value is not None else None for r in records]
        rows = {r.key or b"" for r in records}
        slice_ = _Slice(connection, tables)
        named = {ref for datum in values if datum for ref in split_keys(datum["references"])}
        slice_.load(rows, {r.key or b"" for r in records if r.value is None}, named, self._bus)
        last: dict[bytes, tuple[bytes, int, dict[str, Any]]] = {}
        for record, datum in zip(records, values, strict=True):
            key = record.key or b""
            if datum is None:
                reason = dict(record.headers).get("reason", b"").decode()
                slice_.resolution.end(key, reason)
            else:
                slice_.resolution.put(key, split_keys(datum["references"]))
                last[key] = (record.value or b"", record.timestamp, datum)
        slice_.save(self._database, rows, last)
        self._save_cases(connection, tables, rows, slice_.resolution, last)

    def _save_cases(
        self,
        connection: Connection,
        tables: Tables,
        rows: Iterable[bytes],
        resolution: Resolution,
        last: dict[bytes, tuple[bytes, int, dict[str, Any]]],
    ) -> None:
        for keys in chunks(rows):
            connection.execute(delete(tables.cases).where(tables.cases.c.row.in_(keys)))
        self._database.upsert(
            connection,
            tables.cases,
            [
                {
                    "key": self._keys.of(case["case"]), "row": key, "case": case["case"], "body": case["body"],
                    "procedure": case["procedure"], "state": case["state"], "since": case["since"],
                    "due_on": first_due(datum, case),
                }
                for key, (_, _, datum) in last.items()
                if key in resolution.lists
                for case in datum["cases"]
            ],
        )  # fmt: skip

    def _take_handoffs(self, connection: Connection, tables: Tables, records: list[Record], seq: int) -> None:
        ends: dict[bytes, str] = {}
        rows: dict[bytes, dict[str, Any]] = {}
        for record in records:
            key = record.key or b""
            rows.pop(key, None)
            ends.pop(key, None)
            if record.value is None:
                ends[key] = dict(record.headers).get("reason", b"").decode()
                continue
            datum = self._bus.decode(record.value)[1]
            due = first_running(datum["limits"])
            rows[key] = {
                "key": key, "value": record.value, "from_body": datum["from_body"], "to_body": datum["to"],
                "procedure": datum["procedure"], "state": datum["state"], "sent_on": datum["sent_on"],
                "due_on": None if datum["state"] in ENDS else datum["due_on"] if due is None else due, "seq": seq,
            }  # fmt: skip
        table = tables.handoffs
        for keys in chunks(k for k, reason in ends.items() if reason == "purged"):
            connection.execute(delete(table).where(table.c.key.in_(keys)))
        for keys in chunks(k for k, reason in ends.items() if reason != "purged"):
            gone = update(table).where(table.c.key.in_(keys))
            connection.execute(gone.values(state=WITHDRAWN, due_on=None, seq=seq))
        self._database.upsert(connection, table, list(rows.values()))

    def _take_alerts(self, connection: Connection, tables: Tables, records: list[Record], seq: int) -> None:
        last = {r.key or b"": r for r in records}
        for keys in chunks(k for k, r in last.items() if r.value is None):
            connection.execute(delete(tables.alerts).where(tables.alerts.c.key.in_(keys)))
        rows = []
        for key, record in last.items():
            if record.value is None:
                continue
            datum = self._bus.decode(record.value)[1]
            episode = datum["episodes"][-1]
            rows.append({
                "key": key, "value": record.value, "case_key": self._keys.of(datum["case"]), "body": datum["body"],
                "other": datum["other"], "procedure": datum["procedure"], "reason": datum["reason"],
                "severity": datum["severity"], "open": episode["resolved_on"] is None,
                "raised_on": episode["raised_on"], "seq": seq,
            })  # fmt: skip
        self._database.upsert(connection, tables.alerts, rows)

    def _take_journeys(self, connection: Connection, tables: Tables, records: list[Record], _seq: int) -> None:
        last = {r.key or b"": r for r in records}
        facts: list[dict[str, Any]] = []
        claims: list[dict[str, Any]] = []
        for key, record in last.items():
            kind, root, own = key[:1], key[1 : 1 + KEY_SIZE], key[1 + KEY_SIZE :]
            if kind == FACT:
                if record.value is None:
                    mine = and_(tables.facts.c.root == root, tables.facts.c.fact == own)
                    connection.execute(delete(tables.facts).where(mine))
                elif (subject := self._subject(record.value)) is not None:
                    row = {"root": root, "fact": own, "case_key": self._keys.of(subject), "value": record.value}
                    facts.append(row)
            elif kind == CLAIM and record.value is None:
                mine = and_(tables.claims.c.root == root, tables.claims.c.claim == own)
                connection.execute(delete(tables.claims).where(mine))
            elif kind == CLAIM and record.value is not None:
                held = self._bus.decode(record.value)[1]
                claims.append({
                    "root": root, "claim": own, "ref": held["ref"], "case_key": held["case"], "body": held["body"],
                    "issuer": held["issuer"], "procedure": held["procedure"], "claimed_on": held["on"],
                })  # fmt: skip
        self._database.upsert(connection, tables.facts, facts)
        self._database.upsert(connection, tables.claims, claims)

    def _subject(self, value: bytes) -> str | None:
        try:
            subject: str = self._events.decode(self._bus.decode(value)[1]["value"])[1]["header"]["subject"]
        except DecodeError:
            self.unreadable += 1
            return None
        return subject

    def _take_letters(self, connection: Connection, tables: Tables, batch: Batch) -> None:
        rows = []
        for record in batch.records:
            datum = self._bus.decode(record.value or b"")[1]
            rows.append({
                "part": batch.partition, "place": record.offset, "value": record.value, "reason": datum["reason"],
                "topic": datum["topic"], "stamped": record.timestamp,
            })  # fmt: skip
        self._database.upsert(connection, tables.letters, rows)
        old = tables.letters.c.stamped < batch.records[-1].timestamp - RETENTION_MS
        connection.execute(delete(tables.letters).where(old))


class _Slice:
    """The part of rows and references that a batch can touch: loaded, changed in memory, saved."""

    def __init__(self, connection: Connection, tables: Tables) -> None:
        self._connection = connection
        self._tables = tables
        self.resolution = Resolution()
        self._refs: set[bytes] = set()
        self._shown: dict[bytes, bytes] = {}

    def load(self, rows: set[bytes], ended: set[bytes], named: set[bytes], codec: Codec) -> None:
        """Load rows, the references that they list or show, and those named by new values."""
        t, found = self._tables, self.resolution
        for keys in chunks(rows):
            for row in self._connection.execute(select(t.rows).where(t.rows.c.key.in_(keys))):
                if row.live:
                    found.lists[row.key] = frozenset(split_keys(codec.decode(row.value)[1]["references"]))
                else:
                    found.dead.add(row.key)
        self._refs = named.union(*found.lists.values())
        for keys in chunks(ended):
            self._refs.update(self._connection.scalars(select(t.refs.c.ref).where(t.refs.c.shown.in_(keys))))
        for keys in chunks(self._refs):
            for ref, row in self._connection.execute(select(t.listings).where(t.listings.c.ref.in_(keys))):
                found.listings.setdefault(ref, set()).add(row)
            for ref, shown in self._connection.execute(select(t.refs).where(t.refs.c.ref.in_(keys))):
                found.shown[ref] = shown
        self._shown = dict(found.shown)
        self._listed = {(ref, row) for ref, listed in found.listings.items() for row in listed}

    def save(self, database: Database, rows: set[bytes], last: dict[bytes, tuple[bytes, int, dict[str, Any]]]) -> None:
        """Write what has changed; rows that show nothing any more go."""
        t, found, connection = self._tables, self.resolution, self._connection
        listed = {(ref, row) for ref, some in found.listings.items() for row in some}
        for ref, row in self._listed - listed:
            connection.execute(delete(t.listings).where(t.listings.c.ref == ref, t.listings.c.row == row))
        database.upsert(connection, t.listings, [{"ref": ref, "row": row} for ref, row in listed - self._listed])
        for keys in chunks(self._shown.keys() - found.shown.keys()):
            connection.execute(delete(t.refs).where(t.refs.c.ref.in_(keys)))
        changed = [{"ref": r, "shown": s} for r, s in found.shown.items() if self._shown.get(r) != s]
        database.upsert(connection, t.refs, changed)
        database.upsert(connection, t.rows, [
            {"key": key, "value": value, "live": key in found.lists, "stamped": stamped}
            for key, (value, stamped, _) in last.items() if key in found.lists or key in found.dead
        ])  # fmt: skip
        for keys in chunks(rows - found.lists.keys()):
            kept = [key for key in keys if key in found.dead]
            connection.execute(update(t.rows).where(t.rows.c.key.in_(kept)).values(live=False))
            gone = [key for key in keys if key not in found.dead]
            connection.execute(delete(t.rows).where(t.rows.c.key.in_(gone)))
        unseen = ~exists().where(t.refs.c.shown == t.rows.c.key)
        connection.execute(delete(t.rows).where(t.rows.c.live.is_(False), unseen))


def _now() -> int:
    return time.time_ns() // 1_000_000
