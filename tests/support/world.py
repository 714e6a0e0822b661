"""A world of partitions without Kafka: the real processor on real bytes, under a random schedule.

Logs, crashes (effects dropped, memory reset), restarts (a new processor on the same store), lagging partitions, skewed clocks, output
partitions read in any interleaving, and established time by rounds as the runtime does it. What is expected comes from the plain
computation: one view of all facts at once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from schemas.codec import bus, events
from schemas.references import Kind, partition_of
from streams.correlate import ADMITTED, Correlate, Plan
from streams.engine.alerts import MARK
from streams.engine.book import Book
from streams.engine.claims import journeys
from streams.engine.facts import Copy, Reader
from streams.engine.messages import split_keys
from streams.engine.root import ENTRY, FACT
from streams.engine.view import fold, view
from streams.runtime.processor import Effects, Record
from streams.runtime.store import MemoryStore
from tests.support.facts import KEYS
from tests.support.reading import Output, Reading, ViolationError, references

DAY = 86_400_000
INSTANCE = "world"
READER = Reader(events(), KEYS)


class Arrival(NamedTuple):
    """A fact on its way in: the day it comes, and by which door."""

    day: int
    door: str
    """direct, or admit (which may lag)."""
    value: bytes


class Log:
    """One partition of an input topic with its processor; admit has none and forwards."""

    def __init__(self, world: World, no: int) -> None:
        self.world, self.no = world, no
        self.records: list[Record] = []
        self.pos = 0
        self.store = MemoryStore()
        self.tick = 0
        self.end: int | None = None
        self.dirty = False
        self.processor: Correlate | None = None
        self.restart(first=True)

    @property
    def is_admit(self) -> bool:
        return self.no == self.world.partitions

    def restart(self, first: bool = False) -> None:
        if not self.is_admit:
            self.processor = Correlate(self.world.plan, self.no, self.store, self.world.book)
            self.processor.reset()
        self.dirty, self.end = not first, None

    def append(self, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()) -> None:
        key = self.world.key_for(value) if self.world.keyed else None
        self.records.append(Record(len(self.records), self.world.clock(self.no), key, value, headers))

    def step(self, n: int, crash: bool) -> None:
        batch = self.records[self.pos : self.pos + n]
        if self.processor is None:
            self._forward(batch)
            return
        effects = self.processor.process(list(batch))
        if crash:
            self.processor.reset()
            return
        self.pos += len(batch)
        self._commit(effects)

    def _forward(self, batch: list[Record]) -> None:
        self.pos += len(batch)
        for r in batch:
            schema = bus().frame(r.value or b"")
            if schema is not None:
                self.tick = bus().decode(r.value or b"")[1]["at"]
                continue
            stamp = self.tick if self.world.plan.led else r.timestamp
            self.dirty |= stamp < self.world.bound
            assert r.value is not None
            self.world.home(r.value).append(r.value, ((ADMITTED, stamp.to_bytes(8, "big")),))

    def timers(self) -> None:
        assert self.processor is not None
        while (effects := self.processor.timers(self.world.established, 50)) is not None:
            self._commit(effects)

    def _commit(self, effects: Effects) -> None:
        for key, value in effects.state:
            if key[:1] == FACT and value is not None:
                self.world.note_fact(key[1:17], key[17:])
        self.store.write([*effects.state, *effects.local], self.store.position() + len(effects.state))
        if effects.progress is not None:
            self.tick = effects.progress
        if effects.least is not None:
            self.dirty |= effects.least < self.world.bound
        for send in effects.sends:
            self.world.take(self, send)


def legal_groups(copies: Iterable[Copy], book: Book) -> dict[bytes, int]:
    """Which facts may ever meet: by fact, the number of its journey among all facts, as if nothing had been taken apart."""
    cases = fold(copies)
    for case in cases.values():
        case.links = {}
    groups = {c.key: i for i, j in enumerate(journeys(cases.values(), (), book.convention)) for c in j.cases}
    return {c.fact.key: groups[c.fact.case] for c in copies}


class World:
    """One run of some facts under one schedule. Facts arrive on days 0 to `last`; the clock then stands at `last` + 30."""

    def __init__(self, arrivals: Iterable[Arrival], seed: int, book: Book, room: int | None = None) -> None:
        r = self.rnd = random.Random(seed)
        self.feed = sorted(arrivals, key=lambda a: a.day)
        self.cases = sorted({READER.copy(a.value, 0).fact.case for a in self.feed})
        self.keyed = bool(self.cases) and r.random() < 0.7
        self.last = max((a.day for a in self.feed), default=0) + 30
        self.book = book
        self.partitions = r.randint(1, 6)
        self.output_partitions = r.randint(1, 4)
        self.plan = Plan(
            INSTANCE,
            self.partitions,
            self.output_partitions,
            r.random() < 0.5,
            room or r.choice((3, 30, 10_000)),
            KEYS,
            events(),
        )
        self.now = 0
        self.established, self.stage, self.bound, self.candidate = -1, 0, -1, -1
        self.skew = [r.choice((0, 0, 1, 3)) for _ in range(self.partitions + 1)]
        self.ticks = [0] * (self.partitions + 1)
        self.stop = [0] * (self.partitions + 1)
        self.lag, self.crash, self.again = r.choice((0, 0.03, 0.1)), r.choice((0, 0.1, 0.3)), r.choice((0, 0.02))
        self.logs = [Log(self, i) for i in range(self.partitions + 1)]
        self.out: list[list[Output]] = [[] for _ in range(self.output_partitions)]
        self.copies: list[Copy] = []
        self.purged: set[bytes] = set()
        self.gone: set[bytes] = set()
        self.readers = [Reading(self.out, self.gone) for _ in range(2)]
        self.letters: list[dict[str, Any]] = []
        self.count: Counter[str] = Counter()
        self._expected: dict[tuple[int, int], dict[bytes, bytes]] = {}
        self.legal = legal_groups([READER.copy(a.value, 0) for a in self.feed], book)
        """By fact: the journey to which it may belong."""
        self.together: dict[bytes, int] = {}
        """By root: the journey whose facts it has held."""

    # -- clocks
    def clock(self, no: int) -> int:
        if self.plan.led:
            return self.ticks[no]
        return max(0, min(self.last, self.now - self.skew[no])) * DAY

    def progress(self, log: Log) -> int:
        if self.plan.led:
            return log.tick
        return self.clock(log.no) if log.pos == len(log.records) else log.records[log.pos].timestamp

    def key_for(self, value: bytes) -> bytes | None:
        """Key of a record: that of its case, as the doors write it; now and then none, or that of another case."""
        if bus().frame(value) is not None:
            return None
        key = READER.copy(value, 0).fact.case
        return self.rnd.choice((key, key, key, None, self.rnd.choice(self.cases)))

    def home(self, value: bytes) -> Log:
        return self.logs[partition_of(READER.copy(value, 0).fact.case, self.partitions)]

    # -- what processors write
    def take(self, log: Log, send: Any) -> None:
        topic = send.topic.removeprefix(f"{INSTANCE}.")
        if topic == "case-events":
            self.count["messages"] += 1
            schema, datum = bus().decode(send.value)
            if schema.name == "link" and datum["at"] <= datum["lo"]:
                raise ViolationError("order", "a link goes to the larger reference")
            self.logs[send.partition].append(send.value)
        elif topic == "dead-letters":
            self.letters.append(bus().decode(send.value)[1])
        else:
            headers = dict(send.headers)
            self.count["outputs"] += 1
            self.out[send.partition].append((topic, send.key, send.value, headers))
            if headers.get("reason") == b"purged":
                self._note_purge(log)
            if topic == "alerts":
                self._check_alert(log, send)

    def note_fact(self, root: bytes, fact: bytes) -> None:
        """No root ever holds facts of two journeys."""
        if self.together.setdefault(root, self.legal[fact]) != self.legal[fact]:
            raise ViolationError("stranger", f"{root.hex()} holds facts of two journeys")

    def _note_purge(self, log: Log) -> None:
        for key, value in log.store.items(ENTRY):
            schema, datum = bus().decode(value)
            if schema.name == "head" and datum["purged"]:
                cases = set(split_keys(datum["purged"]))
                self.purged |= cases
                self.gone |= cases | {key[1:]} | set(split_keys(datum["members"]))
                self.gone |= {r for c in self.copies if c.fact.case in cases for r in c.fact.own}

    # -- the plain computation
    def least(self, before: int = 2**62) -> dict[bytes, Copy]:
        """By fact, the copy to be kept of those admitted before `before`."""
        found: dict[bytes, Copy] = {}
        for c in self.copies:
            if c.admitted < before and c.fact.case not in self.purged:
                kept = found.get(c.fact.key)
                found[c.fact.key] = c if kept is None or c < kept else kept
        return found

    def expected(self, before: int, now: int) -> dict[bytes, bytes]:
        """Every output of the facts admitted before `before`, at `now`."""
        known = self._expected.get((before, now))
        if known is None:
            seen = view(fold(self.least(before).values()), now, self.book, self.purged)
            known = self._expected[before, now] = {k: o.value for k, o in seen.outputs.items()}
        return known

    def _check_alert(self, log: Log, send: Any) -> None:
        """What is written of an alert at W is what the facts admitted before W give at W."""
        if self.purged:
            return
        assert log.processor is not None
        w = log.processor._established
        want = self.expected(w, w).get(send.key)
        self.count["alerts written"] += 1
        if send.value != want:
            raise ViolationError("false alert" if want is None else "alert differs", f"W={w / DAY}")

    # -- running
    def day(self) -> None:
        r = self.rnd
        while self.feed and self.feed[0].day <= self.now:
            arrival = self.feed.pop(0)
            log = self.logs[-1] if arrival.door == "admit" else self.home(arrival.value)
            self.copies.append(READER.copy(arrival.value, self.clock(log.no)))
            self._expected = {k: v for k, v in self._expected.items() if k[0] <= self.copies[-1].admitted}
            log.append(arrival.value)
        if self.plan.led:
            for log in self.logs:
                to = min(self.last, self.now) * DAY
                if self.ticks[log.no] < to and (r.random() < 0.5 or self.now > self.last):
                    self.ticks[log.no] = to
                    log.append(bus().encode("tick", {"at": to}))
        for _ in range(r.randint(1, 4)):
            for log in r.sample(self.logs, len(self.logs)):
                self.turn(log)
            self.advance()
        for reader in self.readers:
            for _ in range(r.randint(0, 6)):
                i = r.randrange(self.output_partitions)
                if reader.pos[i] < len(self.out[i]):
                    reader.apply(i)

    def turn(self, log: Log) -> None:
        r = self.rnd
        if self.stop[log.no] > 0:
            self.stop[log.no] -= 1
            return
        if self.now < self.last and r.random() < self.lag / 3:
            self.stop[log.no] = r.randint(5, 80)
        if r.random() < self.again:
            log.restart()
            self.count["restarts"] += 1
        if r.random() < 0.3 and not log.is_admit:
            log.timers()
        if log.pos < len(log.records) and r.random() < 0.7:
            crash = r.random() < self.crash
            self.count["crashes"] += crash and not log.is_admit
            log.step(r.randint(1, 4), crash)
        if self.stage and log.end is None:
            log.end = len(log.records)

    def advance(self) -> None:
        """Established time by two stages of rounds, as in `streams.runtime.time`."""
        if self.stage == 0:
            low = min(self.progress(log) for log in self.logs)
            if low > self.established:
                self.stage, self.candidate, self.bound = 1, low, low
                self._open()
        elif all(log.end is not None and log.pos >= log.end for log in self.logs):
            if any(log.dirty for log in self.logs):
                self._open()
            elif self.stage == 1:
                self.stage, self.bound = 2, max(self.clock(log.no) for log in self.logs) + 1
                self._open()
            else:
                self.established, self.stage = self.candidate, 0

    def _open(self) -> None:
        for log in self.logs:
            log.end, log.dirty = None, False

    def at_rest(self) -> bool:
        top = self.last * DAY
        return (
            not self.feed
            and self.now > self.last + 3
            and self.established == top
            and all(log.pos == len(log.records) for log in self.logs)
            and all(log.processor is None or log.processor._established == top for log in self.logs)
            and not any(p.processor and p.processor._due_roots(1) for p in self.logs)
        )

    def run(self) -> World:
        """To rest, then check everything."""
        while not self.at_rest():
            self.now += 1
            if self.now > 3000 or sum(len(log.records) for log in self.logs) > 60_000:
                raise ViolationError("ends", f"W={self.established / DAY} stage {self.stage}")
            self.day()
        late = Reading(self.out, self.gone)
        order = range(self.output_partitions)
        for reader, partitions in (*((reader, order) for reader in self.readers), (late, reversed(order))):
            for i in partitions:
                while reader.pos[i] < len(self.out[i]):
                    reader.apply(i)
        self.readers.append(late)
        self.check_rest()
        return self

    def check_rest(self) -> None:
        """The founding property, and the invariants of a world at rest."""
        stored = [(k, bus().decode(v)[1]) for log in self.logs for k, v in log.store.items(FACT)]
        held, least = Counter(k[17:] for k, _ in stored), self.least()
        if set(held) != set(least) or any(n > 1 for n in held.values()):
            raise ViolationError(
                "each fact in one root",
                f"missing {len(least.keys() - set(held))} extra {len(set(held) - least.keys())}",
            )
        for key, datum in stored:
            kept = least[key[17:]]
            if (datum["rank"], datum["admitted"], datum["value"]) != (kept.rank, kept.admitted, kept.value):
                raise ViolationError("least copy", key.hex())
        self._check_purges()
        want = {(TOPIC[k[0]], k): v for k, v in self.expected(2**62, self.last * DAY).items()}
        for reader in self.readers:
            if reader.live != want:
                diff = [(t, k.hex()) for t, k in want.keys() ^ reader.live.keys()]
                diff += [
                    (t, k.hex(), "differs")
                    for t, k in want.keys() & reader.live.keys()
                    if want[t, k] != reader.live[t, k]
                ]
                raise ViolationError("content", repr(sorted(map(str, diff))[:4]))
            for (topic, key), value in want.items():
                if topic == "statuses" and any(reader.resolve(x) != key for x in references(value)):
                    raise ViolationError("resolve", key.hex())
            shown = {r for (t, _), v in want.items() if t == "statuses" for r in references(v)}
            if any(x in self.gone and x not in shown for x in reader.last):
                raise ViolationError("purged is readable", "")

    def _check_purges(self) -> None:
        """What has passed its retention is not here any more."""
        roots: dict[bytes, list[Copy]] = {}
        for log in self.logs:
            for key, value in log.store.items(FACT):
                roots.setdefault(key[1:17], []).append(READER.copy(bus().decode(value)[1]["value"], 0))
        for root, copies in roots.items():
            if view(fold(copies), 0, self.book, self.purged).purge_at <= self.last * DAY:
                raise ViolationError("purged in time", root.hex())


TOPIC = {Kind.CASE: "statuses", Kind.HANDOFF: "handoffs", MARK[0]: "alerts"}
