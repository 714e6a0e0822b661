"""Correlate: the stage that joins the facts of all bodies into journeys. One `Correlate` for each partition of `case-events`.

It turns records into the engine's messages, collects what the engine changes, and hands it to the runtime as the effects of one
transaction: facts and heads for `journeys`, outputs, messages to other partitions, dead letters.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from schemas.codec import Codec, CodecFault, DecodeError
from schemas.codec import bus as bus_codec
from schemas.references import KEY_SIZE, Keys, Kind, ReferenceFormatError, partition_of
from streams.engine import messages
from streams.engine.alerts import NEVER
from streams.engine.book import Book
from streams.engine.entries import Entries
from streams.engine.facts import Copy, reader
from streams.engine.messages import UNREAD, Carried, Message, Put
from streams.engine.publishing import Written, publish
from streams.engine.root import DUE, ENTRY, Root, due_key
from streams.engine.routing import ADMITTED
from streams.engine.uniting import Uniting
from streams.letters import dead_letter
from streams.metrics import DEAD_LETTERS, ROOTS, VIEW_FAILURES
from streams.reasons import Reason, of_fault
from streams.runtime.processor import Effects, Record, Send
from streams.runtime.store import Store, StoreDamaged
from streams.runtime.turns import Pieces, whole

log = structlog.get_logger()

META_TICK = b"mt"
"""State record: the last tick read, 8 bytes big-endian."""

LOCAL_SWEPT = b"ls"
"""Local record: digest of the rule book by which every entry was last looked at; absent while entries are looked at."""

PIECE = 500
"""Entries looked at for their rules in one piece of work."""
RULES_END = 49
"""Where the digest of the rules ends in a head, at most: after its frame, three numbers and a length. A million of heads are not decoded to
learn that their rules have not changed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What every partition of a deployment shares."""

    instance: str
    partitions: int
    """Of `case-events` and `journeys`."""
    output_partitions: int
    """Of `statuses`, `handoffs` and `alerts`."""
    led: bool
    """Whether the clock of the instance is led by ticks."""
    room: int
    """Facts kept in memory by each partition."""
    keys: Keys
    events: Codec

    def topic(self, name: str) -> str:
        """Full name of a topic of this instance."""
        return f"{self.instance}.{name}"


class _PoisonError(Exception):
    """A record on which the engine failed."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class Correlate:
    """The processor of one partition (see `streams.runtime.processor.Processor`). `reset` goes before its first use."""

    def __init__(self, plan: Plan, partition: int, store: Store, book: Book) -> None:
        self._plan = plan
        self._partition = partition
        self._store = store
        self._codec = bus_codec()
        self._reader = reader(plan.events, plan.keys)
        self._entries = Entries(store, book, self._read, plan.room)
        self._uniting = Uniting(self._entries, book, self._read, self._send, self._is_here, self._after_purge)
        self._events_topic = plan.topic("case-events")
        self._letters_topic = plan.topic("dead-letters")
        self._established = -1
        self._tick = 0
        self._sweep: bytes | None = None
        self._effects = Effects()
        self._record: Record | None = None

    @property
    def progress(self) -> int | None:
        """Led instances: the last tick read (ms)."""
        return self._tick if self._plan.led else None

    def use(self, book: Book) -> None:
        """Take another rule book; every root that used the old one is looked at again by the timers."""
        if book.digest != self._entries.book.digest:
            self._sweep = b""
        self._entries.book = self._uniting.book = book

    # -- records
    def process(self, records: list[Record]) -> Effects:
        """Effects of the next records of the log. A record on which the engine fails becomes a dead letter."""
        return whole(self.process_in_pieces(records))

    def process_in_pieces(self, records: list[Record]) -> Pieces[Effects]:
        """The same, a record or a root at a time."""
        poison: set[int] = set()
        while True:
            try:
                return (yield from self._process(records, poison))
            except _PoisonError as error:
                log.exception("a record made relais fail", partition=self._partition, offset=error.offset)
                poison.add(error.offset)
                self.reset()

    def _process(self, records: list[Record], poison: set[int]) -> Pieces[Effects]:
        self._effects = Effects()
        tick = self._tick
        for record in records:
            self._record = record
            if record.offset in poison:
                self._refuse(record, Reason.BUG)
                continue
            try:
                self._take(record)
            except DecodeError as error:
                self._refuse(record, of_fault(error.fault), str(error))
            except ReferenceFormatError as error:
                self._refuse(record, Reason.INVALID, str(error), "references")
            except StoreDamaged:
                raise  # no record's fault
            except Exception as error:
                raise _PoisonError(record.offset) from error
            yield
        if self._tick != tick:
            self._effects.progress = self._tick
            self._effects.state.append((META_TICK, self._tick.to_bytes(8, "big")))
        touched = list(self._entries.touched_roots.values())
        ROOTS.inc(len(touched))
        for root in touched:
            self._publish(root)
            yield
        return self._taken()

    def _take(self, record: Record) -> None:
        value = record.value or b""
        bus_message = self._bus_message(value)
        if isinstance(bus_message, int):
            self._tick = max(self._tick, bus_message)
        elif isinstance(bus_message, Put) and bus_message.is_unread:
            self._take_unread(record, bus_message)
        elif bus_message is not None:
            self._uniting.apply(bus_message)
        elif not self._forward(record.key, value, record):
            self._take_fact(record, value, self._admission(record))

    def _forward(self, key: bytes | None, value: bytes, record: Record) -> bool:
        """Send an event on unread if its key names a case that is an alias: whoever holds the root reads it."""
        if key is None or len(key) != KEY_SIZE or key[0] != Kind.CASE or not self._is_here(key):
            return False
        entry = self._entries.get(key)
        if not isinstance(entry, bytes) or self._is_here(entry):
            return False
        stamp = self._admission(record)
        self._send(Put(entry, stamp, (Carried(UNREAD, stamp, value),), frozenset((key,))))
        return True

    def _take_fact(self, record: Record, value: bytes, stamp: int, on_the_way: Put | None = None) -> None:
        """Read an event and put it where its subject is, or where it was on its way to if that is the subject's journey."""
        copy = self._reader.copy(value, stamp)
        case = copy.fact.case
        if case[0] != Kind.CASE:
            self._refuse(record, Reason.INVALID, "only facts about a case belong here", "subject")
            return
        put = on_the_way or Put(case, stamp, ())
        if case != put.at and case not in put.members:  # its key was not that of its subject
            put = Put(case, stamp, ())
        put = put._replace(copies=(Carried(copy.rank, stamp, value),))
        if self._is_here(put.at):
            self._uniting.apply(put, copy)
        else:
            self._send(put)

    def _take_unread(self, record: Record, put: Put) -> None:
        """A fact that was sent on unread: read it here, unless it has to go on."""
        carried = put.copies[0]
        while isinstance(entry := self._entries.get(put.at), bytes):
            put = put._replace(at=entry, members=put.members | {put.at})
            if not self._is_here(entry):
                self._send(put)
                return
        original = record._replace(key=None, value=carried.value, headers=())
        try:
            self._take_fact(original, carried.value, carried.admitted, put)
        except DecodeError as error:
            self._refuse(original, of_fault(error.fault), str(error))

    def _bus_message(self, value: bytes) -> Message | int | None:
        """A message or a tick, if the value is one of the bus's own records."""
        schema = self._codec.frame(value)
        if schema is None:
            return None
        name, datum = schema.name, self._codec.decode(value)[1]
        if name == "tick":
            at: int = datum["at"]
            return at
        message = messages.decode(name, datum)
        if message is None:
            raise DecodeError(CodecFault.UNKNOWN_SCHEMA, "not a message")
        return message

    def _admission(self, record: Record) -> int:
        for name, value in record.headers:
            if name == ADMITTED and len(value) == 8:
                return int.from_bytes(value, "big")
        return self._tick if self._plan.led else record.timestamp

    # -- timers
    def timers(self, established: int, limit: int) -> Effects | None:
        """Effects of at most `limit` roots that are due, or that used other rules; None if there is none."""
        return whole(self.timers_in_pieces(established, limit))

    def timers_in_pieces(self, established: int, limit: int) -> Pieces[Effects | None]:
        """The same, a root at a time."""
        self._established = max(self._established, established)
        due = self._due_roots(limit) or (yield from self._swept_roots(limit))
        if due is None:
            return None
        self._effects = Effects()
        for key, indexed in due:
            entry = self._entries.get(key)
            if not isinstance(entry, Root):
                self._entries.local[due_key(indexed, key)] = None
                continue
            if indexed != entry.next_due:
                self._entries.local[due_key(indexed, key)] = None
            if entry.next_due <= self._established or entry.rules != self._entries.book.digest:
                self._look_again(entry)
            yield
        for root in list(self._entries.touched_roots.values()):
            self._publish(root)
            yield
        return self._taken()

    def _look_again(self, root: Root) -> None:
        if root.rules != self._entries.book.digest:
            self._record = None
            self._uniting.check(root, root.hold)
            if root.key in self._entries.touched_roots or not isinstance(self._entries.get(root.key), Root):
                return
        self._publish(root, timer=True)

    def _due_roots(self, limit: int) -> list[tuple[bytes, int]] | None:
        found: list[tuple[bytes, int]] = []
        for key, _ in self._store.items(DUE):
            due = int.from_bytes(key[1:9], "big")
            if due > self._established or len(found) == limit:
                break
            found.append((key[9:], due))
        return found or None

    def _swept_roots(self, limit: int) -> Pieces[list[tuple[bytes, int]] | None]:
        """The next roots to look at because the rules have changed since."""
        if self._sweep is None:
            return None
        found: list[tuple[bytes, int]] = []
        digest = self._entries.book.digest
        for count, (key, value) in enumerate(self._store.items(ENTRY, self._sweep)):
            if count % PIECE == PIECE - 1:
                yield
            schema = self._codec.frame(value)
            if schema is None or schema.name != "head" or digest in value[:RULES_END]:
                continue
            datum = self._codec.decode(value)[1]
            if datum["rules"] != digest:
                found.append((key[1:], datum["next_due"]))
                if len(found) == limit:
                    self._sweep = key + b"\0"
                    return found
        self._sweep = None
        self._entries.local[LOCAL_SWEPT] = digest
        return found

    # -- effects
    def _publish(self, root: Root, timer: bool = False) -> None:
        try:
            written = publish(root, self._entries, self._established, timer)
        except Exception:
            # The facts are kept; the outputs stay as they were until the rules or relais change.
            log.exception("a view failed", partition=self._partition, root=root.key.hex())
            VIEW_FAILURES.inc()
            old, root.next_due, root.rules = root.next_due, NEVER, b""
            self._entries.save_head(root, root.next_due, old)
            return
        for out in written:
            self._effects.sends.append(self._output(out))

    def _output(self, out: Written) -> Send:
        headers = [("root", out.root)]
        if out.end is not None:
            headers.append(("reason", out.end.value.encode()))
        if out.into is not None:
            headers.append(("into", out.into))
        return Send(
            self._plan.topic(out.topic),
            partition_of(out.key, self._plan.output_partitions),
            out.key,
            out.value,
            headers,
        )

    def _send(self, message: Message) -> None:
        effects = self._effects
        value = messages.encode(message, self._codec)
        effects.sends.append(
            Send(self._events_topic, partition_of(message.at, self._plan.partitions), message.at, value)
        )
        if effects.least is None or message.stamp < effects.least:
            effects.least = message.stamp

    def _is_here(self, key: bytes) -> bool:
        return partition_of(key, self._plan.partitions) == self._partition

    def _refuse(self, record: Record, reason: Reason, detail: str = "", field: str | None = None) -> None:
        DEAD_LETTERS.labels("correlate", reason.value).inc()
        self._effects.sends.append(
            dead_letter(self._letters_topic, self._events_topic, self._partition, record, reason, detail, field)
        )

    def _after_purge(self, carried: Carried) -> None:
        """A fact of a purged case: it is a dead letter with the bytes of the fact itself."""
        record = self._record or Record(-1, carried.admitted, None, None)
        self._refuse(record._replace(value=carried.value), Reason.AFTER_PURGE)

    def _read(self, carried: Carried) -> Copy:
        return self._reader.copy(carried.value, carried.admitted, carried.rank)

    def _taken(self) -> Effects:
        if self._sweep is not None:
            self._effects.local.append((LOCAL_SWEPT, None))
        state, local = self._entries.take()
        self._effects.state.extend(state.items())
        self._effects.local.extend(local.items())
        return self._effects

    # -- memory
    def derive(self, key: bytes, value: bytes | None) -> list[tuple[bytes, bytes | None]]:
        """The timer index entry of a head; recovery asks for each record."""
        if key[:1] != ENTRY or value is None:
            return []
        schema, datum = self._codec.decode(value)
        return [(due_key(datum["next_due"], key[1:]), b"")] if schema.name == "head" else []

    def reset(self) -> None:
        """Drop everything held in memory."""
        self._entries.clear()
        self._effects = Effects()
        self._tick = self._stored_tick()
        self._sweep = None if self._store.get(LOCAL_SWEPT) == self._entries.book.digest else b""

    def _stored_tick(self) -> int:
        value = self._store.get(META_TICK)
        return int.from_bytes(value, "big") if value else 0
