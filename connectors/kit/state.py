"""What a connector remembers, as records of its state topic: where it is, what it has published, what waits.

Values are JSON: small, and read by a person in need. Keys: `c` the checkpoint, `r` + digest one record of the source, `h` + number what
waits for a label.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple

import orjson

from connectors.kit.contract import Cursor, Json, Record
from streams.runtime.store import Change, Store

CHECKPOINT = b"c"
RECORD = b"r"
HELD = b"h"
_rare = json.JSONEncoder(separators=(",", ":"), sort_keys=True, default=str).encode


class Published(NamedTuple):
    """A fact that was published from a record."""

    id: str
    subject: str
    digest: str
    sequence: int


@dataclass(slots=True)
class Checkpoint:
    """Where a connector is."""

    cursor: Cursor = None
    """Where the source, or the bus for a sink, is read on."""
    sequence: int = 0
    """Facts stated so far: the number of the last one."""
    held: int = 0
    """Number of the last record that was made to wait."""
    letters: int = 0
    """Dead letters so far."""

    def bytes(self) -> bytes:
        """As it is written."""
        return _dumped(asdict(self))


@dataclass(slots=True)
class Entry:
    """What is known of one record of the source (of one version of it, where the source numbers them)."""

    number: int = 0
    """Changes of its content that were seen."""
    content: str = ""
    """Digest of its content."""
    mapping: str = ""
    """Version of the mapping by which it was read."""
    fate: str = ""
    """What became of it, an `Outcome`."""
    revision: int = 0
    """How often a change of the mapping altered what it states."""
    facts: dict[str, Published] = field(default_factory=dict)
    """What it states, by kind and rank."""

    def bytes(self) -> bytes:
        """As it is written."""
        facts = {slot: tuple(one) for slot, one in self.facts.items()}
        return _dumped([self.number, self.content, self.mapping, self.fate, self.revision, facts])


@dataclass(frozen=True, slots=True)
class Held:
    """A record that waits."""

    record: Record
    number: int
    """Number of its change."""
    lane: str
    """Those of one lane are published in order."""
    table: str
    """Table of the label that nobody has mapped; empty: it waits for one before it."""
    label: str

    def bytes(self) -> bytes:
        """As it is written."""
        r = self.record
        raw = base64.b64encode(r.raw).decode()
        told = [r.key, r.content, raw, r.version, r.place, self.number, self.lane, self.table, self.label]
        return _dumped(told)


def _dumped(value: Json, option: int = 0) -> bytes:
    """Compact JSON."""
    try:
        return orjson.dumps(value, option=option)
    except TypeError:  # a number of more than 64 bits, half a character, or what is no JSON and has a text
        return _rare(value).encode()


def entry_key(key: str, version: str | None) -> bytes:
    """Key of a record of the source, or of one version of it."""
    return RECORD + blake2b(f"{key}\0{version or ''}".encode(), digest_size=16).digest()


def held_key(number: int) -> bytes:
    """Key of what waits, in the order in which it came."""
    return HELD + number.to_bytes(8, "big")


def content_digest(record: Record) -> str:
    """Digest of what a record says, in whatever order its fields come."""
    return blake2b(_dumped(record.content, orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def read_entry(value: bytes | None) -> Entry:
    """An entry as it was written; a new one if there is none."""
    if value is None:
        return Entry()
    number, content, mapping, fate, revision, facts = orjson.loads(value)
    return Entry(number, content, mapping, fate, revision, {k: Published(*f) for k, f in facts.items()})


def read_checkpoint(value: bytes | None) -> Checkpoint:
    """A checkpoint as it was written; that of the beginning if there is none."""
    return Checkpoint(**json.loads(value)) if value is not None else Checkpoint()


def read_held(value: bytes) -> Held:
    """What waits, as it was written."""
    key, content, raw, version, place, number, lane, table, label = json.loads(value)
    return Held(Record(key, content, base64.b64decode(raw), version, place), number, lane, table, label)


class View:
    """The store with what this step changes: nothing is written to it before the commit."""

    def __init__(self, store: Store, ahead: Mapping[bytes, bytes | None] = MappingProxyType({})) -> None:
        """`ahead`: what the step before it changes, whose commit may be under way."""
        self._store = store
        self._ahead = ahead
        self.changes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        for known in (self.changes, self._ahead):
            if key in known:
                return known[key]
        return self._store.get(key)

    def prefetch(self, keys: list[bytes]) -> dict[bytes, bytes | None]:
        """Values of several keys as they were before this step."""
        found = dict(zip(keys, self._store.get_many(keys), strict=True))
        return found | {key: self._ahead[key] for key in self._ahead.keys() & found.keys()}

    def put(self, key: bytes, value: bytes | None) -> None:
        """Change a key; None deletes it."""
        self.changes[key] = value

    def held(self) -> Iterator[tuple[bytes, Held]]:
        """What waited before this step, in order; whatever is under way has to be committed."""
        for key, value in self._store.items(HELD):
            yield key, read_held(value)

    def drain(self) -> list[Change]:
        """The changes, to be written."""
        return list(self.changes.items())
