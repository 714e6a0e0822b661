"""Partitions of correlate on a table: facts go in, messages are delivered in an order of the test's choice, nothing else happens."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

from schemas.codec import bus, events
from schemas.references import partition_of
from streams.correlate import Correlate, Plan
from streams.engine.book import Book
from streams.engine.root import ENTRY, FACT
from streams.runtime.processor import Effects, Record
from streams.runtime.store import MemoryStore
from tests.support.books import book
from tests.support.facts import KEYS
from tests.support.world import READER


class Bench:
    """Some partitions. `seed` shuffles deliveries; None keeps them in order."""

    def __init__(
        self, partitions: int = 1, rules: Book | None = None, room: int = 10_000, seed: int | None = None
    ) -> None:
        self.book = rules or book()
        self.plan = Plan("bench", partitions, 1, False, room, KEYS, events())
        self.stores = [MemoryStore() for _ in range(partitions)]
        self.parts: list[Correlate] = []
        self.restart()
        self.rnd = random.Random(seed) if seed is not None else None
        self.waiting: list[tuple[int, bytes]] = []
        self.offset = 0
        self.live: dict[tuple[str, bytes], bytes] = {}
        self.reasons: list[str] = []
        self.letters: list[dict[str, Any]] = []
        self.sent: Counter[str] = Counter()
        self.largest = 0

    def put(self, values: Iterable[bytes], at: int = 0) -> None:
        """Facts, each to the partition of its case, one a batch; then everything that they cause."""
        for value in values:
            self.deliver(partition_of(READER.copy(value, 0).fact.case, self.plan.partitions), [value], at)
        self.settle(at)

    def deliver(self, partition: int, values: list[bytes | None], at: int = 0) -> Effects:
        """One batch of one partition."""
        records = [Record(self.offset + i, at, None, value) for i, value in enumerate(values)]
        self.offset += len(values)
        effects = self.parts[partition].process(records)
        self.commit(partition, effects)
        return effects

    def settle(self, at: int = 0) -> None:
        """Deliver messages until there is none."""
        while self.waiting:
            i = self.rnd.randrange(len(self.waiting)) if self.rnd else 0
            partition, value = self.waiting.pop(i)
            self.deliver(partition, [value], at)

    def timers(self, established: int) -> int:
        """Timers of all partitions until nothing is due, with what they cause; number of turns."""
        turns = 0
        for partition, part in enumerate(self.parts):
            while (effects := part.timers(established, 10)) is not None:
                turns += 1
                assert turns < 1000, "timers do not end"
                self.commit(partition, effects)
        self.settle(established)
        return turns

    def use(self, rules: Book) -> None:
        """Another rule book for all."""
        self.book = rules
        for part in self.parts:
            part.use(rules)

    def restart(self) -> None:
        """New processors on the same stores."""
        self.parts = [Correlate(self.plan, i, store, self.book) for i, store in enumerate(self.stores)]
        for part in self.parts:
            part.reset()

    def commit(self, partition: int, effects: Effects) -> None:
        """Keep what a batch changed; take what it sent."""
        store = self.stores[partition]
        store.write([*effects.state, *effects.local], store.position() + len(effects.state))
        for send in effects.sends:
            topic = send.topic.removeprefix("bench.")
            self.largest = max(self.largest, len(send.value or b""))
            if topic == "case-events":
                assert send.value is not None
                self.sent[bus().decode(send.value)[0].name] += 1
                self.waiting.append((send.partition, send.value))
            elif topic == "dead-letters":
                self.letters.append(bus().decode(send.value or b"")[1])
            elif send.value is None:
                assert send.key is not None
                self.live.pop((topic, send.key), None)
                self.reasons.append(dict(send.headers)["reason"].decode())
            else:
                assert send.key is not None
                self.live[topic, send.key] = send.value

    # -- looking
    def entries(self) -> dict[bytes, str]:
        """Kind of record of each reference that has one: head or alias."""
        return {k[1:]: bus().decode(v)[0].name for s in self.stores for k, v in s.items(ENTRY)}

    def roots(self) -> dict[bytes, int]:
        """Facts of each root that holds any."""
        return dict(Counter(k[1:17] for s in self.stores for k, _ in s.items(FACT)))

    def read(self, topic: str) -> list[dict[str, Any]]:
        """Live values of an output topic, decoded, by key."""
        return [bus().decode(v)[1] for (t, _), v in sorted(self.live.items()) if t == topic]

    def journeys(self) -> list[list[str]]:
        """Cases of each status."""
        return sorted(sorted(c["case"] for c in s["cases"]) for s in self.read("statuses"))
