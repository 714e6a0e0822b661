"""Which software of which body was heard last, and which has fallen silent: from the heartbeats among the reference data of the bus.

There is one record for each source, so all of them are read again at every start. What counts is when the bus took a heartbeat, not
what the source's own clock says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from connectors.status.sink import SinkConfig
from schemas.codec import Codec, DecodeError
from schemas.types import EventType
from streams.engine.routing import REFERENCE
from streams.runtime import clients

log = structlog.get_logger()

SILENT = Gauge("relais_silent_sources", "Software of bodies that has missed two heartbeats in a row.")
MISSED = 2
"""A source is silent when it has missed so many: one may be late."""


class Heard(NamedTuple):
    """The last heartbeat of a source."""

    body: str
    source: str
    """As its events name it, `body/software`."""
    at: float
    """When the bus took it, seconds since the epoch."""
    every: int | None
    """Seconds within which it said that the next would come; None if it did not say."""

    def silent(self, now: float) -> bool:
        """Whether it is silent at `now` (seconds since the epoch)."""
        return self.every is not None and now - self.at > MISSED * self.every


class Sources:
    """Follows the heartbeats until it is cancelled."""

    def __init__(self, config: SinkConfig, events: Codec, now: Callable[[], float] = time.time) -> None:
        self._config = config
        self._events = events
        self._now = now
        self._heard: dict[bytes, Heard] = {}

    def all(self) -> list[tuple[Heard, bool]]:
        """Every source that has ever been heard and whether it is silent now: the silent first, then by name."""
        now = self._now()
        found = [(heard, heard.silent(now)) for heard in self._heard.values()]
        return sorted(found, key=lambda one: (not one[1], one[0].source))

    async def run(self) -> None:
        """Run until cancelled. A broker that is away is waited for."""
        while True:
            try:
                await self._session()
            except (KafkaError, OSError) as error:
                log.warning("heartbeats cannot be read now", error=type(error).__name__)
            except Exception as error:
                log.exception("heartbeats cannot be read now", error=type(error).__name__)
            await asyncio.sleep(self._config.retry_s)

    async def _session(self) -> None:
        partition = TopicPartition(f"{self._config.instance}.{REFERENCE}", 0)
        async with clients.running(self._config.consumer()) as consumer:
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            while True:
                for record in (await consumer.getmany(timeout_ms=1_000)).get(partition, ()):
                    self._take(record.key or b"", record.value, record.timestamp / 1000)
                SILENT.set(sum(silent for _, silent in self.all()))

    def _take(self, key: bytes, value: bytes | None, at: float) -> None:
        if value is None:
            self._heard.pop(key, None)
            return
        try:
            schema, datum = self._events.decode(value)
        except DecodeError:
            return  # of a later version: what it says is not for this one
        if schema.name == EventType.SOURCE_HEARTBEAT:
            source: str = datum["header"]["source"]
            self._heard[key] = Heard(source.partition("/")[0], source, at, datum["every"])
