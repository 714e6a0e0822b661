"""From records of a source to facts and state: every record once, in order, or a dead letter, or a wait for a label.

Pure and synchronous: it reads the store, and says what one transaction must write. The id of a fact comes from the record's key, its
version (or the number of its change) and its content, never from what the mapping makes of it: a record that is read twice is one fact,
and a file that is open, suspended and open again is three. What a changed record says as it said it just before is no news: a status that
a sink writes back into the system does not come round as facts. Where a changed mapping alters what a record states, the old fact is taken
back and a new one, whose id bears the mapping's version, stands in its place.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b, sha256
from types import MappingProxyType
from typing import NamedTuple

from connectors.kit import state
from connectors.kit.contract import Cursor, Record, Refused, Rejected
from connectors.kit.mapper import Mapper, MappingFailedError, Said
from connectors.kit.state import Checkpoint, Entry, Held, Published, View
from connectors.kit.stating import UNSOUND, Fact, Refusal, Stating, refusal_of
from connectors.kit.tools import UnknownLabelError, today
from streams.letters import dead_letter
from streams.reasons import Reason
from streams.runtime import processor
from streams.runtime.processor import Effects, Send
from streams.runtime.store import Store

PORTION = 50
"""Records after which others have their turn: some milliseconds."""


class Outcome(StrEnum):
    """What became of a record; a metric label."""

    PUBLISHED = "published"
    """It states facts, and they are on the bus."""
    SILENT = "silent"
    """The mapping says that it states nothing."""
    DUPLICATE = "duplicate"
    """It was read before, and says nothing else now."""
    CORRECTED = "corrected"
    """A changed mapping altered what it states."""
    HELD = "held"
    """It waits for a label, or for a record before it that does."""
    REFUSED = "refused"
    """A dead letter."""
    SENT = "sent"
    """A sink has brought it to its receiver."""
    RETRIED = "retried"
    """The receiver does not take it now: it is sent again."""


class Told(NamedTuple):
    """What became of one record."""

    record: Record | Refused
    outcome: Outcome
    facts: Sequence[Fact] = ()
    refusal: Refusal | None = None
    label: tuple[str, str] | None = None
    """Table and label for which it waits."""


@dataclass(slots=True)
class Step:
    """What one transaction must write, and what it means."""

    effects: Effects = field(default_factory=Effects)
    told: list[Told] = field(default_factory=list)
    waiting: int = 0
    """Records that wait after it."""


class Intake:
    """The records of one connector. One step may be made while the one before it is committed. After a transaction that failed: `reset`."""

    def __init__(self, topics: tuple[str, str, str], mapper: Mapper, stating: Stating, store: Store) -> None:
        """`topics`: the prefix of the instance (`main.`), the state topic and the topic of dead letters."""
        self._prefix, self._state_topic, self._letters_topic = topics
        self.mapper = mapper
        self._stating = stating
        self._store = store
        self.checkpoint = Checkpoint()
        self.waiting: Counter[str] = Counter()
        """Records that wait, by lane."""
        self._ahead: dict[bytes, bytes | None] = {}
        """What the last step changes: its commit may be under way while the next is made."""
        self.reset()

    def reset(self) -> None:
        """Begin again from what is committed."""
        self._ahead = {}
        self.checkpoint = state.read_checkpoint(self._store.get(state.CHECKPOINT))
        self.waiting = Counter(held.lane for _, held in View(self._store).held())

    def use(self, mapper: Mapper) -> None:
        """Another mapping from now on."""
        self.mapper = mapper

    def take(
        self, records: Sequence[Record | Refused], cursor: Cursor, *, move: bool = True, again: bool = False
    ) -> Step:
        """Take records; `move`: the source is then read on from `cursor`; `again`: try those that were refused, too."""
        portions = self.taking(records, cursor, move=move, again=again)
        while True:
            try:
                next(portions)
            except StopIteration as ended:
                step: Step = ended.value
                return step

    def taking(
        self, records: Sequence[Record | Refused], cursor: Cursor, *, move: bool = True, again: bool = False
    ) -> Generator[None, None, Step]:
        """The same in portions, between which the step before it may be committed."""
        work = _Work(self, View(self._store, self._ahead), again)
        for start in range(0, len(records), PORTION):
            work.take(records[start : start + PORTION])
            yield
        if move and cursor != self.checkpoint.cursor:
            self.checkpoint.cursor = cursor
            work.moved = True
        return work.done()

    def beat(self, due_s: int) -> Step:
        """That the source is alive although it may have nothing to say, and will say so again within so many seconds.

        Nothing where its body may not state it.
        """
        work = _Work(self, View(self._store))
        if self._stating.may("source.heartbeat", None):
            work.beat(due_s)
        return work.done()

    def release(self, limit: int) -> Step:
        """Try what waits again, in order; at most `limit` records leave in one step."""
        work = _Work(self, View(self._store))
        blocked: set[str] = set()
        for key, held in list(work.view.held()):
            if held.lane in blocked or len(work.told) >= limit or not work.again(key, held):
                blocked.add(held.lane)
        return work.done()


class _Work:
    """One step of an intake."""

    def __init__(self, intake: Intake, view: View, again: bool = False) -> None:
        self._intake = intake
        self._again = again
        self._mapper = intake.mapper
        self._stating = intake._stating
        self._checkpoint = intake.checkpoint
        self._step = Step()
        self.view = view
        self.told = self._step.told
        self.moved = False

    def done(self) -> Step:
        if self.view.changes or self.moved:
            self.view.put(state.CHECKPOINT, self._checkpoint.bytes())
        self._step.effects.state = self.view.drain()
        self._step.waiting = self._intake.waiting.total()
        self._intake._ahead = self.view.changes
        return self._step

    def take(self, records: Sequence[Record | Refused]) -> None:
        keys = [state.entry_key(r.key, r.version) if isinstance(r, Record) else _refused_key(r) for r in records]
        known = self.view.prefetch(keys)
        for record, key in zip(records, keys, strict=True):
            value = self.view.changes[key] if key in self.view.changes else known[key]
            if isinstance(record, Refused):
                self.refused(record, key, value)
            else:
                self.record(record, key, state.read_entry(value))

    def record(self, record: Record, key: bytes, entry: Entry) -> None:
        content = state.content_digest(record)
        known = entry.mapping == self._mapper.version and not (self._again and entry.fate == Outcome.REFUSED)
        if entry.content == content and (known or entry.fate == Outcome.HELD):
            self.told.append(Told(record, Outcome.DUPLICATE))
            return
        earlier: Mapping[str, Published] = {}
        if entry.content != content:
            earlier, entry = entry.facts, Entry(number=entry.number + 1, content=content)
        if self._intake.waiting and self._lane(record) in self._intake.waiting:
            self._hold(record, key, entry, None)
            return
        try:
            told = self._apply(record, entry, earlier)
        except UnknownLabelError as error:
            self._hold(record, key, entry, error)
            return
        self._keep(key, entry, told)

    def beat(self, due_s: int) -> None:
        now = datetime.now(self._mapper.tools.zone).isoformat(timespec="seconds")
        said = {"type": "source.heartbeat", "subject": f"body:{self._stating.body}", "occurred_at": now, "every": due_s}
        self._checkpoint.sequence += 1
        self._send([self._stating.fact(said, f"beat-{self._checkpoint.sequence}-{now}", self._checkpoint.sequence)])
        self.moved = True

    def _send(self, facts: Sequence[Fact]) -> None:
        self._step.effects.sends += [
            Send(self._intake._prefix + f.route.topic, f.route.partition, f.route.key, f.value) for f in facts
        ]

    def refused(self, record: Refused, key: bytes, value: bytes | None) -> None:
        if value is not None:
            self.told.append(Told(record, Outcome.DUPLICATE))
            return
        why = Refusal(Reason.REJECTED, None, record.mend)
        self._letter(None, record.raw, record.place, [], why)
        self._keep(key, Entry(1), Told(record, Outcome.REFUSED, refusal=why))

    def again(self, key: bytes, held: Held) -> bool:
        """Try a record that waits; whether it waits no longer."""
        at = state.entry_key(held.record.key, held.record.version)
        entry = state.read_entry(self.view.get(at))
        newest = entry.number == held.number
        if not newest:
            entry = Entry(held.number, state.content_digest(held.record))
        try:
            told = self._apply(held.record, entry)
        except UnknownLabelError as error:
            if (error.table, error.label) != (held.table, held.label):
                still = Held(held.record, held.number, held.lane, error.table, error.label)
                self.view.put(key, still.bytes())
            return False
        self.view.put(key, None)
        self._intake.waiting[held.lane] -= 1
        if not self._intake.waiting[held.lane]:
            del self._intake.waiting[held.lane]
        if newest:
            self._keep(at, entry, told)
        else:
            self.told.append(told)
        return True

    def _keep(self, key: bytes, entry: Entry, told: Told) -> None:
        entry.mapping, entry.fate = self._mapper.version, told.outcome
        self.view.put(key, entry.bytes())
        self.told.append(told)

    def _lane(self, record: Record) -> str:
        return self._mapper.case_of(record.content) or record.key

    def _hold(self, record: Record, key: bytes, entry: Entry, why: UnknownLabelError | None) -> None:
        self._checkpoint.held += 1
        lane = self._lane(record)
        table, label = (why.table, why.label) if why else ("", "")
        held = Held(record, entry.number, lane, table, label)
        self.view.put(state.held_key(self._checkpoint.held), held.bytes())
        self._intake.waiting[lane] += 1
        self._keep(key, entry, Told(record, Outcome.HELD, label=(table, label) if why else None))

    def _apply(self, record: Record, entry: Entry, earlier: Mapping[str, Published] = MappingProxyType({})) -> Told:
        """State what a record says, in the place of what it stated before under another mapping. Raises UnknownLabelError.

        `earlier`: what it stated before it changed.
        """
        try:
            return self._state(record, entry, self._mapper.said(record.content), earlier)
        except Rejected as error:
            why = Refusal(Reason.REJECTED, None, error.mend)
        except MappingFailedError as error:
            why = Refusal(Reason.MAPPING, None, str(error))
        except UNSOUND as error:
            why = refusal_of(error)
        headers = [("version", record.version.encode())] if record.version is not None else []
        if record.raw and why.reason is not Reason.PERSONAL_NUMBER:
            headers.append(("content", json.dumps(record.content, ensure_ascii=False).encode()))
        self._letter(record.key.encode(), record.original(), record.place, headers, why)
        return Told(record, Outcome.REFUSED, refusal=why)

    def _state(self, record: Record, entry: Entry, all_said: Sequence[Said], earlier: Mapping[str, Published]) -> Told:
        before = entry.facts
        now: dict[str, Published] = {}
        base = _id(record, entry)
        suffix = f"~{entry.revision + 1}-{self._mapper.version}"
        made: list[Fact] = []
        for slot, said in _slots(all_said):
            known = before.get(slot)
            last = known or earlier.get(slot)
            if last is not None and self._stating.fact(said, last.id, last.sequence).digest == last.digest:
                now[slot] = last
                continue
            # what was said before under another mapping, and is no more, keeps its id for itself
            id_ = f"{base}-{slot}" + (suffix if before or entry.revision else "")
            self._checkpoint.sequence += 1
            fact = self._stating.fact(said, id_, known.sequence if known else self._checkpoint.sequence)
            now[slot] = Published(fact.id, fact.subject, fact.digest, fact.sequence)
            made.append(fact)
        gone = [known for slot, known in before.items() if now.get(slot) != known]
        changed = bool(before) and bool(gone or made)
        facts = [*(self._retracted(known) for known in gone), *made]
        self._send(facts)
        entry.facts = now
        entry.revision += changed
        if changed:
            return Told(record, Outcome.CORRECTED, facts)
        stands = Outcome.DUPLICATE if now else Outcome.SILENT
        return Told(record, Outcome.PUBLISHED if made else stands, facts)

    def _retracted(self, known: Published) -> Fact:
        self._checkpoint.sequence += 1
        on = today(self._mapper.tools.zone, time.time()).isoformat()
        said = {"type": "correction.retracted", "subject": known.subject, "fact": known.id, "occurred_on": on}
        return self._stating.fact(said, f"{known.id}~retracted", self._checkpoint.sequence)

    def _letter(
        self, key: bytes | None, original: bytes, place: str, headers: list[tuple[str, bytes]], why: Refusal
    ) -> None:
        self._checkpoint.letters += 1
        headers = [*headers, ("place", place.encode())] if place else headers
        record = processor.Record(self._checkpoint.letters, time.time_ns() // 1_000_000, key, original, headers)
        letter = dead_letter(
            self._intake._letters_topic, self._intake._state_topic, 0, record, why.reason, why.detail, why.field
        )
        self._step.effects.sends.append(letter)


def _id(record: Record, entry: Entry) -> str:
    """Base of the ids of a record's facts."""
    text = f"{record.key}\0{record.version or ''}\0{entry.number}\0{entry.content}"
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _slots(all_said: Sequence[Said]) -> list[tuple[str, Said]]:
    """What is said, each with its place among those of one kind: stable when a mapping gains a statement."""
    seen: dict[str, int] = {}
    placed = []
    for said in all_said:
        kind = str(said.get("type", ""))
        seen[kind] = rank = seen.get(kind, 0) + 1
        placed.append((kind if rank == 1 else f"{kind}-{rank}", said))
    return placed


def _refused_key(refused: Refused) -> bytes:
    return state.entry_key(f"refused\0{refused.place}\0{sha256(refused.raw).hexdigest()}", None)
