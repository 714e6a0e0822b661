"""The process of a worker: Faust's, but for its beginning, which waits for a broker, and its end, which is a reason and no stack trace."""

from __future__ import annotations

import logging
from typing import Any

import faust
from aiokafka.errors import KafkaConnectionError

from streams.runtime.config import RuntimeConfig
from streams.runtime.contact import first_contact
from streams.runtime.errors import RuntimeReason, WorkerEnd
from streams.runtime.service import EXIT_CODE

log = logging.getLogger(__name__)


class Process(faust.Worker):
    """Runs an app until it is told to stop, or until the worker can no longer do its work: then the exit code is `EXIT_CODE`."""

    def __init__(self, app: faust.App, config: RuntimeConfig, **options: Any) -> None:
        super().__init__(app, redirect_stdouts=False, **options)
        self._runtime = config

    async def start(self) -> None:
        """Start once a broker answers."""
        try:
            await first_contact(self._runtime)
            await super().start()
        except WorkerEnd as end:
            log.critical("worker ends: %s", end)
            raise SystemExit(EXIT_CODE) from None
        except KafkaConnectionError:
            where = ", ".join(self._runtime.brokers)
            log.critical("worker ends: %s", WorkerEnd(RuntimeReason.NO_BROKER, f"none answers at {where} any more"))
            raise SystemExit(EXIT_CODE) from None

    def _shutdown_loop(self) -> None:
        """End without Faust's second telling of why: the runtime has said it, in one line."""
        try:
            super()._shutdown_loop()
        except WorkerEnd:
            raise SystemExit(EXIT_CODE) from None
