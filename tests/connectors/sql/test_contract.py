"""What every source must do, done by the SQL sources on real servers behind a plug that is pulled."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import make_url, text

from connectors.sql.outbox import Outbox
from connectors.sql.poll import Poll
from tests.connectors.sql.base import Base
from tests.support.connector_contract import SourceContract
from tests.support.proxy import Plug

ZONE = "America/Cayenne"


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


async def _plugged(place: SqlPlace) -> AsyncIterator[SqlPlace]:
    await place.plug.put()
    yield place
    await place.base.close()
    await place.plug.pull()


@pytest.mark.parametrize("base", ["postgresql", "mariadb"], indirect=True)
class TestPoll(SourceContract):
    @pytest.fixture
    async def place(self, base: Base) -> AsyncIterator[SqlPlace]:
        async for place in _plugged(PollPlace(base)):
            yield place


@pytest.mark.parametrize("base", ["postgresql", "mariadb"], indirect=True)
class TestOutbox(SourceContract):
    @pytest.fixture
    async def place(self, base: Base) -> AsyncIterator[SqlPlace]:
        async for place in _plugged(OutboxPlace(base)):
            yield place
