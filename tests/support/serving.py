"""Real HTTP servers on free ports of this machine, with TLS where a test wants it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.types import ASGIApp

from connectors.kit.listening import Listener
from connectors.kit.outgoing import Outgoing

LOOPBACK = Outgoing(private=("127.0.0.0/8",), timeout_s=10)


@asynccontextmanager
async def serving(app: ASGIApp, *, port: int = 0, certificate: Path | None = None) -> AsyncIterator[str]:
    """Serve it; the address. `certificate`: one PEM file with certificate and key."""
    listener = Listener(app, "127.0.0.1", port, certificate=certificate)
    await listener.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{listener.port}"
    finally:
        await listener.close()
