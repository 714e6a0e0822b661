"""Runs a sink: what the bus says to a body is brought to the body's system, in order for each handoff, each state once or again.

The position on the bus, what waits to be sent again, dead letters and receipts are written in one transaction after the receiver has
answered; a crash in between sends the same items again, under the same ids.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from connectors.kit import metrics
from connectors.kit.contract import Outcome as Told
from connectors.kit.contract import Retry, Sink
from connectors.kit.dispatch import Dispatch, Waiting
from connectors.kit.intake import Outcome
from connectors.kit.items import Brought, handoff_item, status_item
from connectors.kit.loop import Ground, Loop
from connectors.kit.metrics import State
from connectors.kit.session import Session, letters_of
from connectors.kit.state import CHECKPOINT
from connectors.kit.stating import Refusal
from connectors.kit.tools import today
from schemas.codec import bus
from streams.runtime import clients
from streams.runtime.offsets import Offsets

POLL_MS = 200
BACKLOG = 1_000
"""Items waiting to be sent again, above which no more are read."""


class Outlet(Loop):
    """Runs one sink until it is stopped, or until a person has to change something."""

    async def _session(self) -> None:
        sink: Sink = await self._held()  # type: ignore[assignment]
        ground = await self._prepare()
        async with Session.open(self.name, self._runtime) as session, clients.running(self._consumer()) as consumer:
            topics = (f"{self._runtime.instance}.", session.topic, letters_of(self._runtime.instance))
            dispatch = Dispatch(topics, ground.stating, session.store)
            await self._seek(consumer, dispatch)
            while not self._stop.is_set():
                await self._turn(session, dispatch, consumer, ground, sink)

    def _consumer(self) -> AIOKafkaConsumer:
        return clients.reader(
            **self._runtime.client(),
            auto_offset_reset="earliest",
            fetch_max_wait_ms=POLL_MS,
        )

    async def _seek(self, consumer: AIOKafkaConsumer, dispatch: Dispatch) -> None:
        """Go to where the bus was read to; at first, to its beginning: it holds the newest state of everything."""
        offsets = Offsets(self._runtime)
        try:
            names = [f"{self._runtime.instance}.{name}" for name in self.spec.file.takes]
            parts = [TopicPartition(name, p) for name in names for p in range(await offsets.partitions(name))]
            starts, ends = await offsets.starts(parts), await offsets.ends(parts)
        finally:
            await offsets.close()
        consumer.assign(parts)
        kept: Mapping[str, int] = dispatch.checkpoint.cursor or {}
        for tp in parts:
            at = kept.get(_place(tp), starts[tp])
            consumer.seek(tp, at if starts[tp] <= at <= ends[tp] else starts[tp])

    async def _turn(
        self, session: Session, dispatch: Dispatch, consumer: AIOKafkaConsumer, ground: Ground, sink: Sink
    ) -> None:
        """Read some, send what is due, write down what became of it."""
        if dispatch.waiting() < BACKLOG:
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=self._config.batch_records)
            for tp, records in polled.items():
                for record in records:
                    if (brought := self._brought(tp.topic, record, ground)) is not None:
                        dispatch.take(brought)
        else:
            await self._wait(POLL_MS / 1000)
        while due := dispatch.due(time.monotonic(), self._config.batch_records):
            self._show(State.READING)
            await self._send(dispatch, sink, due)
            if self.spec.file.rate is not None:
                await self._wait(len(due) / self.spec.file.rate)
        cursor = {**(dispatch.checkpoint.cursor or {})}
        lag = 0
        for tp in consumer.assignment():
            cursor[_place(tp)] = at = await consumer.position(tp)
            lag += max(0, (consumer.highwater(tp) or 0) - at)
        effects = dispatch.done(cursor)
        await session.commit(effects.state, effects.sends)
        await session.prove(self._config.prove_s, CHECKPOINT, dispatch.checkpoint.bytes())
        metrics.LAG.labels(self.name).set(lag)
        metrics.WAITING.labels(self.name).set(dispatch.waiting())
        metrics.LAST_SUCCESS.labels(self.name).set_to_current_time()
        self._show(State.IDLE)
        if self.once and not lag:
            self.stop()

    async def _send(self, dispatch: Dispatch, sink: Sink, due: list[Waiting]) -> None:
        begun = time.perf_counter()
        outcomes = await sink.send([one.item for one in due])
        metrics.BATCH_SECONDS.labels(self.name).observe(time.perf_counter() - begun)
        refusals = dispatch.settle(due, outcomes, time.monotonic(), today(self.spec.file.zone, time.time()))
        self._count(map(_outcome, outcomes, refusals), refusals)

    def _brought(self, topic: str, record: Any, ground: Ground) -> Brought | None:
        """What a record of the bus is to the body."""
        assert ground.book is not None
        datum = None if record.value is None else bus().decode(record.value)[1]
        make = handoff_item if topic.endswith(".handoffs") else status_item
        return make(record.key, datum, self.spec.file.body, ground.book, f"{topic} {record.partition} {record.offset}")


def _outcome(told: Told, refusal: Refusal | None) -> Outcome:
    """What became of an item, for counting."""
    if refusal is not None:
        return Outcome.REFUSED
    return Outcome.RETRIED if isinstance(told, Retry) else Outcome.SENT


def _place(tp: TopicPartition) -> str:
    """A partition within the instance, as the checkpoint names it."""
    return f"{tp.topic.rpartition('.')[2]}/{tp.partition}"
