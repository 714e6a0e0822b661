"""What every source and every sink must do, done by those of SQL on real servers behind a plug that is pulled."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import make_url, text

from connectors.sql.outbox import Outbox
from connectors.sql.poll import Poll
from connectors.sql.table import Table, ddl
from tests.connectors.sql.base import Base
from tests.support.connector_contract import SourceContract
from tests.support.proxy import Plug
from tests.support.sink_contract import SinkContract

ZONE = "America/Cayenne"
POSTGRESQL, MARIADB = "postgresql", "mariadb"
LONG_POSTGRESQL, LONG_MARIADB = (pytest.param(kind, marks=pytest.mark.long) for kind in (POSTGRESQL, MARIADB))
"""The short form has one server for each connector, the long form the other."""


class SqlPlace:
    """A database behind a plug."""

    zone = ZONE
    mapping = ""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.url = make_url(base.settings["url"])
        assert self.url.port is not None
        self.plug = Plug(self.url.port)

    def settings(self) -> dict[str, Any]:
        return self.base.settings | {"url": self.url.set(port=self.plug.port).render_as_string()}

    def insert(self, statement: str, rows: Iterable[dict[str, Any]]) -> None:
        with self.base.engine.begin() as connection:
            connection.execute(text(statement), list(rows))

    async def take_down(self) -> None:
        await self.plug.pull()

    async def bring_back(self) -> None:
        await self.plug.put()


class PollPlace(SqlPlace):
    mapping = """
case: "'R-' & $string(number)"
events:
  - states: case.opened
    on: $date(changed)
    with: {procedure: voirie.signalement}
"""

    def __init__(self, base: Base) -> None:
        super().__init__(base)
        base.run("CREATE TABLE requests (number INTEGER UNIQUE, changed TIMESTAMP NULL)")

    def source(self) -> Poll:
        given = {
            "table": "requests",
            "key": ["number"],
            "modified": "changed",
            "time_zone": ZONE,
            "page_rows": 5,
            "batch_rows": 4,
        }
        return self.base.hold(Poll(Poll.Config.model_validate(self.settings() | given)))

    async def write(self, numbers: Iterable[int], at: datetime) -> None:
        local = at.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None, microsecond=0)
        self.insert("INSERT INTO requests VALUES (:n, :at)", [{"n": n, "at": local} for n in numbers])

    async def write_bad(self) -> None:
        self.base.run("INSERT INTO requests SELECT NULL, MAX(changed) FROM requests")


class OutboxPlace(SqlPlace):
    mapping = """
case: "'R-' & aggregateid"
events:
  - states: case.opened
    on: $date(payload.at)
    with: {procedure: voirie.signalement}
"""

    def __init__(self, base: Base) -> None:
        super().__init__(base)
        key = {"postgresql": "SERIAL", "mariadb": "INTEGER AUTO_INCREMENT"}[base.kind]
        base.run(
            f"CREATE TABLE outbox (id {key} PRIMARY KEY, aggregatetype VARCHAR(255) NOT NULL, "
            "aggregateid VARCHAR(255) NOT NULL, type VARCHAR(255) NOT NULL, payload TEXT)"
        )

    def source(self) -> Outbox:
        return self.base.hold(Outbox(Outbox.Config.model_validate(self.settings() | {"batch_rows": 4})))

    async def write(self, numbers: Iterable[int], at: datetime) -> None:
        local = at.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None).isoformat(timespec="seconds")
        self.put([(str(n), json.dumps({"at": local})) for n in numbers])

    async def write_bad(self) -> None:
        self.put([("0", "{broken")])

    def put(self, rows: list[tuple[str, str]]) -> None:
        statement = (
            "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('request', :n, 'opened', :payload)"
        )
        self.insert(statement, [{"n": n, "payload": payload} for n, payload in rows])


class TablePlace(SqlPlace):
    keeps_states = True
    receipts = False

    def __init__(self, base: Base) -> None:
        super().__init__(base)
        with base.engine.connect() as connection:
            statements = ddl(connection, "relais_inbox").rstrip(";").split(";\n")
        base.run(*statements)

    def sink(self) -> Table:
        return self.base.hold(Table(Table.Config.model_validate(self.settings())))

    async def received(self) -> Sequence[Mapping[str, Any]]:
        rows = self.base.rows("SELECT item_id, content FROM relais_inbox ORDER BY position")
        return [{"id": row.item_id, "state": json.loads(row.content).get("state")} for row in rows]


P = TypeVar("P", bound=SqlPlace)


async def _plugged(place: P) -> AsyncIterator[P]:
    await place.plug.put()
    yield place
    await place.base.close()
    await place.plug.pull()


@pytest.mark.parametrize("base", [MARIADB, LONG_POSTGRESQL], indirect=True)
class TestPoll(SourceContract):
    @pytest.fixture
    async def place(self, base: Base) -> AsyncIterator[PollPlace]:
        async for place in _plugged(PollPlace(base)):
            yield place


@pytest.mark.parametrize("base", [POSTGRESQL, LONG_MARIADB], indirect=True)
class TestOutbox(SourceContract):
    @pytest.fixture
    async def place(self, base: Base) -> AsyncIterator[OutboxPlace]:
        async for place in _plugged(OutboxPlace(base)):
            yield place


@pytest.mark.parametrize("base", [MARIADB, LONG_POSTGRESQL], indirect=True)
class TestTable(SinkContract):
    @pytest.fixture
    async def place(self, base: Base) -> AsyncIterator[TablePlace]:
        async for place in _plugged(TablePlace(base)):
            yield place
