"""Runs a source: read, map, check, publish, remember, acknowledge; again and again, whatever happens.

One transaction carries the facts of some batches, the dead letters, and where the source is read on. A second runner of the same connector
fences the first, whose open transaction is undone.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from connectors.kit import metrics
from connectors.kit.contract import Acking, Batch, Closing, ConfigError, Cursor, Source, Unavailable
from connectors.kit.intake import Intake, Outcome, Step
from connectors.kit.mapper import Mapper
from connectors.kit.metrics import State
from connectors.kit.spec import Spec
from connectors.kit.stating import Stating
from schemas.yamltext import InvalidFilesError
from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import TransactionFailed, WorkerEnd
from streams.runtime.metrics import AbortReason
from streams.runtime.offsets import Offsets
from streams.runtime.recovery import Job, restore
from streams.runtime.rocks import Stores
from streams.runtime.store import Store
from streams.runtime.transaction import Transactions

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
    fenced_s: float = 15.0
    """Wait after another process took this connector over."""


def topic_of(instance: str, name: str) -> str:
    """Name of the state topic of a connector."""
    return f"{instance}.connector.{name}"


class Runner:
    """Runs one source until it is stopped, or until a person has to change something."""

    def __init__(
        self,
        spec: Spec,
        stating: Callable[[], Stating],
        runtime: RuntimeConfig,
        config: RunnerConfig = RunnerConfig(),
        source: Source | None = None,
    ) -> None:
        """`source`: in place of the one that the file names."""
        self.name = spec.file.name
        self._spec = spec
        self._stating = stating
        self._runtime = runtime
        self._config = config
        self._source = source
        self._stop = asyncio.Event()
        self._topic = topic_of(runtime.instance, self.name)
        self.state = State.STARTING
        self.told = ""
        """Why it does not work now, in words for a person."""
        self.counts: Counter[Outcome] = Counter()
        metrics.begin(self.name)

    def stop(self) -> None:
        """Finish the transaction under way, and end."""
        self._stop.set()

    async def run(self) -> None:
        """Run until stopped. Ends by itself only where a person has to change something; `told` says what."""
        failures = 0
        while not self._stop.is_set():
            progress = sum(self.counts.values())
            wait: float | None = None
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
            failures = 1 if sum(self.counts.values()) > progress else failures + 1
            await self._wait(wait if wait is not None else self._backoff(failures))

    async def _session(self) -> None:
        """Take the state over, then read round after round. Raises whatever ends it."""
        self._show(State.STARTING)
        session = await _Session.open(self._spec, self._stating(), self._runtime)
        source = self._source or self._spec.make()
        try:
            while not self._stop.is_set():
                await self._round(session, source)  # type: ignore[arg-type]
                metrics.LAST_SUCCESS.labels(self.name).set_to_current_time()
                self._show(State.IDLE)
                await self._wait(self._spec.file.every)
        finally:
            await session.close()
            if self._source is None and isinstance(source, Closing):
                await source.close()

    async def _round(self, session: _Session, source: Source) -> None:
        if session.remap():
            while (step := session.intake.release(self._config.batch_records)).told:
                await self._commit(session, step)
        self._show(State.READING)
        async with contextlib.aclosing(self._batches(source, session)) as gathered:
            async for batches in gathered:
                await self._publish(session, batches)
                if isinstance(source, Acking):
                    for batch in batches:
                        await source.ack(batch)
                if self._stop.is_set():
                    return

    async def _batches(self, source: Source, session: _Session) -> AsyncGenerator[list[Batch], None]:
        """Batches as they come, several at once where they are read faster than they are published."""
        queue: asyncio.Queue[Batch | _End] = asyncio.Queue(self._config.queue_batches)
        reader = asyncio.create_task(_read(source, session.intake.checkpoint.cursor, queue))
        stopping = asyncio.create_task(self._stop.wait())
        ended: _End | None = None
        try:
            while ended is None:
                item = await _next(queue, stopping)
                found: list[Batch] = []
                while isinstance(item, Batch):
                    found.append(item)
                    if queue.empty() or sum(len(b.records) for b in found) >= self._config.batch_records:
                        break
                    item = queue.get_nowait()
                if found:
                    yield found
                if isinstance(item, _End):
                    ended = item
            if ended.error is not None:
                raise ended.error
        finally:
            reader.cancel()
            stopping.cancel()
            await asyncio.gather(reader, stopping, return_exceptions=True)

    async def _publish(self, session: _Session, batches: list[Batch]) -> None:
        records = [record for batch in batches for record in batch.records]
        cursor, size = batches[-1].cursor, self._config.batch_records
        for start in range(0, max(1, len(records)), size):
            piece = records[start : start + size]
            begun = time.perf_counter()
            step = session.intake.take(piece, cursor, move=start + size >= len(records))
            await self._commit(session, step)
            metrics.BATCH_SECONDS.labels(self.name).observe(time.perf_counter() - begun)
            if self._spec.file.rate is not None:
                await self._wait(len(piece) / self._spec.file.rate - (time.perf_counter() - begun))

    async def _commit(self, session: _Session, step: Step) -> None:
        await session.commit(step)
        for told in step.told:
            self.counts[told.outcome] += 1
            metrics.RECORDS.labels(self.name, told.outcome.value).inc()
            if told.refusal is not None:
                metrics.LETTERS.labels(self.name, told.refusal.reason.value).inc()
        metrics.WAITING.labels(self.name).set(session.intake.waiting.total())

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


class _Session:
    """The state of a connector, held by this process alone until somebody fences it."""

    def __init__(self, intake: Intake, spec: Spec, topic: str, transactions: Transactions, store: Store) -> None:
        self.intake = intake
        self._spec = spec
        self._topic = topic
        self._transactions = transactions
        self._store = store
        self._fresh = True

    @classmethod
    async def open(cls, spec: Spec, stating: Stating, runtime: RuntimeConfig) -> _Session:
        """Fence whoever ran it before, and bring the store up to date."""
        mapper = _mapper(spec)
        topic = topic_of(runtime.instance, spec.file.name)
        transactions, offsets = Transactions(runtime, topic), Offsets(runtime)
        try:
            store = Stores(runtime).open(f"connector-{spec.file.name}", 0)
        except Exception:  # noqa: BLE001 - RocksDB says it in no other way
            raise Unavailable("another process of this machine runs this connector") from None
        try:
            await offsets.partitions(topic)
            await transactions.start()
            job = Job(TopicPartition(topic, 0), store, lambda _key, _value: [], ("connector", "0"))
            await restore(runtime, offsets, [job])
            topics = (f"{runtime.instance}.", topic, f"{runtime.instance}.dead-letters")
            return cls(Intake(topics, mapper, stating, store), spec, topic, transactions, store)
        except BaseException:
            await transactions.close()
            store.close()
            raise
        finally:
            await offsets.close()

    def remap(self) -> bool:
        """Take the mapping up again if it changed; whether what waits has to be tried again."""
        fresh, self._fresh = self._fresh, False
        mapper = _mapper(self._spec)
        if mapper.version != self.intake.mapper.version:
            self.intake.use(mapper)
            return True
        return fresh

    async def commit(self, step: Step) -> None:
        """Write it in one transaction; nothing of it counts before. Raises TransactionFailed: open another session."""
        effects = step.effects
        if not effects.state and not effects.sends:
            return
        position = await self._transactions.commit(None, (self._topic, 0, effects.state), effects.sends)
        self._store.write(effects.state, self._store.position() if position is None else position)

    async def close(self) -> None:
        """Let go of it."""
        await self._transactions.close()
        self._store.close()


def _mapper(spec: Spec) -> Mapper:
    return Mapper(spec.mapping, spec.file.body, spec.file.system, spec.file.zone)


@dataclass(frozen=True, slots=True)
class _End:
    """A source has nothing more for now, or failed."""

    error: Exception | None = None


async def _read(source: Source, cursor: Cursor, queue: asyncio.Queue[Batch | _End]) -> None:
    try:
        async for batch in source.read(cursor):
            await queue.put(batch)
    except Exception as error:  # noqa: BLE001 - told to whoever publishes, after what was read before it
        await queue.put(_End(error))
    else:
        await queue.put(_End())


async def _next(queue: asyncio.Queue[Batch | _End], stopping: asyncio.Task[bool]) -> Batch | _End:
    """The next in the queue; the end if the runner stops first."""
    getting = asyncio.create_task(queue.get())
    try:
        await asyncio.wait({getting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return getting.result() if getting.done() else _End()
    finally:
        getting.cancel()


def _place(error: BaseException) -> str:
    """Where it happened: file and line, never what was being handled."""
    trace, last = error.__traceback__, None
    while trace is not None:
        last, trace = trace, trace.tb_next
    return f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else ""
