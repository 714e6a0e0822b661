"""Waiting for the read model to change: one look for all who wait, however many they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

from connectors.status.model import NotReadyError, ReadModel

_T = TypeVar("_T")


class Pulse:
    """Looks at the read model while somebody waits."""

    def __init__(self, model: ReadModel, every_s: float = 0.05) -> None:
        self._model = model
        self._every = every_s
        self._seen: tuple[int, int] | None = None
        self._changed = asyncio.Event()
        self._waiting = 0
        self._task: asyncio.Task[None] | None = None

    async def until(self, look: Callable[[], _T | None], seconds: float) -> _T | None:
        """What `look` finds (run in a thread) as soon as it finds something; None after so many seconds."""
        end = time.monotonic() + seconds
        self._waiting += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            while True:
                changed = self._changed
                found = await run_in_threadpool(look)
                left = end - time.monotonic()
                if found is not None or left <= 0:
                    return found
                try:
                    async with asyncio.timeout(left):
                        await changed.wait()
                except TimeoutError:
                    return await run_in_threadpool(look)
        finally:
            self._waiting -= 1

    async def _watch(self) -> None:
        while self._waiting:
            try:
                seen = await run_in_threadpool(self._model.pulse)
            except NotReadyError:
                seen = None
            if seen != self._seen:
                self._seen = seen
                changed, self._changed = self._changed, asyncio.Event()
                changed.set()
            await asyncio.sleep(self._every)

    async def stop(self) -> None:
        """End the watch."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
