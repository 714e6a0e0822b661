"""A database of a town, as its own software uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import URL, create_engine, text

from connectors.kit.contract import Batch, Closing, Finding, Record, Refused, Report

C = TypeVar("C", bound=Closing)


class Base:
    """A database, and what the connector's configuration says of it."""

    def __init__(self, url: URL) -> None:
        self.kind = url.get_backend_name()
        self.engine = create_engine(url)
        password = url.password
        self.settings: dict[str, Any] = {"url": url._replace(password=None).render_as_string()}
        if password:
            self.settings["password"] = password
        self._held: list[Closing] = []

    def hold(self, connector: C) -> C:
        """A connector that is closed at the end of the test."""
        self._held.append(connector)
        return connector

    async def close(self) -> None:
        while self._held:
            await self._held.pop().close()
        self.engine.dispose()

    def run(self, *statements: str, **values: Any) -> None:
        """Some statements in one transaction."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), values)

    def rows(self, statement: str) -> Sequence[Any]:
        with self.engine.connect() as connection:
            return connection.execute(text(statement)).all()


async def drain(batches: AsyncIterator[Batch]) -> list[Batch]:
    return [batch async for batch in batches]


def records(batches: Sequence[Batch]) -> list[Record]:
    found = [record for batch in batches for record in batch.records]
    assert not any(isinstance(record, Refused) for record in found), found
    return [record for record in found if isinstance(record, Record)]


def keys(batches: Sequence[Batch]) -> list[str]:
    return [record.key for record in records(batches)]


def told(report: Report) -> str:
    return "\n".join(f"{'ok' if f.ok else 'NO'} {f.what} ({f.mend or f.advice})" for f in report.findings)


def failed(report: Report) -> Finding:
    (one,) = [finding for finding in report.findings if not finding.ok]
    return one
