"""Questions to the read model. Everything here is the whole truth: whoever shows it to somebody projects it first
(`streams.engine.visibility`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select
from sqlalchemy.exc import DBAPIError

from connectors.status import documents
from connectors.status.database import Database, chunks
from connectors.status.tables import WITHDRAWN, Tables, generations, tables
from schemas.codec import bus

Datum = dict[str, Any]
PAGE = 100
"""Items of a page, unless said otherwise."""


class Row(NamedTuple):
    """A status as it is kept."""

    key: bytes
    datum: Datum
    """Bus record `status`."""
    live: bool
    """Not live: it merged into a row that has not come yet."""
    stamped: int
    """When the bus wrote it, ms since the epoch."""


class Item(NamedTuple):
    """An output with its place in the feed."""

    key: bytes
    datum: Datum
    """The bus record; `state` is `withdrawn` for a handoff that is no more."""
    cursor: str


class Cursor(NamedTuple):
    """A place in a feed: what was changed after it is still to be read. One of another generation begins anew."""

    generation: int
    seq: int
    key: bytes

    def __str__(self) -> str:
        return f"{self.generation}-{self.seq}-{self.key.hex()}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor of a text; ValueError if it is none."""
        generation, seq, key = text.split("-")
        if not (generation.isascii() and generation.isdecimal() and seq.isascii() and seq.isdecimal()):
            raise ValueError("not a cursor")
        found = cls(int(generation), int(seq), bytes.fromhex(key))
        if found.generation >= 2**31 or found.seq >= 2**62 or len(found.key) > 16:
            raise ValueError("not a cursor")
        return found


class NotReadyError(Exception):
    """The read model has never been filled: start the process that fills it."""


class Snapshot:
    """The read model at one moment."""

    def __init__(self, connection: Connection, tables: Tables, seq: int) -> None:
        self._connection = connection
        self._t = tables
        self.generation = tables.number
        self.seq = seq
        self._bus = bus()

    def _decode(self, value: bytes) -> Datum:
        return self._bus.decode(value)[1]

    # -- statuses
    def resolve(self, ref: bytes) -> Row | None:
        """The status by which a reference (its key) is shown; None for an unknown one."""
        t = self._t
        found = self._connection.execute(
            select(t.rows).join(t.refs, t.refs.c.shown == t.rows.c.key).where(t.refs.c.ref == ref)
        ).first()
        return Row(found.key, self._decode(found.value), found.live, found.stamped) if found else None

    def worklist(
        self,
        body: str | None,
        *,
        states: Collection[str] = (),
        due_before: int | None = None,
        offset: int = 0,
        limit: int = PAGE,
    ) -> list[tuple[bytes, str, str | None, str, int, int | None]]:
        """Cases of a body (None: of all) by the first time limit that runs: (status key, case, procedure, state, since, due on).

        `due_before`: only those of which a limit ends before that day.
        """
        c = self._t.cases.c
        where: list[ColumnElement[bool]] = [c.state.in_(states)] if states else []
        if body is not None:
            where.append(c.body == body)
        if due_before is not None:
            where.append(c.due_on < due_before)
        found = self._connection.execute(
            select(c.row, c.case, c.procedure, c.state, c.since, c.due_on)
            .where(*where).order_by(c.due_on.is_(None), c.due_on, c.since, c.key).offset(offset).limit(limit)
        )  # fmt: skip
        return [tuple(row) for row in found]

    def limits_of(self, cases: Collection[bytes]) -> dict[bytes, int]:
        """The first time limit that runs, of each of these cases (keys) that has one; days since 1970-01-01."""
        c = self._t.cases.c
        found: dict[bytes, int] = {}
        for some in chunks(cases):
            rows = self._connection.execute(select(c.key, c.due_on).where(c.key.in_(some), c.due_on.is_not(None)))
            found.update((row.key, row.due_on) for row in rows)
        return found

    # -- handoffs
    def handoffs(self, keys: Collection[bytes]) -> dict[bytes, Datum]:
        """Handoffs by key; those withdrawn are left out."""
        c = self._t.handoffs.c
        found: dict[bytes, Datum] = {}
        for some in chunks(keys):
            rows = self._connection.execute(select(c.key, c.value).where(c.key.in_(some), c.state != WITHDRAWN))
            found.update((row.key, self._decode(row.value)) for row in rows)
        return found

    def dead_documents(
        self, *, handoff: str | None = None, sender: str | None = None
    ) -> list[tuple[documents.DeadDocument, int]]:
        """Documents that could not be fetched when that was last tried, each with the day since when; see `documents`."""
        return documents.dead(self._connection, handoff=handoff, sender=sender)

    def inbox(self, body: str, after: Cursor | None = None, *, limit: int = PAGE) -> list[Item]:
        """Handoffs addressed to a body in the order of their last change, each in its newest state."""
        return self._feed(self._t.handoffs.c.to_body == body, after, limit)

    def outbox(self, body: str, after: Cursor | None = None, *, limit: int = PAGE) -> list[Item]:
        """Handoffs that a body has sent, in the order of their last change."""
        return self._feed(self._t.handoffs.c.from_body == body, after, limit)

    def _feed(self, mine: ColumnElement[bool], after: Cursor | None, limit: int) -> list[Item]:
        c = self._t.handoffs.c
        where = [mine]
        if after is not None and after.generation == self.generation:
            where.append(or_(c.seq > after.seq, and_(c.seq == after.seq, c.key > after.key)))
        rows = self._connection.execute(
            select(c.key, c.value, c.seq, c.state).where(*where).order_by(c.seq, c.key).limit(limit)
        )
        return [
            Item(r.key, self._decode(r.value) | {"state": r.state}, str(Cursor(self.generation, r.seq, r.key)))
            for r in rows
        ]

    def open_handoffs(
        self,
        *,
        states: Collection[str],
        due_before: int | None = None,
        from_body: str | None = None,
        to: str | None = None,
        offset: int = 0,
        limit: int = PAGE,
    ) -> list[Datum]:
        """Handoffs in some states, those first whose limit ends first; `due_before`: only those due before that day."""
        c = self._t.handoffs.c
        where: list[ColumnElement[bool]] = [c.state.in_(states)]
        where += [column == value for column, value in ((c.from_body, from_body), (c.to_body, to)) if value is not None]
        if due_before is not None:
            where.append(c.due_on < due_before)
        rows = self._connection.scalars(
            select(c.value)
            .where(*where)
            .order_by(c.due_on.is_(None), c.due_on, c.sent_on, c.key)
            .offset(offset)
            .limit(limit)
        )
        return [self._decode(value) for value in rows]

    def pairs(self, states: Collection[str]) -> list[tuple[str, str, int, int | None]]:
        """Handoffs in some states by pair of bodies: (from, to, how many, first limit)."""
        c = self._t.handoffs.c
        found = self._connection.execute(
            select(c.from_body, c.to_body, func.count(), func.min(c.due_on))
            .where(c.state.in_(states)).group_by(c.from_body, c.to_body).order_by(func.count().desc(), c.from_body)
        )  # fmt: skip
        return [tuple(row) for row in found]

    # -- alerts
    def alerts_of(self, cases: Collection[bytes]) -> list[Datum]:
        """Alerts of some cases (keys), by the day on which they were raised."""
        c = self._t.alerts.c
        found = []
        for some in chunks(cases):
            found += list(self._connection.execute(select(c.raised_on, c.key, c.value).where(c.case_key.in_(some))))
        return [self._decode(row.value) for row in sorted(found, key=lambda r: (r.raised_on, r.key))]

    def alerts(
        self,
        *,
        only_open: bool = True,
        body: str | None = None,
        reason: str | None = None,
        offset: int = 0,
        limit: int | None = PAGE,
    ) -> list[Datum]:
        """Alerts, the last raised first; of a body: those that it or its counterpart must act on."""
        c = self._t.alerts.c
        where: list[ColumnElement[bool]] = []
        if only_open:
            where.append(c.open.is_(True))
        if body is not None:
            where.append(or_(c.body == body, c.other == body))
        if reason is not None:
            where.append(c.reason == reason)
        query = select(c.value).where(*where).order_by(c.raised_on.desc(), c.key).offset(offset)
        return [self._decode(v) for v in self._connection.scalars(query if limit is None else query.limit(limit))]

    def alert(self, key: bytes) -> Datum | None:
        """One alert."""
        value = self._connection.scalar(select(self._t.alerts.c.value).where(self._t.alerts.c.key == key))
        return self._decode(value) if value is not None else None

    # -- facts
    def facts_of(self, cases: Collection[bytes]) -> list[Datum]:
        """Facts of some cases (keys), as bus record `copy`; each fact once."""
        c = self._t.facts.c
        found: dict[bytes, bytes] = {}
        for some in chunks(cases):
            for fact, value in self._connection.execute(select(c.fact, c.value).where(c.case_key.in_(some))):
                known = found.get(fact)
                found[fact] = value if known is None else min(known, value)
        return [self._decode(found[key]) for key in sorted(found)]

    def has_facts(self, facts: Collection[bytes]) -> bool:
        """Whether all these facts (keys) are in their journeys."""
        c = self._t.facts.c
        seen: set[bytes] = set()
        for some in chunks(facts):
            seen.update(self._connection.scalars(select(c.fact).where(c.fact.in_(some))))
        return seen == set(facts)

    # -- what waits for a person
    def waiting_claims(
        self, issuer: str | None = None, *, limit: int = PAGE
    ) -> list[tuple[bytes, bytes, str, str, int]]:
        """Claims that their owner has not confirmed: (reference, claiming case, its body, issuer, day)."""
        c, refs = self._t.claims.c, self._t.refs
        of_ref, of_case = refs.alias("of_ref"), refs.alias("of_case")
        query = (
            select(c.ref, c.case_key, c.body, c.issuer, func.min(c.claimed_on))
            .outerjoin_from(self._t.claims, of_ref, of_ref.c.ref == c.ref)
            .outerjoin(of_case, of_case.c.ref == c.case_key)
            .where(of_ref.c.shown.is_(None) | of_case.c.shown.is_(None) | (of_ref.c.shown != of_case.c.shown))
            .group_by(c.ref, c.case_key, c.body, c.issuer)
            .order_by(func.min(c.claimed_on), c.case_key)
            .limit(limit)
        )
        if issuer is not None:
            query = query.where(c.issuer == issuer)
        return [tuple(row) for row in self._connection.execute(query)]

    def letters(
        self, *, reason: str | None = None, topic: str | None = None, offset: int = 0, limit: int = PAGE
    ) -> list[tuple[int, int, Datum]]:
        """Dead letters, the last first: (partition, offset, bus record `dead-letter`)."""
        c = self._t.letters.c
        where = [column == value for column, value in ((c.reason, reason), (c.topic, topic)) if value is not None]
        rows = self._connection.execute(
            select(c.part, c.place, c.value).where(*where)
            .order_by(c.stamped.desc(), c.place.desc()).offset(offset).limit(limit)
        )  # fmt: skip
        return [(row.part, row.place, self._decode(row.value)) for row in rows]

    def letter(self, partition: int, offset: int) -> Datum | None:
        """One dead letter."""
        c = self._t.letters.c
        value = self._connection.scalar(select(c.value).where(c.part == partition, c.place == offset))
        return self._decode(value) if value is not None else None


class ReadModel:
    """Reads the generation that serves. Synchronous, safe from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One consistent look. Raises `NotReadyError` while nothing was ever written."""
        with self._database.read() as connection:
            try:
                found = connection.execute(select(generations).where(generations.c.serving.is_(True))).first()
            except DBAPIError as error:
                raise NotReadyError from error
            if found is None:
                raise NotReadyError
            yield Snapshot(connection, tables(found.number), found.seq)

    def pulse(self) -> tuple[int, int]:
        """(generation, number of the last change): changes when there is something new to see."""
        with self.snapshot() as now:
            return now.generation, now.seq
