"""Kafka's clients, started and stopped whole.

aiokafka forgets an open connection where its start is cancelled in the middle of its first request, and the cancellation itself where
its stop is: it waits for tasks that it has just cancelled, and takes our cancellation for theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer

T = TypeVar("T")
C = TypeVar("C", bound="Client")

GRACE_S = 2.0
"""How long a cancellation waits for a start or a stop under way; a broker that answers needs milliseconds."""


class Client(Protocol):
    """A producer or a consumer."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect; harmless if it was never started, or was stopped."""


def reader(**settings: Any) -> AIOKafkaConsumer:
    """A consumer, not started: what was not committed is not seen, and no position is committed behind anybody's back."""
    return AIOKafkaConsumer(isolation_level="read_committed", enable_auto_commit=False, **settings)


async def start(client: Client) -> None:
    """Start a client. Where that fails or is cancelled, nothing of it stays open."""
    try:
        await whole(client.start())
    except BaseException:
        await stop(client)
        raise


async def stop(client: Client) -> None:
    """Stop a client, though the caller be cancelled meanwhile."""
    await whole(client.stop())


@asynccontextmanager
async def running(client: C) -> AsyncIterator[C]:
    """Start a client, and stop it at the end."""
    await start(client)
    try:
        yield client
    finally:
        await stop(client)


async def whole(work: Coroutine[Any, Any, T], grace_s: float = GRACE_S) -> T:
    """Await work to its end: a cancellation is passed on when it has ended, or after `grace_s`, which cancels it too."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            try:
                await asyncio.wait({task}, timeout=grace_s)
            finally:
                task.cancel()
        raise
