"""What a connector remembers, held by this process alone: the state topic, its local store, and the transactions that write to both."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from aiokafka import TopicPartition

from connectors.kit.contract import Unavailable
from streams.runtime.config import RuntimeConfig
from streams.runtime.offsets import Offsets
from streams.runtime.processor import Send
from streams.runtime.recovery import Job, restore
from streams.runtime.rocks import Stores
from streams.runtime.store import Change, Store
from streams.runtime.transaction import Transactions


def topic_of(instance: str, name: str) -> str:
    """Name of the state topic of a connector."""
    return f"{instance}.connector.{name}"


def letters_of(instance: str) -> str:
    """Name of the topic of dead letters."""
    return f"{instance}.dead-letters"


class Session:
    """The state of one connector, from when it was taken over until a transaction fails. A later session of anybody fences it."""

    def __init__(self, topic: str, transactions: Transactions, store: Store) -> None:
        self.topic = topic
        self.store = store
        self._transactions = transactions
        self._proved = time.monotonic()

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, runtime: RuntimeConfig) -> AsyncIterator[Session]:
        """Fence whoever holds it, undo what that left open, and bring the local store up to date; let go of it at the end.

        Raises:
            Unavailable: another process of this machine has the local store open.
            KafkaError, WorkerEnd, TimeoutError: the bus does not answer, or has no such topic.
        """
        topic = topic_of(runtime.instance, name)
        transactions, offsets = Transactions(runtime, topic), Offsets(runtime)
        try:
            store = Stores(runtime).open(f"connector-{name}", 0)
        except Exception:  # noqa: BLE001 - RocksDB says it in no other way
            raise Unavailable("another process of this machine runs this connector") from None
        async with AsyncExitStack() as held:
            held.callback(store.close)
            held.push_async_callback(transactions.close)
            try:
                await offsets.partitions(topic)
                await transactions.start()
                job = Job(TopicPartition(topic, 0), store, lambda _key, _value: [], ("connector", "0"))
                await restore(runtime, offsets, [job])
            finally:
                await offsets.close()
            yield cls(topic, transactions, store)

    async def commit(self, changes: Sequence[Change], sends: Sequence[Send]) -> None:
        """Write it all in one transaction, then to the store; nothing of it counts before.

        Raises TransactionFailed: open another session.
        """
        if not changes and not sends:
            return
        position = await self._transactions.commit(None, (self.topic, 0, changes), sends)
        self._proved = time.monotonic()
        self.store.write(changes, self.store.position() if position is None else position)

    async def prove(self, every_s: float, key: bytes, value: bytes) -> None:
        """Write what is there already, if nothing was written for so long: whoever was fenced while idle learns it so."""
        if time.monotonic() - self._proved >= every_s:
            await self.commit([(key, value)], [])
