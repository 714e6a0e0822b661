"""The platform's web hook, taken for what it is: a hint, unsigned and never repeated, that something changed.

Nothing of it is believed or kept; it only makes the next reading come at once. A hint that is lost costs the wait until the next one.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from urllib.parse import parse_qs

from pydantic import Field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connectors.kit.contract import ConfigError, ConnectorConfig
from connectors.kit.listening import Listener
from connectors.kit.secret import Secret, reveal

_LONGEST = 4096
_SLOWEST_S = 10.0
_SHORTEST_PATH = 22


class Hints(ConnectorConfig):
    """Where the platform's web hook arrives; the address is set on the démarche's page of the platform."""

    host: str = "127.0.0.1"
    """Address to listen on; a reverse proxy with TLS stands before it."""
    port: int = Field(ge=0, le=65535)
    """Port to listen on."""
    path: Secret
    """Path: `/` and at least 22 characters that nobody can guess."""
    wait_s: float = Field(20.0, gt=0)
    """After a reading a hint is waited for so long; then the runner's own interval counts."""
    pause_s: float = Field(2.0, ge=0)
    """Least time between two readings."""


class Ear:
    """Listens for hints about one démarche."""

    def __init__(self, config: Hints, demarche: int) -> None:
        self._config = config
        self._demarche = str(demarche)
        self._path = reveal(config.path, "hints.path")
        if not self._path.startswith("/") or len(self._path) <= _SHORTEST_PATH:
            raise ConfigError(f"a slash and at least {_SHORTEST_PATH} characters by chance", "hints.path")
        self._heard = asyncio.Event()
        self._listener: Listener | None = None
        self._last = -1e9

    @property
    def port(self) -> int | None:
        """The port on which it listens, once it does."""
        return self._listener.port if self._listener else None

    async def open(self) -> None:
        """Listen, if it does not yet. Raises `ConfigError`."""
        if self._listener is None:
            listener = Listener(self._serve, self._config.host, self._config.port)
            await listener.start()
            self._listener = listener

    async def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None

    async def heard(self) -> bool:
        """Wait for a hint; False if none came."""
        try:
            async with asyncio.timeout(self._config.wait_s):
                await self._heard.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(max(0.0, self._last + self._config.pause_s - time.monotonic()))
        self._last = time.monotonic()
        self._heard.clear()
        return True

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if not hmac.compare_digest(request.url.path.encode(), self._path.encode()):
            return Response(status_code=404)
        if request.method != "POST":
            return Response(status_code=405)
        body = bytearray()
        try:
            async with asyncio.timeout(_SLOWEST_S):
                async for part in request.stream():
                    body += part
                    if len(body) > _LONGEST:
                        return Response(status_code=413)
            said = parse_qs(body.decode(), max_num_fields=20)
        except (ClientDisconnect, TimeoutError, ValueError):
            return Response(status_code=400)
        if said.get("procedure_id") == [self._demarche]:
            self._heard.set()
        return Response(status_code=204)
