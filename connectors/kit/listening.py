"""A small HTTP server inside a process that has other work: it leaves signals alone and ends when told."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from connectors.kit.contract import ConfigError, Unavailable


class Listener:
    """Serves one ASGI application between `start` and `close`."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, *, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        """Port 0: a free one, told by `port` once started. `certificate`, `key`: PEM files, for TLS."""
        self._host, self._port = host, port
        self._server = _Server(
            uvicorn.Config(
                app,
                interface="asgi3",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
                limit_concurrency=200,  # whoever comes then is answered 503
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
        )
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port on which it listens."""
        assert self._socket is not None
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: that address cannot be had.
            Unavailable: another program listens there, perhaps one of ours that is about to end.
        """
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._socket = socket.create_server((self._host, self._port), family=family)
            # asyncio does so only where a socket names its protocol; without it each answer waits 40 ms for an acknowledgement
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Unavailable(f"port: another program listens on {self._host}:{self._port}") from None
            raise ConfigError(f"{self._host}:{self._port} cannot be listened on: {error.strerror}", "port") from None
        self._task = asyncio.create_task(self._server.serve([self._socket]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise ConfigError("the server did not start", "port")
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Finish what is being answered, and end."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None
        if self._socket is not None:
            self._socket.close()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process handles its signals itself."""
        yield
