"""What a check of a SQL connector looks at. It reads and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, DateTime, Table, func, select

from connectors.kit.contract import ConfigError, Finding, Report, Unavailable
from connectors.sql import reading
from connectors.sql.server import Server
from connectors.sql.values import local

if TYPE_CHECKING:
    from connectors.sql.poll import Plan, PollConfig

SKEW_S = 60
"""Clocks may differ by so much, in seconds."""


async def report(server: Server, look: Callable[[Connection], Iterator[Finding]]) -> Report:
    """What was found, up to what stands in the way of finding more."""
    found: list[Finding] = []
    if missing := server.open_line():
        mend = f"add {missing} to the address: otherwise who sits on the line can read along, or answer in its place"
        found.append(Finding(True, "the line to the database is not known to be encrypted", advice=mend))

    def work(connection: Connection) -> None:
        found.append(Finding(True, f"connected to {connection.dialect.name}"))
        found.extend(look(connection))

    try:
        await server.run(work)
    except ConfigError as error:
        found.append(Finding(False, error.field or "the database", error.mend))
    except Unavailable as error:
        found.append(Finding(False, "the database", f"{error}: is it running, and are host and port right?"))
    return Report(found)


def of_poll(connection: Connection, config: PollConfig, plan: Plan) -> Iterator[Finding]:
    """Of a table or a query that is polled."""
    yield Finding(True, f"columns: {', '.join(plan.names)}")
    sample = reading.page(connection, plan.wanted, plan.key, None, None, 1)
    yield Finding(True, "rows can be read" if sample else "nothing is there yet, and it may be read")
    yield from clock(connection, config.zone)
    if isinstance(plan.source, Table):
        key = [column.name for column in plan.key]
        if not reading.unique(connection, plan.source, key):
            mend = "name the columns of the primary key, or make sure yourself that they differ from row to row"
            yield Finding(True, f"nothing in the database keeps {', '.join(key)} unique", advice=mend)
    yield from _of_modified(connection, config, plan)
    if config.vanished is None:
        yield Finding(
            True,
            "a row that is deleted is not noticed",
            advice="set `vanished` if the software deletes what was not closed",
        )
    else:
        yield Finding(
            True, f"rows that are deleted are noticed: every {config.vanished.every_h:g} h all keys are gone through"
        )


def _of_modified(connection: Connection, config: PollConfig, plan: Plan) -> Iterator[Finding]:
    if plan.modified is None:
        mend = "name a column in `modified` if there is one; otherwise poll rarely"
        yield Finding(True, "no column says when a row was modified: each poll reads every row", advice=mend)
        return
    newest = connection.execute(select(func.max(plan.modified))).scalar()
    if newest is not None and not isinstance(newest, (int, date)):
        mend = "give a query that casts it to a time, a day or a whole number"
        yield Finding(False, f"modified: {config.modified} is {type(newest).__name__}", mend)
    if isinstance(newest, datetime) and local(newest, config.zone) > datetime.now(UTC):
        mend = "if it is some hours, time_zone is wrong; a single wrong date does no harm, its row is read at each poll"
        yield Finding(True, f"the newest {config.modified} lies in the future", advice=mend)
    if plan.may_lack and reading.page(connection, (), plan.key, plan.modified.is_(None), None, 1):
        mend = (
            f"they are read at each poll; a query with COALESCE({config.modified}, …) AS {config.modified} is quicker"
        )
        yield Finding(True, f"some rows have no {config.modified}", advice=mend)
    if not isinstance(plan.source, Table):
        yield Finding(True, "whether an index answers the query, the database tells (EXPLAIN)")
    elif not reading.indexed(connection, plan.source, [plan.modified.name]):
        names = ", ".join(column.name for column in (plan.modified, *plan.key))
        mend = f"an index on ({names}) makes polls quick; without one, poll rarely"
        yield Finding(
            True, f"no index begins with {plan.modified.name}: each poll goes through the whole table", advice=mend
        )


_UTC: dict[str, ColumnElement[datetime]] = {
    "mariadb": func.utc_timestamp(type_=DateTime),
    "mysql": func.utc_timestamp(type_=DateTime),
    "mssql": func.sysutcdatetime(type_=DateTime),
}
"""What tells the instant, where the current time has no offset."""


def clock(connection: Connection, zone: ZoneInfo) -> Iterator[Finding]:
    """Compare the clocks, and the zone of the database's clock with that of the configuration."""
    kind = connection.dialect.name
    if kind == "sqlite":
        yield Finding(True, "the database has the clock of this machine")
        return
    shown, told = connection.execute(select(func.current_timestamp(), _UTC.get(kind, func.current_timestamp()))).one()
    ours = datetime.now(UTC)
    instant = told if told.tzinfo else told.replace(tzinfo=UTC)
    difference = f"the clock of the database is {(instant - ours).total_seconds():+.0f} s from the one here"
    yield Finding(abs((instant - ours).total_seconds()) <= SKEW_S, difference, "set the clock that is wrong")
    if shown.tzinfo is None and abs((local(shown, zone) - ours).total_seconds()) > SKEW_S:
        mend = (
            f"where the database itself writes times (NOW()), time_zone must be its own zone, which is not {zone.key}"
        )
        yield Finding(
            True, f"the database shows {shown:%H:%M}, in {zone.key} it is {ours.astimezone(zone):%H:%M}", advice=mend
        )
