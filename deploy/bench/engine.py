"""`relais bench engine`: the whole stage of correlate on a table, without Kafka; processor time, which a busy machine disturbs least."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from deploy import rules
from deploy.bench import bed
from deploy.bench.traffic import Made, Shape, Traffic
from deploy.worker import FACT_BYTES
from schemas.codec import events
from schemas.references import Keys, partition_of
from streams.correlate import Correlate, Plan
from streams.engine.book import Book
from streams.runtime import collector
from streams.runtime.processor import Effects, Record
from streams.runtime.store import MemoryStore

KEYS = Keys(b"a benchmark keeps no secrets: 32")
INSTANCE = "bench"
NOON = 1_767_000_000_000
"""Admission of every fact, ms since the epoch."""


class Table:
    """All partitions in one process; messages between them go through queues, as they would through the log."""

    def __init__(self, partitions: int, batch: int, book: Book, cache_mb: int) -> None:
        room = max(100, cache_mb * 1_048_576 // FACT_BYTES // partitions)
        self._plan = Plan(INSTANCE, partitions, 6, False, room, KEYS, events())
        self._batch = batch
        self._stores = [MemoryStore() for _ in range(partitions)]
        self._parts = [Correlate(self._plan, i, store, book) for i, store in enumerate(self._stores)]
        for part in self._parts:
            part.reset()
        self._queues: list[deque[Record]] = [deque() for _ in range(partitions)]
        self._offset = 0
        self.seconds = 0.0
        """Processor time of the stage."""
        self.read = self.written = self.size = 0
        self.digest = hashlib.sha256()
        """Over everything written, in its order."""

    def put(self, facts: Iterable[Made]) -> int:
        """Append facts to the log, each in the partition of its case; their number."""
        count = 0
        for fact in facts:
            key = KEYS.of(fact.subject)
            self._append(partition_of(key, self._plan.partitions), key, fact.value)
            count += 1
        return count

    def drain(self) -> None:
        """Process batch after batch until nothing is left, partition after partition."""
        while any(self._queues):
            for i, queue in enumerate(self._queues):
                if queue:
                    records = [queue.popleft() for _ in range(min(len(queue), self._batch))]
                    begun = time.process_time()
                    effects = self._parts[i].process(records)
                    self.seconds += time.process_time() - begun
                    self.read += len(records)
                    self._commit(i, effects)

    def _commit(self, partition: int, effects: Effects) -> None:
        store = self._stores[partition]
        store.write([*effects.state, *effects.local], store.position() + len(effects.state))
        topic = self._plan.topic("case-events")
        for key, value in effects.state:
            self._count(key, value)
        for send in effects.sends:
            self._count(send.key, send.value)
            if send.topic == topic:
                assert send.value is not None
                self._append(send.partition, send.key, send.value)

    def _count(self, key: bytes | None, value: bytes | None) -> None:
        self.written += 1
        self.size += len(key or b"") + len(value or b"")
        self.digest.update(key or b"")
        self.digest.update(value or b"\0")

    def _append(self, partition: int, key: bytes | None, value: bytes) -> None:
        self._queues[partition].append(Record(self._offset, NOON, key, value))
        self._offset += 1


def run(shape: Shape, open_: int, facts: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Prepare open journeys, then process facts of them; the figures as a JSON object."""
    settings = {"partitions": 24, "batch_records": 5000, "cache_mb": 4096}
    traffic = Traffic(shape)
    table = Table(settings["partitions"], settings["batch_records"], rules.book(bed.directory()), settings["cache_mb"])
    say(f"preparing {open_} open journeys")
    table.put(traffic.before(open_))
    table.drain()
    table.seconds, table.read, table.written, table.size, table.digest = 0.0, 0, 0, 0, hashlib.sha256()
    count = table.put(traffic.measured(open_, facts))
    collector.settled()  # as a worker does
    say(f"processing {count} facts")
    table.drain()
    return {
        "bench": "engine", "shape": shape.value, "open": open_, "facts": count,
        "us_per_fact": round(table.seconds / count * 1e6, 1), "us_per_record": round(table.seconds / table.read * 1e6, 1),
        "records_per_fact": round(table.read / count, 3), "records_written_per_fact": round(table.written / count, 2),
        "bytes_written_per_fact": round(table.size / count), "written": table.digest.hexdigest(),
        "machine": bed.machine(), "settings": settings,
    }  # fmt: skip
