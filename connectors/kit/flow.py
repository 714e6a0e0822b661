"""One commit under way while the next batch is mapped: neither waits for the other, and order stays."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Flow:
    """At most one commit under way. To be left by `async with`, which waits for it; where it is cancelled, so is the commit."""

    def __init__(self) -> None:
        self._under_way: asyncio.Task[None] | None = None

    async def settled(self) -> None:
        """Wait until what is under way is done. Raises what it raises."""
        ended, self._under_way = self._under_way, None
        if ended is not None:
            await ended

    def start(self, commit: Coroutine[Any, Any, None]) -> None:
        """Begin a commit; the one before it has to be settled."""
        assert self._under_way is None
        self._under_way = asyncio.create_task(commit)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError) and self._under_way is not None:
            self._under_way.cancel()
            await asyncio.wait({self._under_way})
            return
        await self.settled()


async def in_portions(work: Generator[None, None, T]) -> T:
    """What some work gives, done in portions between which the rest of the process has its turn."""
    while True:
        try:
            next(work)
        except StopIteration as ended:
            found: T = ended.value
            return found
        await asyncio.sleep(0)
