"""A network of ours between a worker and the broker: it can be cut, stand still, be slow, or swallow the answer to a commit."""

from __future__ import annotations

import asyncio
import contextlib
import struct

HOST = "127.0.0.1"
END_TXN = 26
"""Kafka's number of the request that commits a transaction."""
CHUNK = 64 * 1024


class Proxy:
    """One listening port on loopback; the broker's port behind it is told once it is known."""

    def __init__(self) -> None:
        self.port = 0
        self.behind = 0
        """Port of the broker."""
        self.delay_s = 0.0
        """Each piece of an answer is held up so long."""
        self.commits_cut = 0
        """Commits whose answer was swallowed."""
        self._open = asyncio.Event()
        self._flowing = asyncio.Event()
        self._let_go = asyncio.Event()
        self.holds = asyncio.Event()
        """Set while a commit is held back."""
        self._cut_commits = 0
        self._hold = False
        self._links: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        self.heal()
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._links, return_exceptions=True)

    def heal(self) -> None:
        """All goes through again, without delay."""
        self.delay_s, self._cut_commits, self._hold = 0.0, 0, False
        self.holds.clear()
        self._let_go.set()
        self._open.set()
        self._flowing.set()

    def cut(self) -> None:
        """End every connection and refuse new ones, until healed."""
        self._open.clear()
        for link in self._links:
            link.cancel()

    def stall(self) -> None:
        """Half-open: connections stand and what the worker says goes through, but no answer comes, until healed."""
        self._flowing.clear()

    def cut_at_commit(self, times: int = 1) -> None:
        """Let the next commits through, and end the connection before their answer: nobody there knows what became of them."""
        self._cut_commits += times

    def hold_commit(self) -> None:
        """Keep the next commit from the broker: its transaction stays open. Once healed, its connection ends."""
        self._let_go.clear()
        self._hold = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        broker: asyncio.StreamWriter | None = None
        try:
            if self._open.is_set():
                answers, broker = await asyncio.open_connection(HOST, self.behind)
                await self._join(reader, broker, answers, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # an end is an end, whoever made it
        finally:
            self._links.discard(link)
            for one in (writer, broker):
                if one is not None:
                    one.transport.abort()

    async def _join(
        self,
        reader: asyncio.StreamReader,
        broker: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        mute = asyncio.Event()
        ways = [
            asyncio.create_task(self._requests(reader, broker, mute)),
            asyncio.create_task(self._answers(answers, writer, mute)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self, reader: asyncio.StreamReader, broker: asyncio.StreamWriter, mute: asyncio.Event) -> None:
        while True:
            size = await reader.readexactly(4)
            request = await reader.readexactly(struct.unpack(">i", size)[0])
            commits = struct.unpack_from(">h", request)[0] == END_TXN
            if commits and self._hold:
                self.holds.set()
                await self._let_go.wait()
                return
            if commits and self._cut_commits:
                self._cut_commits -= 1
                self.commits_cut += 1
                mute.set()
            broker.write(size + request)
            await broker.drain()

    async def _answers(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, mute: asyncio.Event) -> None:
        while piece := await answers.read(CHUNK):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._flowing.wait()
            if mute.is_set():
                return  # the broker has done what it was asked, and the connection ends before it can say so
            writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
