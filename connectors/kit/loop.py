"""What keeps a connector going: session after session, with a wait after each failure, until a person has to change something."""

from __future__ import annotations

import asyncio
import contextlib
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import structlog
from aiokafka.errors import KafkaError

from connectors.kit import metrics
from connectors.kit.contract import Closing, ConfigError, Listening, Sink, Source, Unavailable
from connectors.kit.intake import Outcome
from connectors.kit.metrics import State
from connectors.kit.spec import Spec
from connectors.kit.stating import Refusal, Stating
from schemas.yamltext import InvalidFilesError
from streams.engine.book import Book
from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import TransactionFailed, WorkerEnd
from streams.runtime.metrics import AbortReason

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerConfig:
    """Settings of a runner beside those of its runtime."""

    batch_records: int = 5_000
    """At most so many records in one transaction."""
    queue_batches: int = 8
    """Batches read ahead of what is published; the source then waits."""
    retry_s: float = 1.0
    """First wait after a failure; it doubles, with jitter."""
    retry_most_s: float = 300.0
    """Longest wait after a failure."""
    prove_s: float = 10.0
    """After so long without a transaction one is made, to learn whether another process took this connector over."""
    beat_s: float = 300.0
    """A source that was read to its end states that it is alive, this often at most."""
    fenced_s: float = 15.0
    """Wait after another process took this connector over."""


class Ground(NamedTuple):
    """What a connector stands on."""

    stating: Stating
    """States facts in the name of its system."""
    book: Book | None = None
    """The rule book; a sink needs it to tell what its body may see."""


Prepare = Callable[[], Awaitable[Ground]]
"""Brings the state topic into being, and gives what the connector stands on. Called at each start."""


class Loop(ABC):
    """Runs one connector until it is stopped, or until a person has to change something."""

    def __init__(
        self,
        spec: Spec,
        prepare: Prepare,
        runtime: RuntimeConfig,
        config: RunnerConfig,
        connector: Source | Sink | None = None,
    ) -> None:
        """`connector`: in place of the one that the file names; whoever gives it closes it."""
        self.connector = connector
        """The connector, once there is one."""
        self._given = connector is not None
        self.name = spec.file.name
        self.spec = spec
        self._prepare = prepare
        self._runtime = runtime
        self._config = config
        self._stop = asyncio.Event()
        self.once = False
        """Whether to end after all that there is now, or after the first failure."""
        self.state = State.STARTING
        self.told = ""
        """Why it does not work now, in words for a person."""
        self.counts: Counter[Outcome] = Counter()
        metrics.begin(self.name)

    @abstractmethod
    async def _session(self) -> None:
        """Take the state over and work until stopped. Raises whatever ends it."""

    def stop(self) -> None:
        """Finish the transaction under way, and end."""
        self._stop.set()

    @property
    def listens(self) -> bool:
        """Whether others call this connector, and it answers them whatever becomes of the bus."""
        return isinstance(self.connector, Listening)

    async def run(self) -> None:
        """Run until stopped. Ends by itself only where a person has to change something; `told` says what."""
        try:
            await self._sessions()
        finally:
            await self._let_go()

    async def _held(self) -> Source | Sink:
        """The connector: made once and kept from session to session, so that whoever calls it finds it while the bus is away."""
        if self.connector is None:
            self.connector = self.spec.make()
        if isinstance(self.connector, Listening):
            await self.connector.listen()
        return self.connector

    async def _let_go(self) -> None:
        if self._given or self.connector is None:
            return
        ended, self.connector = self.connector, None
        if isinstance(ended, Closing):
            try:
                await ended.close()
            except Exception as error:  # noqa: BLE001 - it is given up all the same
                log.warning("a connector did not close", connector=self.name, error=type(error).__name__)

    async def _sessions(self) -> None:
        failures = 0
        while not self._stop.is_set():
            before = self.counts.total()
            wait: float | None = None
            self._show(State.STARTING, self.told)
            try:
                await self._session()
                break
            except (ConfigError, InvalidFilesError) as error:
                self._show(State.STOPPED, str(error), "configuration")
                log.error("a connector stopped: a person has to change something", connector=self.name, mend=str(error))
                return
            except Unavailable as error:
                wait = error.after_s
                self._show(State.UNAVAILABLE, str(error), "unavailable")
                log.warning("a system does not answer", connector=self.name, what=str(error))
            except TransactionFailed as error:
                fenced = error.code is AbortReason.FENCED
                wait = self._config.fenced_s if fenced else None
                self._show(State.FAILING, error.code.value, "fenced" if fenced else "bus")
                log.warning("a transaction of a connector failed", connector=self.name, reason=error.code.value)
            except (KafkaError, WorkerEnd, OSError, TimeoutError) as error:
                self._show(State.FAILING, type(error).__name__, "bus")
                log.warning("a connector cannot reach the bus", connector=self.name, error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - a bug of one connector must not end the others
                self._show(State.FAILING, type(error).__name__, "bug")
                log.error("a connector failed", connector=self.name, error=type(error).__name__, at=_place(error))
                await self._let_go()  # nobody knows in what state it is
            if self.once:
                return
            failures = 1 if self.counts.total() > before else failures + 1
            await self._wait(wait if wait is not None else self._backoff(failures))

    def _count(self, outcomes: Iterable[Outcome], refusals: Iterable[Refusal | None]) -> None:
        found = Counter(outcomes)
        self.counts += found
        for outcome, count in found.items():
            metrics.RECORDS.labels(self.name, outcome.value).inc(count)
        for refusal in refusals:
            if refusal is not None:
                metrics.LETTERS.labels(self.name, refusal.reason.value).inc()

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)

    def _backoff(self, failures: int) -> float:
        longest: float = min(self._config.retry_most_s, self._config.retry_s * 2.0 ** min(failures - 1, 20))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret

    def _show(self, state: State, told: str = "", failure: str = "") -> None:
        self.state, self.told = state, told
        metrics.show(self.name, state)
        if failure:
            metrics.FAILURES.labels(self.name, failure).inc()


def _place(error: BaseException) -> str:
    """Where it happened: file and line, never what was being handled."""
    trace, last = error.__traceback__, None
    while trace is not None:
        last, trace = trace, trace.tb_next
    return f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else ""
