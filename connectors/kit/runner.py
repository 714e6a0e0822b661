"""Runs a source: read, map, check, publish, remember, acknowledge; again and again, whatever happens.

One transaction carries the facts of some batches, the dead letters, and where the source is read on. A second runner of the same connector
fences the first, whose open transaction is undone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from connectors.kit import metrics
from connectors.kit.contract import Acking, Batch, Cursor, Passive, Source
from connectors.kit.flow import Flow, in_portions
from connectors.kit.intake import Intake, Step
from connectors.kit.loop import Loop
from connectors.kit.mapper import Mapper
from connectors.kit.metrics import State
from connectors.kit.session import Session, letters_of
from connectors.kit.spec import Spec
from connectors.kit.state import CHECKPOINT
from connectors.kit.stating import Stating


class Runner(Loop):
    """Runs one source until it is stopped, or until a person has to change something."""

    _beat_at = 0.0
    """When it next states that its source is alive, by a monotonic clock."""

    async def _session(self) -> None:
        mapper = mapper_of(self.spec)
        source: Source = await self._held()  # type: ignore[assignment]
        ground = await self._prepare()
        async with Session.open(self.name, self._runtime) as session:
            intake = intake_of(session, self._runtime.instance, mapper, ground.stating)
            await self._release(session, intake)
            while not self._stop.is_set():
                if (mapper := mapper_of(self.spec)).version != intake.mapper.version:
                    intake.use(mapper)
                    await self._release(session, intake)
                await self._round(session, intake, source)
                await self._beat(session, intake, source)
                await session.prove(self._config.prove_s, CHECKPOINT, intake.checkpoint.bytes())
                metrics.LAST_SUCCESS.labels(self.name).set_to_current_time()
                self._show(State.IDLE)
                if self.once:
                    return
                await self._wait(self.spec.file.every)

    async def _beat(self, session: Session, intake: Intake, source: Source) -> None:
        """State that the source is alive, from time to time, with where it is read on."""
        now = time.monotonic()
        if now < self._beat_at or isinstance(source, Passive):
            return
        self._beat_at = now + self._config.beat_s
        # twice the time: one that comes late is no alarm
        await self._commit(session, intake.beat(1 + round(2 * (self._config.beat_s + self.spec.file.every))))

    async def _release(self, session: Session, intake: Intake) -> None:
        """Publish what waited for a label that is mapped now."""
        while (step := intake.release(self._config.batch_records)).told and not self._stop.is_set():
            await self._commit(session, step)

    async def _round(self, session: Session, intake: Intake, source: Source) -> None:
        """Read the source once, to the end that it has now."""
        self._show(State.READING)
        async with contextlib.aclosing(self._batches(source, intake.checkpoint.cursor)) as gathered, Flow() as flow:
            async for batches in gathered:
                await self._publish(flow, session, intake, source, batches)
                if self._stop.is_set():
                    return

    async def _batches(self, source: Source, cursor: Cursor) -> AsyncGenerator[list[Batch], None]:
        """Batches as they come, several at once where they are read faster than they are published."""
        queue: asyncio.Queue[Batch | _End] = asyncio.Queue(self._config.queue_batches)
        reader = asyncio.create_task(_read(source, cursor, queue))
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

    async def _publish(
        self, flow: Flow, session: Session, intake: Intake, source: Source, batches: list[Batch]
    ) -> None:
        """Map batches while those before them are committed, then let them be."""
        records = [record for batch in batches for record in batch.records]
        cursor, size = batches[-1].cursor, self._config.batch_records
        for start in range(0, max(1, len(records)), size):
            piece = records[start : start + size]
            begun = time.perf_counter()
            last = start + size >= len(records)
            step = await in_portions(intake.taking(piece, cursor, move=last))
            await flow.settled()
            flow.start(self._settle(session, step, begun, source, batches if last else ()))
            if self.spec.file.rate is not None:
                await self._wait(len(piece) / self.spec.file.rate - (time.perf_counter() - begun))

    async def _settle(
        self, session: Session, step: Step, begun: float, source: Source, batches: Sequence[Batch]
    ) -> None:
        """Commit a step, and tell the source what it need not give again."""
        await self._commit(session, step)
        metrics.BATCH_SECONDS.labels(self.name).observe(time.perf_counter() - begun)
        if isinstance(source, Acking):
            for batch in batches:
                await source.ack(batch)

    async def _commit(self, session: Session, step: Step) -> None:
        await session.commit(step.effects.state, step.effects.sends)
        self._count((told.outcome for told in step.told), (told.refusal for told in step.told))
        metrics.WAITING.labels(self.name).set(step.waiting)


def mapper_of(spec: Spec) -> Mapper:
    """The mapping of a connector, as its file says it now. Raises `InvalidFilesError`."""
    return Mapper(spec.mapping, spec.file.body, spec.file.system, spec.file.zone)


def intake_of(session: Session, instance: str, mapper: Mapper, stating: Stating) -> Intake:
    """The intake of a connector whose state is held."""
    return Intake((f"{instance}.", session.topic, letters_of(instance)), mapper, stating, session.store)


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
