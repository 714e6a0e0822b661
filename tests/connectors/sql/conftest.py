"""An empty database of each kind: every test that takes `base` runs on SQLite, a real PostgreSQL and a real MariaDB."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from connectors.status.database import sqlite_url
from tests.connectors.sql.base import Base
from tests.support import mariadb


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[mariadb.Server]:
    """Return a MariaDB that all tests of the run share."""
    if mariadb.program("mariadbd") is None:
        pytest.skip("MariaDB is not installed here")
    with mariadb.server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
async def base(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Base]:
    """Return an empty database."""
    name = f"t{uuid.uuid4().hex}"
    if request.param == "sqlite":
        made = Base(make_url(sqlite_url(tmp_path / "town.db")))
    else:
        fixture = {"postgresql": "postgresql", "mariadb": "mariadb_server"}[request.param]
        found = request.getfixturevalue(fixture)
        url = make_url(found if isinstance(found, str) else found.url)
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        made = Base(url.set(database=name))
    yield made
    await made.close()
