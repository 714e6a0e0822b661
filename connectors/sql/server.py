"""The connection to a database: its settings, its work in threads of its own, and its errors in the terms of the kit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import ConfigDict, Field, field_validator
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from connectors.kit.contract import ConfigError, ConnectorConfig
from connectors.kit.secret import Secret
from connectors.sql import errors

T = TypeVar("T")
EXTRAS = {
    "mariadb": "mariadb",
    "mysql": "mariadb",
    "postgresql": "postgresql",
    "oracle": "oracle",
    "mssql": "sqlserver",
}
"""What to install beside relais, by the kind of database."""


class ServerConfig(ConnectorConfig):
    """Which database, and as whom."""

    model_config = ConfigDict(hide_input_in_errors=True)

    url: str
    """Address in SQLAlchemy's form, without the password: `postgresql+psycopg://user@host/base`, `mariadb+pymysql://user@host/base`,
    `oracle+oracledb://user@host/?service_name=base`, `mssql+pyodbc://user@host/base?driver=ODBC+Driver+18+for+SQL+Server`,
    `sqlite:///file`. Options of the driver follow a `?`: `sslmode=verify-full&sslrootcert=…` or `ssl_ca=…` for an encrypted line."""
    password: Secret | None = None
    """Password of that user."""
    timeout_s: int = Field(default=60, ge=1)
    """Longest wait for one answer of the database, in seconds."""

    @field_validator("url")
    @classmethod
    def _sound(cls, given: str) -> str:
        try:
            url = make_url(given)
        except ArgumentError:
            raise ValueError("write kind+driver://user@host/base") from None
        if url.password is not None:
            raise ValueError("leave the password out of the address and give it as `password`")
        return given


class Server:
    """A database. Statements run in a thread of its own, so that no other connector waits for it."""

    def __init__(self, config: ServerConfig, read_only: bool = False) -> None:
        """`read_only`: its transactions cannot write, as far as the kind of database has such a thing."""
        self._config, self._read_only = config, read_only
        self._made: Engine | None = None
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sql")
        self._secret = ""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do some work in one transaction. Raises ConfigError and Unavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._do, work)

    def open_line(self) -> str:
        """What to add to the address where the line to another machine is not known to be encrypted and the server not known to be the
        right one; empty if all is well."""
        url = make_url(self._config.url)
        wanted = _LINE.get(url.get_backend_name())
        if wanted is None or url.host in (None, "", "localhost", "127.0.0.1", "::1"):
            return ""
        option, value = wanted
        given = url.query.get(option)
        return "" if given and value in (given, "…") else f"{option}={value}"

    async def close(self) -> None:
        """Give the connections back."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._dispose)
        self._threads.shutdown(wait=False)

    def _do(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._transaction() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise errors.translate(error, self._secret) from None

    def _dispose(self) -> None:
        if self._made is not None:
            self._made.dispose()
            self._made = None

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine().connect() as plain:
            read_only = {"postgresql_readonly": True} if self._read_only and plain.dialect.name == "postgresql" else {}
            with plain.execution_options(**read_only) as connection, connection.begin():
                yield connection

    def _engine(self) -> Engine:
        if self._made is None:
            url = make_url(self._config.url)
            if self._config.password is not None:
                try:
                    self._secret = self._config.password.get()
                except ValueError as error:
                    raise ConfigError(str(error), "password") from None
                url = url.set(password=self._secret)
            self._made = self._make(url)
        return self._made

    def _make(self, url: URL) -> Engine:
        kind = url.get_backend_name()
        try:
            engine = create_engine(
                url,
                hide_parameters=True,
                pool_pre_ping=True,
                pool_size=1,
                connect_args=_options(kind, self._config.timeout_s),
            )
        except (ImportError, NoSuchModuleError):
            extra = EXTRAS.get(kind)
            mend = f"install relais[{extra}]" if extra else f"{kind} is not a kind of database that can be read"
            raise ConfigError(mend, "url") from None
        if kind == "postgresql":
            event.listen(engine, "connect", _tolerate)
        statement = _READ_ONLY.get(kind) if self._read_only else None
        if statement is not None:
            event.listen(engine, "connect", lambda raw, _: _say(raw, statement))
        return engine


_LINE = {"postgresql": ("sslmode", "verify-full"), "mariadb": ("ssl_ca", "…"), "mysql": ("ssl_ca", "…")}
"""The option of the address without which a driver does not check who answers, and its value (…: a file)."""
_READ_ONLY = {
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
}


def _say(raw: Any, statement: str) -> None:
    cursor = raw.cursor()
    cursor.execute(statement)
    cursor.close()


def _tolerate(raw: Any, _: object) -> None:
    """Let dates that Python cannot hold (`infinity`, before our era) come as text, instead of ending the whole page."""
    from psycopg import DataError, pq  # noqa: PLC0415 - installed where it is used
    from psycopg.adapt import Buffer, Loader  # noqa: PLC0415

    def tolerant(strict: type[Any]) -> type[Loader]:
        class Tolerant(Loader):
            def __init__(self, oid: int, context: Any = None) -> None:
                super().__init__(oid, context)
                self._strict = strict(oid, context)

            def load(self, data: Buffer) -> Any:
                try:
                    return self._strict.load(data)
                except DataError:
                    return bytes(data).decode()

        return Tolerant

    adapters = raw.adapters
    for name in ("date", "timestamp", "timestamptz"):
        adapters.register_loader(name, tolerant(adapters.get_loader(adapters.types[name].oid, pq.Format.TEXT)))


def _options(kind: str, timeout_s: int) -> dict[str, Any]:
    """The driver's arguments that bound every wait."""
    if kind == "postgresql":
        return {
            "connect_timeout": 10,
            "tcp_user_timeout": timeout_s * 1_000,
            "options": f"-c statement_timeout={timeout_s}s -c lock_timeout={timeout_s}s",
            "application_name": "relais",
        }
    if kind in ("mariadb", "mysql"):
        return {"connect_timeout": 10, "read_timeout": timeout_s, "write_timeout": timeout_s}
    if kind == "sqlite":
        return {"timeout": timeout_s}
    if kind == "mssql":
        return {"timeout": 10}
    if kind == "oracle":
        return {"tcp_connect_timeout": 10}
    return {}
