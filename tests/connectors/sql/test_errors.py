"""What goes wrong is told as it is: to be waited for, or to be mended; and no secret with it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url

from connectors.kit.contract import ConfigError, Unavailable
from connectors.sql.outbox import Outbox
from connectors.sql.poll import Poll
from connectors.sql.server import Server, ServerConfig
from deploy.ports import free_port
from tests.connectors.sql.base import Base, drain, failed, told
from tests.support import mariadb

POLL = {"table": "permits", "key": ["number"], "time_zone": "Europe/Paris"}
SECRET = "hunter2-hunter2"


def poll(base: Base, **settings: Any) -> Poll:
    return base.hold(Poll(Poll.Config.model_validate(base.settings | POLL | settings)))


def settings_of(url: str) -> dict[str, Any]:
    return {"url": make_url(url)._replace(password=None).render_as_string()}


async def refused(base: Base, **settings: Any) -> str:
    source = poll(base, **settings)
    with pytest.raises(ConfigError) as caught:
        await drain(source.read(None))
    finding = failed(await source.check())
    assert SECRET not in f"{caught.value} {finding}"
    return str(caught.value)


async def test_a_missing_table_and_column_are_named(base: Base) -> None:
    assert "table: there is no table permits" in await refused(base)
    base.run("CREATE TABLE permits (number INTEGER PRIMARY KEY, state VARCHAR(10))")
    assert "modified: there is no column changed; there are number, state" in await refused(base, modified="changed")
    assert "unknown" in await refused(base, table=None, query="SELECT number, unknown FROM permits")


@pytest.mark.parametrize("base", ["mariadb"], indirect=True)  # that of PostgreSQL is below
async def test_a_wrong_password_is_told_without_it(base: Base) -> None:
    assert "Access denied for user 'relais'" in (said := await refused(base, password=SECRET))
    assert said.startswith("password: ") and said.endswith("correct it, or the user in `url`")
    assert "Unknown database" in (
        said := await refused(base, url=make_url(base.settings["url"]).set(database="nowhere").render_as_string())
    )
    assert said.startswith("url: ") and said.endswith("correct the name of the base")


@pytest.fixture
def watchful(base: Base) -> Iterator[str]:
    """A user of PostgreSQL of whom a password is asked; the server of the tests trusts everybody else."""
    name = f"u{uuid.uuid4().hex[:12]}"
    base.run(f"CREATE ROLE {name} LOGIN PASSWORD 'right-{SECRET}'", "CREATE TABLE permits (number INTEGER PRIMARY KEY)")
    base.run(f"GRANT USAGE ON SCHEMA public TO {name}", f"GRANT SELECT ON permits TO {name}")
    hba = Path(base.rows("SHOW hba_file")[0][0])
    before = hba.read_text()
    hba.write_text(f"host all {name} 127.0.0.1/32 scram-sha-256\n{before}")
    base.run("SELECT pg_reload_conf()")
    yield name
    hba.write_text(before)
    base.run("SELECT pg_reload_conf()")


@pytest.mark.parametrize("base", ["postgresql"], indirect=True)
async def test_a_wrong_password_of_postgresql_is_for_a_person_to_mend(base: Base, watchful: str) -> None:
    url = make_url(base.settings["url"]).set(username=watchful).render_as_string()
    async with asyncio.timeout(10):  # until the server has read its file again
        while "password" not in told(await poll(base, url=url, password=SECRET).check()):
            pass
    assert (await poll(base, url=url, password=f"right-{SECRET}").check()).ok
    for password in ({"password": SECRET}, {}):
        said = await refused(base, url=url, **password)
        assert (
            said.startswith("password: the database refuses: ") and watchful in said
        ) or "no password supplied" in said
        assert said.endswith("correct it, or the user in `url`")


@pytest.mark.parametrize("base", ["postgresql"], indirect=True)
async def test_an_unknown_user_or_base_of_postgresql_is_told(base: Base) -> None:
    url = make_url(base.settings["url"])
    said = await refused(base, url=url.set(username="nobody").render_as_string())
    assert 'role "nobody" does not exist: correct its user' in said
    said = await refused(base, url=f"{url.render_as_string()}?sslmode=require")
    assert "does not support SSL" in said and said.endswith(
        "correct sslmode and sslrootcert, or have the server's certificate mended"
    )
    said = await refused(base, url=url.set(database="nowhere").render_as_string())
    assert 'database "nowhere" does not exist: correct the name of the base' in said


@pytest.mark.parametrize("base", ["postgresql", "mariadb"], indirect=True)
async def test_rights_that_are_missing_are_told(base: Base) -> None:
    base.run("CREATE TABLE permits (number INTEGER PRIMARY KEY)")
    name = f"u{make_url(base.settings['url']).database}"[:30]
    if base.kind == "postgresql":
        base.run(f"CREATE ROLE {name} LOGIN")
    else:
        base.run(
            f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{SECRET}'", f"GRANT CREATE ON *.* TO {name}@'127.0.0.1'"
        )
    url = make_url(base.settings["url"]).set(username=name).render_as_string()
    said = await refused(base, url=url, password=SECRET)
    assert "denied" in said or "may not see it" in said


@pytest.mark.parametrize("kind", ["postgresql+psycopg", "mariadb+pymysql"])
async def test_a_server_that_is_not_there_is_waited_for(kind: str) -> None:
    port = free_port()
    source = Poll(
        Poll.Config.model_validate({**POLL, "url": f"{kind}://town@127.0.0.1:{port}/town", "password": SECRET})
    )
    with pytest.raises(Unavailable) as caught:
        await drain(source.read(None))
    assert SECRET not in str(caught.value)
    assert "is it running" in failed(await source.check()).mend
    await source.close()


async def test_a_server_that_dies_is_waited_for_and_read_on_when_it_is_back() -> None:
    if mariadb.program("mariadbd") is None:
        pytest.skip("MariaDB is not installed here")
    with mariadb.server() as server:
        url = make_url(server.url)
        base = Base(url.set(database="mysql"))
        base.run("CREATE DATABASE town", "CREATE TABLE town.permits (number INTEGER PRIMARY KEY)")
        base.run("INSERT INTO town.permits VALUES (1), (2), (3)")
        source = poll(base, table="town.permits", page_rows=1)
        batches = source.read(None)
        await anext(batches)
        server.stop()
        with pytest.raises(Unavailable):
            await anext(batches)
        server.start()
        assert sum(len(batch.records) for batch in await drain(source.read(None))) == 3
        await base.close()


@pytest.mark.parametrize(
    ("settings", "field", "mend"),
    [
        ({"url": f"postgresql+psycopg://a:{SECRET}@h/b"}, "url", "leave the password out of the address"),
        ({"url": "no address"}, "url", "write kind+driver://user@host/base"),
        ({"time_zone": "Europe/Bourg"}, "time_zone", "there is no such time zone"),
        ({"query": "SELECT 1"}, "", "give one of: table, query"),
        ({"keys": ["n"]}, "keys", "Extra inputs"),
    ],
)
def test_a_wrong_configuration_names_the_field_and_never_repeats_it(
    settings: dict[str, Any], field: str, mend: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Poll.Config.model_validate({"url": "sqlite:///x", **POLL} | settings)
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == field
    assert mend in error["msg"]
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "mend"),
    [
        ("oracle+oracledb://a@h/b", "install relais[oracle]"),
        ("mssql+pyodbc://a@h/b", "install relais[sqlserver]"),
        ("dbase+x://a@h/b", "dbase is not a kind"),
    ],
)
async def test_a_driver_that_is_not_installed_is_named(url: str, mend: str) -> None:
    source = Outbox(Outbox.Config.model_validate({"url": url}))
    assert mend in failed(await source.check()).mend
    await source.close()


@pytest.mark.parametrize(
    ("url", "missing"),
    [
        ("postgresql+psycopg://a@base.example/b", "sslmode=verify-full"),
        ("postgresql+psycopg://a@base.example/b?sslmode=require", "sslmode=verify-full"),
        ("postgresql+psycopg://a@base.example/b?sslmode=verify-full", ""),
        ("mariadb+pymysql://a@base.example/b", "ssl_ca=…"),
        ("mariadb+pymysql://a@base.example/b?ssl_ca=/etc/ssl/town.pem", ""),
        ("postgresql+psycopg://a@127.0.0.1/b", ""),
        ("sqlite:///b", ""),
    ],
)
def test_an_open_line_to_another_machine_is_told(url: str, missing: str) -> None:
    assert Server(ServerConfig(url=url)).open_line() == missing
