"""Whether a broker answers: waited for before the start, and asked all the time, since who has no work hears nothing of a cut network."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import RuntimeReason, WorkerEnd
from streams.runtime.offsets import Offsets

log = logging.getLogger(__name__)

SAY_S = 5.0
"""Between two lines that tell what is waited for."""
RETRY_S = 0.5


async def first_contact(config: RuntimeConfig) -> None:
    """Wait until a broker answers, and say so meanwhile.

    Raises:
        WorkerEnd: none did for `broker_wait_s`.
    """
    where = ", ".join(config.brokers)
    begun = time.monotonic()
    said = begun - SAY_S
    while not await _answers(config):
        now = time.monotonic()
        if now - begun > config.broker_wait_s:
            raise WorkerEnd(RuntimeReason.NO_BROKER, f"none answered at {where} for {config.broker_wait_s:.0f} s")
        if now - said >= SAY_S:
            said = now
            log.warning("no broker answers at %s: waiting; if it runs, set right RELAIS_BROKERS", where)
        await asyncio.sleep(RETRY_S)


async def _answers(config: RuntimeConfig) -> bool:
    client = AIOKafkaClient(**config.client())
    try:
        async with asyncio.timeout(max(1.0, config.broker_wait_s)):
            await client.bootstrap()
    except (KafkaError, TimeoutError, OSError):
        return False
    finally:
        with contextlib.suppress(KafkaError, OSError):
            await client.close()
    return True


class Contact:
    """Asks a broker again and again, and knows for how long none has answered."""

    def __init__(self, config: RuntimeConfig, offsets: Offsets) -> None:
        self._config = config
        self._offsets = offsets
        self._heard_at = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds since a broker last answered."""
        return time.monotonic() - self._heard_at

    @property
    def lost(self) -> bool:
        """Whether no broker has answered for a session: the group has given this worker up by now, or will."""
        return self.silent_s > self._config.session_timeout_s

    async def keep(self) -> None:
        """Ask for ever, once for each heartbeat."""
        log_ = TopicPartition(self._config.time_log, 0)
        while True:
            with contextlib.suppress(KafkaError, TimeoutError, OSError):
                async with asyncio.timeout(self._config.session_timeout_s):
                    await self._offsets.ends([log_])
                self._heard_at = time.monotonic()
            await asyncio.sleep(self._config.heartbeat_s)
