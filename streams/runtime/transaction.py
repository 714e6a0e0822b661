"""One transaction after another under one transactional id: all of a batch's effects, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from streams.runtime import clients
from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import TransactionFailed
from streams.runtime.metrics import AbortReason
from streams.runtime.processor import Send

log = logging.getLogger(__name__)

Entry = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
CLOSE_TIMEOUT_S = 5.0
NO_HEADERS: list[tuple[str, bytes]] = []


Offset = tuple[TopicPartition, int, str]
"""(input partition, next offset, group)."""
State = tuple[str, int, Sequence[tuple[bytes, bytes | None]]]
"""(changelog topic, partition, records)."""


class Share(NamedTuple):
    """What one of several has to commit."""

    offset: Offset | None
    """Where its group goes on; None to commit no offset."""
    state: State | None
    sends: Iterable[Send]
    """Everything else."""


class Transactions:
    """A transactional producer.

    Starting it fences every earlier holder of the id, and ends what that left open. After a failure it is of no more
    use: close it and start another.
    """

    def __init__(self, config: RuntimeConfig, transactional_id: str) -> None:
        self._config = config
        self._id = transactional_id
        self._producer: AIOKafkaProducer | None = None

    @property
    def alive(self) -> bool:
        """Whether it was started and has not failed."""
        return self._producer is not None

    async def start(self) -> None:
        """Fence earlier holders of the id and begin.

        Raises:
            KafkaError: the broker refused.
            TimeoutError: no answer.
        """
        await self.close()
        config = self._config
        producer = AIOKafkaProducer(
            **config.client(),
            transactional_id=self._id,
            transaction_timeout_ms=config.transaction_timeout_ms,
            retry_backoff_ms=config.retry_backoff_ms,
            max_batch_size=config.batch_bytes,
            compression_type=config.compression,
        )
        try:
            async with asyncio.timeout(config.commit_timeout_s):
                await clients.whole(producer.start())
        except BaseException:
            await _close(producer)
            raise
        self._producer = producer

    async def commit(self, offset: Offset | None, state: State | None, sends: Iterable[Send]) -> int | None:
        """Write all of it in one transaction and commit.

        Returns:
            Offset after the last state record, or None if there was none.

        Raises:
            TransactionFailed: nothing is known to be committed; this object is closed.
        """
        (position,) = await self.commit_all([Share(offset, state, sends)])
        return position

    async def commit_all(self, shares: Sequence[Share]) -> list[int | None]:
        """Commit several shares in one transaction; the result of each, as `commit` returns it."""
        producer = self._producer
        if producer is None:
            raise TransactionFailed(AbortReason.BROKER, "no producer")
        pending: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(self._config.commit_timeout_s):
                await producer.begin_transaction()
                # Offsets first: after them the broker accepts records at once, before them it makes the client wait.
                for group, offsets in _by_group(shares).items():
                    await producer.send_offsets_to_transaction(offsets, group)
                positions = await self._produce(producer, shares, pending)
                await producer.commit_transaction()
        except BaseException as error:
            self._producer = None
            await _close(producer)
            _forget(pending)
            if isinstance(error, TransactionFailed):
                raise
            if isinstance(error, Exception):
                if not isinstance(error, (KafkaError, TimeoutError)):
                    log.exception("transaction %s", self._id)
                raise TransactionFailed(_reason(error), type(error).__name__) from error
            raise
        return positions

    async def _produce(
        self,
        producer: AIOKafkaProducer,
        shares: Sequence[Share],
        pending: list[asyncio.Future[Any]],
    ) -> list[int | None]:
        groups: dict[tuple[str, int], list[Entry]] = {}
        for share in shares:
            if share.state is not None and share.state[2]:
                groups[share.state[0], share.state[1]] = [(key, value, NO_HEADERS) for key, value in share.state[2]]
            for send in share.sends:
                group = groups.get((send.topic, send.partition))
                if group is None:
                    group = groups[send.topic, send.partition] = []
                group.append((send.key, send.value, send.headers))
        now = time.time_ns() // 1_000_000
        rest = {at: _pack(producer, entries, now) for at, entries in groups.items()}
        futures: dict[tuple[str, int], list[tuple[asyncio.Future[Any], int]]] = {at: [] for at in rest}
        turn = 0
        # The first batch of every partition goes out before any second: one request then adds all partitions.
        while rest:
            for at in list(rest):
                if turn >= len(rest[at]):
                    del rest[at]
                    continue
                batch = rest[at][turn]
                future = await producer.send_batch(batch, at[0], partition=at[1])
                pending.append(future)
                futures[at].append((future, batch.record_count()))
            turn += 1
        await asyncio.gather(*pending)
        return [_position(share, futures) for share in shares]

    async def close(self) -> None:
        """Give the producer up; what is open stays open until the next holder of the id ends it."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _close(producer)


def _by_group(shares: Sequence[Share]) -> dict[str, dict[TopicPartition, int]]:
    found: dict[str, dict[TopicPartition, int]] = {}
    for share in shares:
        if share.offset is not None:
            tp, offset, group = share.offset
            found.setdefault(group, {})[tp] = offset
    return found


def _position(share: Share, futures: dict[tuple[str, int], list[tuple[asyncio.Future[Any], int]]]) -> int | None:
    """Offset after the last state record of a share."""
    if share.state is None or not share.state[2]:
        return None
    last, count = futures[share.state[0], share.state[1]][-1]
    base: int = last.result().offset
    if base < 0:
        # A repeated request was answered "duplicate": written, but where is not said.
        raise TransactionFailed(AbortReason.SEND, "offset unknown")
    return base + count


def _pack(producer: AIOKafkaProducer, entries: Sequence[Entry], now: int) -> list[Any]:
    batches = []
    batch = producer.create_batch()
    append = batch.append
    for key, value, headers in entries:
        if append(timestamp=now, key=key, value=value, headers=headers) is None:
            batches.append(batch)
            batch = producer.create_batch()
            append = batch.append
            append(timestamp=now, key=key, value=value, headers=headers)
    batch.close()
    batches.append(batch)
    return batches


def _reason(error: Exception) -> AbortReason:
    if isinstance(error, (ProducerFenced, InvalidProducerEpoch)) or isinstance(error.__cause__, ProducerFenced):
        return AbortReason.FENCED
    if isinstance(error, TimeoutError):
        return AbortReason.TIMEOUT
    return AbortReason.BROKER


async def _close(producer: AIOKafkaProducer) -> None:
    await clients.whole(_end(producer), 2 * CLOSE_TIMEOUT_S)


async def _end(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await producer.stop()
    except Exception:  # noqa: BLE001 - whatever it is, the producer is given up
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await producer.client.close()
    await asyncio.sleep(0)  # the end of the sender is noted in the next turn of the loop
    # The library leaves the failure of a transaction in futures that nobody asks.
    unsent = [batch._drain_waiter for queue in producer._message_accumulator._batches.values() for batch in queue]
    known = (producer._txn_manager._transaction_waiter, producer._sender.sender_task, *unsent)
    _forget(future for future in known if future is not None)


def _forget(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Nobody will ask for these: their failures are not news, and some will never be done."""
    for future in futures:
        if not future.done():
            future.cancel()
        elif not future.cancelled():
            future.exception()
