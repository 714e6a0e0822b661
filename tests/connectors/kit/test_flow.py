"""A batch is mapped while the one before it is committed: in order, and with nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from connectors.kit.flow import Flow, in_portions


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


async def test_cancelled_it_leaves_no_commit_behind() -> None:
    cancelled = asyncio.Event()

    async def commit() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def work() -> None:
        async with Flow() as flow:
            flow.start(commit())
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()


async def test_others_have_their_turn_between_portions() -> None:
    turns: list[str] = []

    def work() -> Generator[None, None, str]:
        for _ in range(3):
            turns.append("work")
            yield
        return "done"

    async def others() -> None:
        for _ in range(3):
            turns.append("others")
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    assert await in_portions(work()) == "done"
    await beside
    assert turns == ["work", "others"] * 3
