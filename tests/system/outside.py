"""The bus as seen from outside: what stands in its topics, and what the plain computation says should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import bus, events
from schemas.references import Kind
from streams.correlate import ADMITTED
from streams.engine.alerts import MARK
from streams.engine.book import Book
from streams.engine.facts import Copy, Reader
from streams.engine.root import FACT
from streams.engine.view import fold, view
from tests.support.facts import KEYS
from tests.support.world import DAY

TOPIC = {Kind.CASE: "statuses", Kind.HANDOFF: "handoffs", MARK[0]: "alerts"}
OUTPUTS = ("statuses", "handoffs", "alerts")
WRITTEN = ("case-events", "journeys", *OUTPUTS)
READER = Reader(events(), KEYS)
Contents = dict[tuple[str, bytes], bytes]


class Seen(NamedTuple):
    """A record as a reader sees it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


async def read(brokers: str, topic: str, committed: bool = True) -> list[Seen]:
    """Every record of a topic; of each partition in its order. `committed`: without those of aborted transactions."""
    isolation = "read_committed" if committed else "read_uncommitted"
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=brokers, isolation_level=isolation, auto_offset_reset="earliest", fetch_max_wait_ms=50
    )
    await consumer.start()
    try:
        parts: list[TopicPartition] = sorted(consumer.assignment())
        assert parts, f"no topic {topic}"
        ends = await consumer.end_offsets(parts)
        found: list[Seen] = []
        for part in parts:
            while await consumer.position(part) < ends[part]:
                got = await consumer.getmany(part, timeout_ms=200)
                found += [Seen(r.partition, r.offset, r.key, r.value, dict(r.headers)) for r in got.get(part, ())]
        return found
    finally:
        await consumer.stop()


async def aborted(brokers: str, topics: Iterable[str]) -> int:
    """Records of transactions that did not commit, of those before the last that did. May be asked at any time."""
    found = 0
    for topic in topics:
        committed = {(r.partition, r.offset) for r in await read(brokers, topic)}
        last: dict[int, int] = {}
        for partition, offset in committed:
            last[partition] = max(offset, last.get(partition, 0))
        every = {(r.partition, r.offset) for r in await read(brokers, topic, committed=False)}
        found += sum(offset < last.get(partition, 0) for partition, offset in every - committed)
    return found


class Bus:
    """One instance, read whole."""

    def __init__(self, topics: dict[str, list[Seen]]) -> None:
        self.topics = topics

    @classmethod
    async def look(cls, brokers: str, instance: str) -> Bus:
        """All topics as they are now."""
        return cls({t: await read(brokers, f"{instance}.{t}") for t in (*WRITTEN, "dead-letters")})

    def latest(self, topic: str) -> dict[bytes, bytes]:
        """The last value of each key: what compaction leaves."""
        found: dict[bytes, bytes] = {}
        for record in self.topics[topic]:
            assert record.key is not None
            if record.value is None:
                found.pop(record.key, None)
            else:
                found[record.key] = record.value
        return found

    def outputs(self) -> Contents:
        """Statuses, handoffs and alerts."""
        return {(topic, key): value for topic in OUTPUTS for key, value in self.latest(topic).items()}

    def admitted(self) -> list[Copy]:
        """Every fact of `case-events` with the hour of its admission: the tick before it, or the one it brings along."""
        ticks: Counter[int] = Counter()
        found = []
        for record in self.topics["case-events"]:
            value = record.value or b""
            schema = bus().frame(value)
            if schema is None:
                brought = record.headers.get(ADMITTED)
                at = int.from_bytes(brought, "big") if brought else ticks[record.partition]
                found.append(READER.copy(value, at))
            elif schema.name == "tick":
                ticks[record.partition] = max(ticks[record.partition], bus().decode(value)[1]["at"])
        return found

    def messages(self) -> Counter[str]:
        """How many messages of each kind were exchanged."""
        names = (bus().frame(r.value or b"") for r in self.topics["case-events"])
        return Counter(s.name for s in names if s is not None)

    def facts(self) -> list[tuple[bytes, bytes, Any]]:
        """Facts in `journeys`: root, fact, record."""
        found = self.latest("journeys").items()
        return [(k[1:17], k[17:], bus().decode(v)[1]) for k, v in found if k[:1] == FACT]


def least(copies: Iterable[Copy]) -> dict[bytes, Copy]:
    """By fact, the copy to be kept."""
    found: dict[bytes, Copy] = {}
    for copy in copies:
        kept = found.get(copy.fact.key)
        found[copy.fact.key] = copy if kept is None or copy < kept else kept
    return found


def computed(copies: Iterable[Copy], now: int, book: Book) -> Contents:
    """Every output of all these facts at once: no partition, no message, no order of arrival."""
    seen = view(fold(least(copies).values()), now, book)
    return {(TOPIC[key[0]], key): out.value for key, out in seen.outputs.items()}


def difference(have: Contents, want: Contents) -> list[str]:
    """What is not as it should be, some of it."""
    wrong = [f"missing {t} {k.hex()}" for t, k in want.keys() - have.keys()]
    wrong += [f"too many {t} {k.hex()}" for t, k in have.keys() - want.keys()]
    wrong += [f"differs {t} {k.hex()}" for t, k in want.keys() & have.keys() if want[t, k] != have[t, k]]
    return sorted(wrong)


def check_facts(seen: Bus, copies: list[Copy]) -> None:
    """Each fact stands in one root, as its least copy."""
    held = seen.facts()
    want = least(copies)
    assert Counter(fact for _, fact, _ in held) == Counter(want.keys())
    wrong = [
        (kept.fact.type, kept.fact.subject, (datum["rank"], datum["admitted"] / DAY), (kept.rank, kept.admitted / DAY))
        for _, fact, datum in held
        if (datum["rank"], datum["admitted"], datum["value"]) != ((kept := want[fact]).rank, kept.admitted, kept.value)
    ]
    assert not wrong, f"{len(wrong)} of {len(held)}: {wrong[:5]}"


def check_alerts(seen: Bus, groups: list[list[Copy]], hours: list[int], book: Book) -> int:
    """Whatever was ever written of an alert is what the facts of some hour say at that hour, and nothing is said twice.

    `groups`: facts that have to do with each other. Returns how many episodes were told.
    """
    true: dict[bytes, set[bytes]] = {}
    for group in groups:
        for hour in hours:
            known = [c for c in group if c.admitted < hour]
            for (topic, key), value in computed(known, hour, book).items():
                if topic == "alerts":
                    true.setdefault(key, set()).add(value)
    last: dict[bytes, bytes | None] = {}
    begun: Counter[tuple[bytes, int]] = Counter()
    open_: dict[bytes, set[int]] = {}
    for record in seen.topics["alerts"]:
        assert record.key is not None
        assert record.value != last.get(record.key), f"alert {record.key.hex()} was written twice"
        last[record.key] = record.value
        raised: set[int] = set()
        if record.value is not None:
            assert record.value in true.get(record.key, ()), f"alert {record.key.hex()} was never true"
            episodes = bus().decode(record.value)[1]["episodes"]
            raised = {e["raised_on"] for e in episodes if e["resolved_on"] is None}
        for day in raised - open_.get(record.key, set()):
            begun[record.key, day] += 1
        open_[record.key] = raised
    return begun.total()
