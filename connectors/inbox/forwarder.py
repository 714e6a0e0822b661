"""Keeps one feed running for each body that subscribes, as the register says it now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from connectors.gateway.access import Access
from connectors.inbox.feed import Feed, FeedConfig
from streams.runtime.errors import TransactionFailed, WorkerEnd
from streams.runtime.metrics import AbortReason

log = structlog.get_logger()

FEEDS = Gauge("relais_inbox_feeds", "Inbox topics that are fed by this process.")
LAG = Gauge(
    "relais_inbox_lag_records", "Handoff records that the inbox topics have not taken yet, all bodies together."
)
FAILURES = Counter(
    "relais_inbox_failures_total", "Feeds of inbox topics that ended and were started again.", ["reason"]
)
for _reason in ("fenced", "failed"):
    FAILURES.labels(_reason)

Ensure = Callable[[str], Awaitable[object]]
"""Brings the topic of a body's inbox into being."""


class Forwarder:
    """Runs the feeds until it is cancelled."""

    def __init__(self, access: Access, config: FeedConfig, ensure: Ensure) -> None:
        self._access = access
        self._config = config
        self._ensure = ensure
        self._running: dict[str, Feed] = {}

    async def run(self) -> None:
        """Run until cancelled; whoever subscribes is fed within `look_s`, whoever no longer does is left alone."""
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                wanted = await asyncio.to_thread(self._access.subscribers)
                for body in wanted - tasks.keys():
                    tasks[body] = asyncio.create_task(self._keep(body))
                for body in tasks.keys() - wanted:
                    await _end([tasks.pop(body)])
                FEEDS.set(len(self._running))
                LAG.set(sum(feed.lag for feed in self._running.values()))
                await asyncio.sleep(self._config.look_s)
        finally:
            await _end(list(tasks.values()))

    async def _keep(self, body: str) -> None:
        while True:
            wait, reason = self._config.retry_s, "failed"
            try:
                await self._ensure(body)
                feed = self._running[body] = Feed(body, self._config)
                await feed.run()
            except TransactionFailed as error:
                if error.code is AbortReason.FENCED:
                    wait, reason = self._config.fenced_s, "fenced"
                log.warning("an inbox is not fed now", body=body, reason=error.code.value)
            except (KafkaError, WorkerEnd, OSError) as error:
                log.warning("an inbox is not fed now", body=body, error=type(error).__name__)
            except Exception as error:
                log.exception("an inbox is not fed now", body=body, error=type(error).__name__)
            finally:
                self._running.pop(body, None)
            FAILURES.labels(reason).inc()
            await asyncio.sleep(wait)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
