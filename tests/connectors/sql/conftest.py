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


@pytest.fixture(scope="session")
def postgresql_town(postgresql: str) -> str:
    """Return the address of a database of that cluster that all tests of this folder share: making one takes its time."""
    _alone(postgresql, "CREATE DATABASE town")
    return postgresql.rsplit("/", 1)[0] + "/town"


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
async def base(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Base]:
    """Return an empty database."""
    if request.param == "sqlite":
        made = Base(make_url(sqlite_url(tmp_path / "town.db")))
    elif request.param == "postgresql":
        url: str = request.getfixturevalue("postgresql_town")
        others = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'town' AND pid <> pg_backend_pid()"
        )
        _alone(url, others, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        made = Base(make_url(url))
    else:
        server: mariadb.Server = request.getfixturevalue("mariadb_server")
        name = f"t{uuid.uuid4().hex}"
        _alone(server.url, f"CREATE DATABASE {name}")
        made = Base(make_url(server.url).set(database=name))
    yield made
    await made.close()


def _alone(url: str, *statements: str) -> None:
    """Some statements, each by itself."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
