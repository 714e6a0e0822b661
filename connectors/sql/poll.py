"""`sql-poll`: read a table that nobody may change, again and again, without losing what is committed late.

There is no bare cursor. Each poll begins some time (`overlap`) before the newest modification that was seen, since a transaction that bears
an earlier time may be committed later; what is read twice is one fact, and the runner publishes it once. Rows that are no more are
noticed where `vanished` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Self

from pydantic import Field, model_validator
from sqlalchemy import ColumnElement, Connection, FromClause

from connectors.kit.contract import Batch, ConfigError, Cursor, Json, Record, Refused, Report
from connectors.kit.zones import Zoned
from connectors.sql import checks, reading
from connectors.sql.server import Server, ServerConfig
from connectors.sql.values import Moment, UnreadableError, before, key_of, moment_of, moment_text, no_later, to_json
from connectors.sql.vanished import VANISHED, Known, Vanished

NO_DATES = ("0000-00-00", "infinity", "-infinity")
"""What MariaDB keeps for a date that is none, and PostgreSQL for one without end; read as text."""

WHOLE: Cursor = {"whole": True}
"""Cursor of a table that is read whole each time, once that was done."""


class PollConfig(Zoned, ServerConfig):
    """What to read, and how its rows are told apart."""

    table: str | None = None
    """Table or view to read, `schema.table` or `table`; or give `query`."""
    query: str | None = None
    """A SELECT whose rows are the records, without ORDER BY; or give `table`."""
    key: tuple[str, ...] = Field(min_length=1)
    """Columns that together name one record, the same over all its changes (its primary key)."""
    columns: tuple[str, ...] = ()
    """Columns to read besides those named in the other fields; empty: all. Name only what the mapping needs."""
    version: str | None = None
    """Column with the record's own number of its version, if there is one. Without, a change of content is a new version."""
    modified: str | None = None
    """Column that says when a row was modified: a time, a day, or a number that grows. Without, each poll reads everything."""
    overlap: int = Field(default=600, ge=1)
    """How long, in seconds, a transaction may stay open between the value of `modified` and its commit (for a number: by how much it may
    be overtaken). So much is read again at each poll: take it generously."""
    vanished: Vanished | None = None
    """How rows that are no more are noticed; without, they are not."""
    page_rows: int = Field(default=5_000, ge=1)
    """Rows asked of the database at once."""
    batch_rows: int = Field(default=1_000, ge=1)
    """Rows published at once."""

    @property
    def restless(self) -> tuple[str, ...]:
        """The moment of the last change."""
        return (self.modified,) if self.modified else ()

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give one of: table, query")
        return self


@dataclass(frozen=True, slots=True)
class Plan:
    """What the database knows under the names of the configuration."""

    source: FromClause
    names: Sequence[str]
    """Names of the columns read, as they stand in the content of a record."""
    wanted: Sequence[ColumnElement[Any]]
    key: Sequence[ColumnElement[Any]]
    modified: ColumnElement[Any] | None
    may_lack: bool
    """Whether rows may have no `modified`."""
    version: int | None
    """Place of the version among the names."""
    kept: Sequence[str] = ()
    """Those of the names that are remembered of a row, in case it vanishes."""


class Poll:
    """A source that polls a table or a query."""

    Config = PollConfig

    def __init__(self, config: PollConfig) -> None:
        self._config = config
        self._zone = config.zone
        self._server = Server(config, read_only=True)
        self._plan: Plan | None = None
        self._known: Known | None = None

    async def check(self) -> Report:
        """Connect; columns, rights, clock, index, rows without a date."""
        return await checks.report(
            self._server, lambda connection: checks.of_poll(connection, self._config, self.plan(connection))
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._server.close()
        if self._known is not None:
            self._known.close()
            self._known = None

    async def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """What was modified since, and the overlap before it; every row if no column says when; then what is no more."""
        if self._plan is None:
            self._plan = await self._server.run(self.plan)
        at = since
        async for batch in self._rows(self._plan, since):
            at = batch.cursor
            yield batch
        if (
            self._config.vanished is not None and since is not None
        ):  # a first reading, or a dry run, has nothing to compare with
            known = self._ledger(self._config.vanished)
            if known.due():
                await self._scan(self._plan, known)
            for gone in known.gone():
                yield Batch([self._gone(key, content) for key, content in gone], at)

    async def ack(self, batch: Batch) -> None:
        """Remember what was published, where what vanishes is noticed."""
        if self._config.vanished is not None and self._plan is not None:
            known, kept = self._ledger(self._config.vanished), (*self._plan.kept, VANISHED)
            found = [r for r in batch.records if isinstance(r, Record)]
            rows = [(r.key, {name: r.content[name] for name in kept if name in r.content}) for r in found]
            await asyncio.to_thread(known.published, rows)

    async def _rows(self, plan: Plan, since: Cursor) -> AsyncIterator[Batch]:
        """The rows of one poll."""
        if plan.modified is None:
            cursor = None if self._config.vanished is None else WHOLE
            async for rows in self._pages(plan.wanted, plan.key, None):
                yield Batch([self._record(plan, row, row[: len(plan.key)]) for row in rows], cursor)
            return
        if plan.may_lack:
            async for rows in self._pages(plan.wanted, plan.key, plan.modified.is_(None)):
                yield Batch([self._record(plan, row, row[: len(plan.key)]) for row in rows], since)
        reached = self._reached(since)
        start = None if reached is None else before(reached, self._config.overlap, self._zone)
        where = plan.modified.is_not(None) if start is None else plan.modified >= start
        now = datetime.now(UTC)
        async for rows in self._pages(plan.wanted, (plan.modified, *plan.key), where):
            reached = self._furthest(reached, rows, now)
            kept = since if reached is None else {"modified": moment_text(reached)}
            yield Batch([self._record(plan, row, row[1 : 1 + len(plan.key)]) for row in rows], kept)

    def plan(self, connection: Connection) -> Plan:
        """Find the columns. Raises `ConfigError` where one is missing."""
        config = self._config
        if config.table is not None:
            source: FromClause = reading.table(connection, config.table)
        else:
            assert config.query is not None
            source = reading.query(connection, config.query)
        special = [config.modified] if config.modified else []
        versions = [config.version] if config.version else []
        key = reading.columns(source, config.key, "key")
        modified = next(iter(reading.columns(source, special, "modified")), None)
        reading.columns(source, versions, "version")
        asked = (
            dict.fromkeys([*config.key, *config.columns, *versions, *special]) if config.columns else source.c.keys()
        )
        wanted = reading.columns(source, asked, "columns")
        may_lack = modified is not None and getattr(modified, "nullable", True) is not False
        lower = [name.lower() for name in asked]
        version = lower.index(config.version.lower()) if config.version else None
        return Plan(source, list(map(str, asked)), wanted, key, modified, may_lack, version, self._kept(list(asked)))

    def _kept(self, names: Sequence[str]) -> Sequence[str]:
        """Names of what is remembered of a row. Raises `ConfigError`."""
        if self._config.vanished is None:
            return ()
        known = {name.lower(): name for name in names}
        if VANISHED in known:
            raise ConfigError(f"there is a column {VANISHED}: give a query that names it otherwise", "vanished")
        if missing := [name for name in self._config.vanished.keep if name.lower() not in known]:
            raise ConfigError(f"{', '.join(missing)} is not read: there are {', '.join(names)}", "vanished.keep")
        return [known[name.lower()] for name in (*self._config.key, *self._config.vanished.keep)]

    def _ledger(self, config: Vanished) -> Known:
        if self._known is None:
            self._known = Known(config)
        return self._known

    async def _scan(self, plan: Plan, known: Known) -> None:
        """Go through the keys. Raises `Unavailable` if too many are missing."""
        async for rows in self._pages((), plan.key, None):
            keys = [key for row in rows if (key := key_of(list(row), self._zone)) is not None]
            await asyncio.to_thread(known.met, keys)
        await asyncio.to_thread(known.ended)

    def _gone(self, key: str, content: dict[str, Json]) -> Record:
        version = None if self._config.version is None else f"{VANISHED} {content[f'{VANISHED}_at']}"
        return Record(key, content, version=version, place=self._config.table or "query")

    async def _pages(
        self,
        wanted: Sequence[ColumnElement[Any]],
        order: Sequence[ColumnElement[Any]],
        where: ColumnElement[bool] | None,
    ) -> AsyncIterator[Sequence[reading.Row]]:
        """Rows in this order, in portions that are published at once."""
        config = self._config
        after: list[Any] | None = None
        while True:
            ask = partial(reading.page, wanted=wanted, order=order, where=where, after=after, limit=config.page_rows)
            rows = await self._server.run(ask)
            for start in range(0, len(rows), config.batch_rows):
                yield rows[start : start + config.batch_rows]
            if len(rows) < config.page_rows:
                return
            last = list(rows[-1][: len(order)])
            if last == after:
                raise ConfigError(
                    "the database gives these values back rounded, so that no row after them is found: "
                    "give a query that casts the column to an exact type",
                    (config.modified and "modified") or "key",
                )
            after = last

    def _record(self, plan: Plan, row: reading.Row, key: Sequence[Any]) -> Record | Refused:
        values = row[len(row) - len(plan.names) :]
        place = self._config.table or "query"
        content, mend = {}, ""
        for name, value in zip(plan.names, values, strict=True):
            try:
                content[name] = to_json(value, self._zone)
            except UnreadableError as error:
                mend = f"the column {name} {error}"
        named = key_of(list(key), self._zone)
        if named is None:
            mend = f"{', '.join(self._config.key)} must not be empty: it names the record"
        if named is None or mend:
            return Refused(Record("", content).original(), mend, place)
        version = None if plan.version is None else content[plan.names[plan.version]]
        return Record(named, content, version=None if version is None else str(version), place=place)

    def _reached(self, since: Cursor) -> Moment | None:
        if since is None or since == WHOLE:
            return None
        try:
            return moment_of(since["modified"])
        except (TypeError, KeyError, ValueError):
            raise ConfigError("the position kept for this connector is not one of it: reset its offsets") from None

    def _furthest(self, reached: Moment | None, rows: Sequence[reading.Row], now: datetime) -> Moment | None:
        """The newest modification up to these rows; never in the future."""
        known = [row[0] for row in rows if isinstance(row[0], (int, date))]
        if not known and all(str(row[0]).startswith(NO_DATES) for row in rows):
            return reached
        if not known:
            kind = type(rows[-1][0]).__name__
            raise ConfigError(
                f"its values are {kind}: give a query that casts it to a time, a day or a whole number", "modified"
            )
        newest: Moment = known[-1]
        newest = no_later(newest, now, self._zone)
        try:
            return newest if reached is None else max(reached, newest)
        except TypeError:
            raise ConfigError(
                "its type has changed since the position was kept: reset the offsets", "modified"
            ) from None
