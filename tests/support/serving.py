"""Real HTTP servers on free ports of this machine, with TLS where a test wants it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from starlette.types import ASGIApp

from connectors.kit.contract import Closing
from connectors.kit.listening import Listener
from connectors.kit.outgoing import Outgoing

User = TypeVar("User", bound=Closing)
LOOPBACK = Outgoing(private=("127.0.0.0/8",), timeout_s=10)


class Switched:
    """A server that tests take down and bring back at the same address, and the connectors that use it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._listener: Listener | None = None
        self._port = 0
        self._users: list[Closing] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def used_by(self, one: User) -> User:
        """It is closed at the end."""
        self._users.append(one)
        return one

    async def bring_back(self) -> None:
        self._listener = Listener(self._app, "127.0.0.1", self._port)
        await self._listener.start()
        self._port = self._listener.port

    async def take_down(self) -> None:
        assert self._listener is not None
        await self._listener.close()
        self._listener = None

    async def close(self) -> None:
        """Close the connectors, and end."""
        for one in self._users:
            await one.close()
        if self._listener is not None:
            await self.take_down()


@asynccontextmanager
async def using(connector: User) -> AsyncIterator[User]:
    """A connector that is closed at the end."""
    try:
        yield connector
    finally:
        await connector.close()


@asynccontextmanager
async def serving(app: ASGIApp, *, port: int = 0, certificate: Path | None = None) -> AsyncIterator[str]:
    """Serve it; the address. `certificate`: one PEM file with certificate and key."""
    listener = Listener(app, "127.0.0.1", port, certificate=certificate)
    await listener.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{listener.port}"
    finally:
        await listener.close()
