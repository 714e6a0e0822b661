"""Partitions that move together and commit together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from faust.assignor.client_assignment import CopartitionedAssignment
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.assignor import assign
from streams.runtime.bundle import Bundle, bundle_of
from streams.runtime.errors import TransactionFailed
from streams.runtime.metrics import AbortReason
from streams.runtime.transaction import Share, Transactions

TOPICS = {"in", "raw"}


class Slow(Transactions):
    """Remembers what went together; each transaction waits to be let through, and fails when told to."""

    def __init__(self) -> None:
        self.together: list[list[int]] = []
        self.gate = asyncio.Semaphore(0)
        self.failure: BaseException | None = None

    async def commit_all(self, shares: Sequence[Share]) -> list[int | None]:
        partitions = [share.offset[0].partition for share in shares if share.offset]
        self.together.append(partitions)
        await self.gate.acquire()
        if self.failure is not None:
            raise self.failure
        return [partition * 10 for partition in partitions]


def share(partition: int) -> Share:
    return Share((TopicPartition("in", partition), 1, "group"), None, [])


async def started(bundle: Bundle, *partitions: int) -> list[asyncio.Task[int | None]]:
    """One commit after the other, each as far as it gets."""
    tasks = []
    for partition in partitions:
        tasks.append(asyncio.create_task(bundle.commit(share(partition))))
        await asyncio.sleep(0)
    return tasks


async def test_whoever_waits_goes_together() -> None:
    slow = Slow()
    tasks = await started(Bundle(slow), 0, 6, 12, 18)
    slow.gate.release()
    slow.gate.release()
    assert await asyncio.gather(*tasks) == [0, 60, 120, 180]
    assert slow.together == [[0], [6, 12, 18]]


async def test_a_failure_is_the_failure_of_all_that_went_with_it() -> None:
    slow, gone = Slow(), TransactionFailed(AbortReason.FENCED, "x")
    bundle = Bundle(slow)
    first, *tasks = await started(bundle, 0, 6, 12)
    slow.gate.release()
    await first
    slow.failure = gone
    slow.gate.release()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [(type(f), f.code) for f in found] == [(TransactionFailed, AbortReason.FENCED)] * 2  # type: ignore[union-attr]
    assert slow.together == [[0], [6, 12]]


async def test_who_is_told_to_end_while_it_waits_commits_nothing() -> None:
    slow = Slow()
    bundle = Bundle(slow)
    first, second, third = await started(bundle, 0, 6, 12)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    slow.gate.release()
    slow.gate.release()
    assert [await first, await third] == [0, 120]
    assert slow.together == [[0], [12]]


async def test_who_is_told_to_end_while_it_commits_for_others_leaves_none_of_them_waiting() -> None:
    slow = Slow()
    bundle = Bundle(slow)
    first, second, third = await started(bundle, 0, 6, 12)
    slow.gate.release()
    await first
    await asyncio.sleep(0)
    assert slow.together == [[0], [6, 12]]
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    with pytest.raises(TransactionFailed):
        await third


@given(
    members=st.integers(1, 9),
    count=st.integers(1, 30),
    bundles=st.integers(1, 8),
    held=st.lists(st.sets(st.integers(0, 29)), max_size=9),
)
def test_a_member_has_all_of_a_bundle_or_nothing(members: int, count: int, bundles: int, held: list[set[int]]) -> None:
    bundles = min(count, bundles)
    before = [*held[:members], *(set[int]() for _ in range(members - len(held)))]
    given_ = {f"m{i}": CopartitionedAssignment(set(b), set(), set(TOPICS)) for i, b in enumerate(before)}
    after = assign(given_, TOPICS, count, bundles)
    assert sorted(p for one in after.values() for p in one.actives) == list(range(count)), "each partition once"
    homes: dict[int, set[str]] = {}
    for member, one in after.items():
        for partition in one.actives:
            homes.setdefault(bundle_of(partition, bundles), set()).add(member)
    assert all(len(at) == 1 for at in homes.values())
    sizes = [len({bundle_of(p, bundles) for p in one.actives}) for one in after.values()]
    assert max(sizes) - min(sizes) <= 1, "shared out evenly"


@given(members=st.integers(1, 6), count=st.integers(1, 30), bundles=st.integers(1, 8))
def test_who_has_its_share_keeps_it(members: int, count: int, bundles: int) -> None:
    bundles = min(count, bundles)
    nothing = {f"m{i}": CopartitionedAssignment(set(), set(), set(TOPICS)) for i in range(members)}
    once = {m: set(a.actives) for m, a in assign(nothing, TOPICS, count, bundles).items()}
    again = assign(
        {m: CopartitionedAssignment(set(a), set(), set(TOPICS)) for m, a in once.items()}, TOPICS, count, bundles
    )
    assert {m: a.actives for m, a in again.items()} == once
