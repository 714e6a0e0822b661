"""Writing to the bus: every event is acknowledged by all replicas before its sender is; what waits is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from connectors.gateway.problems import ProblemError, Trouble
from streams.runtime import clients

WRITTEN = Counter("relais_gateway_events_total", "Events written to the bus by the gateway.")
WAITING = Gauge("relais_gateway_waiting_bytes", "Bytes on their way to the bus.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BusConfig:
    """Settings of the producer."""

    brokers: str
    """`host:port` of brokers, with commas between."""
    instance: str = "main"
    """Instance to whose topics it writes."""
    security: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Further arguments of the Kafka client."""
    max_waiting_bytes: int = 16 * 1024 * 1024
    """Bytes on their way at once; beyond, senders are asked to come back."""
    timeout_s: float = 10.0
    """Wait for the brokers' acknowledgement."""


class Order(NamedTuple):
    """One record to write."""

    topic: str
    """Name within the instance."""
    partition: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Bus:
    """A producer that waits for its acknowledgements."""

    def __init__(self, config: BusConfig) -> None:
        self._config = config
        self._producer: AIOKafkaProducer | None = None
        self._waiting = 0

    @property
    def started(self) -> bool:
        """Whether it is connected."""
        return self._producer is not None

    async def start(self) -> None:
        """Connect. Raises KafkaError if no broker answers."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._config.brokers,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=2,
            max_request_size=2 * 1024 * 1024,
            retry_backoff_ms=50,
            **self._config.security,
        )
        await clients.start(producer)
        self._producer = producer

    async def stop(self) -> None:
        """Write what waits, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await clients.stop(producer)

    async def write(self, orders: Sequence[Order]) -> None:
        """Write records and wait until all are acknowledged.

        Raises `ProblemError`: overloaded (nothing was written), or unavailable (some may have been: the same events again
        are the same facts).
        """
        size = sum(len(o.value) + len(o.key) for o in orders)
        if self._waiting + size > self._config.max_waiting_bytes and self._waiting:
            detail = "send the same events again after the time that Retry-After says"
            raise ProblemError(Trouble.OVERLOADED, detail, headers={"Retry-After": "1"})
        self._waiting += size
        WAITING.set(self._waiting)
        try:
            await self._write(orders)
        except (KafkaError, TimeoutError, OSError):
            detail = "send the same events again later: one that was written after all is not counted twice"
            raise ProblemError(Trouble.UNAVAILABLE, detail, headers={"Retry-After": "5"}) from None
        finally:
            self._waiting -= size
            WAITING.set(self._waiting)
        WRITTEN.inc(len(orders))

    async def _write(self, orders: Sequence[Order]) -> None:
        producer = self._producer
        if producer is None:
            raise TimeoutError
        pending = []
        async with asyncio.timeout(self._config.timeout_s):
            for o in orders:
                topic = f"{self._config.instance}.{o.topic}"
                future = await producer.send(
                    topic, key=o.key, value=o.value, partition=o.partition, headers=list(o.headers)
                )
                future.add_done_callback(lambda f: f.cancelled() or f.exception())
                pending.append(future)
            await asyncio.gather(*pending)
