"""A batch is mapped while the one before it is committed: in order, and with nothing left behind."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from connectors.kit.flow import Flow, in_thread


async def test_one_commit_is_under_way_while_the_next_batch_is_mapped() -> None:
    told: list[str] = []
    mapped = asyncio.Event()

    async def commit(name: str) -> None:
        await mapped.wait()
        told.append(name)

    async with Flow() as flow:
        flow.start(commit("first"))
        await asyncio.sleep(0)
        assert told == []
        mapped.set()
        await flow.settled()
        flow.start(commit("second"))
    assert told == ["first", "second"]


async def test_what_a_commit_raises_is_raised_before_the_next_begins() -> None:
    async def fails() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        async with Flow() as flow:
            flow.start(fails())
            await flow.settled()
            raise AssertionError("the next one began")
    with pytest.raises(ValueError):
        async with Flow() as flow:
            flow.start(fails())


async def test_cancelled_it_leaves_no_commit_and_no_thread_behind() -> None:
    begun, ended = threading.Event(), threading.Event()
    cancelled = asyncio.Event()

    async def commit() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def work() -> None:
        begun.set()
        time.sleep(0.2)
        ended.set()

    async def both() -> None:
        async with Flow() as flow:
            flow.start(commit())
            await in_thread(work)

    task = asyncio.create_task(both())
    while not begun.is_set():  # noqa: ASYNC110 - a thread has no event for that
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert cancelled.is_set()
