"""Bundles: partitions of one topic that are always on the same worker, and that commit together.

A transaction costs broker and client the same whether it holds one record or thousands. Partitions that have something to
commit while a transaction of their bundle runs go together in the next one, so a worker that is slow for a moment makes fewer
transactions, never a queue of them. What fences a former holder is the bundle's transactional id.
"""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition

from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import TransactionFailed
from streams.runtime.metrics import AbortReason
from streams.runtime.transaction import Share, Transactions


def bundle_of(partition: int, bundles: int) -> int:
    """Number of the bundle of a partition."""
    return partition % bundles


def id_of(config: RuntimeConfig, stage: str, tp: TopicPartition) -> str:
    """Transactional id of the bundle of a partition."""
    return f"{config.instance}.{config.group}.{stage}.{tp.topic}.{bundle_of(tp.partition, config.bundles)}"


class Bundle:
    """The transactions of one bundle. After a failure all of its partitions are rebuilt, then `start` goes before the next."""

    def __init__(self, transactions: Transactions) -> None:
        self.mending = asyncio.Lock()
        """Held while its partitions are rebuilt after a failure."""
        self._transactions = transactions
        self._turn = asyncio.Lock()
        self._waiting: list[tuple[Share, asyncio.Future[int | None]]] = []

    @property
    def alive(self) -> bool:
        """Whether it was started and has not failed."""
        return self._transactions.alive

    async def start(self) -> None:
        """Fence earlier holders of the id and begin (see `Transactions.start`)."""
        await self._transactions.start()

    async def commit(self, share: Share) -> int | None:
        """Write and commit a share, with whatever other shares wait.

        Returns:
            Offset after its last state record, or None if there was none.

        Raises:
            TransactionFailed: nothing is known to be committed, of this share and of those that went with it.
        """
        done: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((share, done))
        try:
            async with self._turn:
                if not done.done():
                    await self._commit()
        except asyncio.CancelledError:
            self._waiting = [(s, d) for s, d in self._waiting if d is not done]
            raise
        return done.result()

    async def _commit(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            positions = await self._transactions.commit_all([share for share, _ in waiting])
        except TransactionFailed as failure:
            for _, done in waiting:
                done.set_exception(TransactionFailed(failure.code, failure.detail))
                done.exception()  # whoever was told to end meanwhile does not ask
        except BaseException:
            for _, done in waiting:
                done.set_exception(TransactionFailed(AbortReason.BROKER, "given up"))
                done.exception()
            raise
        else:
            for (_, done), position in zip(waiting, positions, strict=True):
                done.set_result(position)

    async def close(self) -> None:
        """Give the producer up; what is open stays open until the next holder of the id ends it."""
        await self._transactions.close()
