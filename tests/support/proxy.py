"""A plug between a client and a server on this machine, which a test can pull and put back."""

from __future__ import annotations

import asyncio
import contextlib


class Plug:
    """Forwards connections to a port of this machine, on a port of its own."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._lines: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self.port = 0

    async def put(self) -> None:
        """Let connections through; the port stays the same."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def pull(self) -> None:
        """Cut all connections, and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for writers in self._lines.values():
            for writer in writers:
                writer.transport.abort()
        await asyncio.gather(*self._lines)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        task = asyncio.create_task(self._serve(reader, writers))
        self._lines[task] = writers
        task.add_done_callback(self._lines.pop)

    async def _serve(self, reader: asyncio.StreamReader, writers: list[asyncio.StreamWriter]) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        writers.append(far_writer)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writers[0]))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
