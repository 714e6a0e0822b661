"""Where logs begin and end, as the brokers know it now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.runtime import clients
from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import RuntimeReason, WorkerEnd


class Offsets:
    """Asks for ends as high watermarks: what is still in a transaction counts, so nothing sent before is missed."""

    def __init__(self, config: RuntimeConfig) -> None:
        self._config = config
        self._consumer: AIOKafkaConsumer | None = None
        self._starting = asyncio.Lock()

    async def _client(self) -> AIOKafkaConsumer:
        async with self._starting:
            if self._consumer is None:
                consumer = AIOKafkaConsumer(
                    **self._config.client(), isolation_level="read_uncommitted", enable_auto_commit=False
                )
                await clients.start(consumer)
                self._consumer = consumer
            return self._consumer

    async def starts(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """First offset of each log that is still there."""
        wanted = list(tps)
        return dict(await (await self._client()).beginning_offsets(wanted)) if wanted else {}

    async def ends(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Offset that the next record of each log will get."""
        wanted = list(tps)
        return dict(await (await self._client()).end_offsets(wanted)) if wanted else {}

    async def partitions(self, topic: str) -> int:
        """Number of partitions of a topic.

        Raises:
            WorkerEnd: there is no such topic.
        """
        client = await self._client()
        try:
            found = await client._client._wait_on_metadata(topic)
        except KafkaError as error:
            raise WorkerEnd(RuntimeReason.TOPIC, f"{topic} is missing") from error
        return len(found)

    async def close(self) -> None:
        """Close the client."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await clients.stop(consumer)
