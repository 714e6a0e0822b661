"""The read model on both databases: every test that takes `database` runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from connectors.status.database import Database, sqlite_url
from tests.support import postgres


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Return the address of a cluster that all tests of the run share."""
    bin_ = postgres.programs()
    if bin_ is None:
        pytest.skip("PostgreSQL is not installed here")
    with postgres.cluster(bin_) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Return an empty database."""
    if request.param == "sqlite":
        made = Database(sqlite_url(tmp_path / "read.db"))
    else:
        url: str = request.getfixturevalue("postgresql")
        name = f"t{uuid.uuid4().hex}"
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        made = Database(url.rsplit("/", 1)[0] + f"/{name}")
    yield made
    made.close()
