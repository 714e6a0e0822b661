"""The entries of one partition: read from its store when needed, kept in memory within a bound, and every change noted.

What a batch changes is collected as records for the changelog; the store itself is written by the runtime, after the commit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

from schemas.codec import Codec
from schemas.codec import bus as bus_codec
from streams.engine.book import Book
from streams.engine.facts import Claim, Copy
from streams.engine.messages import Carried, claim_of
from streams.engine.root import CLAIM, FACT, Root, claim_key, claim_value, copy_value, due_key, entry_key, fact_key

Entry = Root | bytes
"""A root, or the key of the smaller reference that this one is an alias of."""

Changes = dict[bytes, bytes | None]


class Records(Protocol):
    """What entries are read from."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        ...

    def items(self, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys with a prefix, from `start` on, in the order of their bytes."""
        ...


class Entries:
    """Entries by reference key. `room` is the number of facts kept in memory between batches."""

    def __init__(self, records: Records, book: Book, read: Callable[[Carried], Copy], room: int) -> None:
        self._records = records
        self.book = book
        self._read = read
        self._room = room
        self._codec: Codec = bus_codec()
        self._held: OrderedDict[bytes, Entry] = OrderedDict()
        self._facts = 0
        self.state: Changes = {}
        """Changes of this batch for the changelog, the last of each key."""
        self.local: Changes = {}
        """Changes of the timer index."""
        self.touched_roots: dict[bytes, Root] = {}
        """Roots that took something in this batch."""
        self._fresh: set[bytes] = set()

    # -- reading
    def get(self, ref: bytes) -> Entry | None:
        """The entry of a reference, or None."""
        found = self._held.get(ref)
        if found is not None:
            self._held.move_to_end(ref)
            return found
        value = self._records.get(entry_key(ref))
        if value is None:
            return None
        schema, datum = self._codec.decode(value)
        entry: Entry = datum["target"] if schema.name == "alias" else self._load(ref, datum)
        self._held[ref] = entry
        return entry

    def _load(self, ref: bytes, head: dict[str, object]) -> Root:
        root = Root(ref, self.book)
        root.load_head(head)
        for _, value in self._records.items(FACT + ref):
            datum = self._codec.decode(value)[1]
            copy = self._read(Carried(datum["rank"], datum["admitted"], datum["value"]))
            root.add(copy)
            root.said |= copy.fact.claims
        for _, value in self._records.items(CLAIM + ref):
            root.hold_claim(claim_of(self._codec.decode(value)[1]))
        self._facts += root.size
        return root

    # -- changing
    def create(self, ref: bytes) -> Root:
        """A new root."""
        root = Root(ref, self.book)
        root.rules = self.book.digest
        self._held[ref] = root
        return root

    def alias(self, ref: bytes, target: bytes) -> None:
        """Make a reference an alias. A root in its place is gone with all its records."""
        old = self._held.get(ref)
        if isinstance(old, Root):
            for copy in old.all_copies():
                self._forget(fact_key(ref, copy.fact.key))
            for claim in old.claims:
                self._forget(claim_key(ref, claim))
            self.local[due_key(old.next_due, ref)] = None
            self._facts -= old.size
            self.touched_roots.pop(ref, None)
        self._held[ref] = target
        self.state[entry_key(ref)] = self._codec.encode("alias", {"target": target})

    def keep_copy(self, root: Root, copy: Copy, new: bool) -> None:
        """A copy was added to a root, or (not `new`) took the place of another."""
        key = fact_key(root.key, copy.fact.key)
        self.state[key] = copy_value(copy, self._codec)
        if new:
            self._fresh.add(key)
            self._facts += 1

    def keep_claim(self, root: Root, claim: Claim) -> None:
        """A claim was added to a root."""
        key = claim_key(root.key, claim)
        self.state[key] = claim_value(claim, self._codec)
        self._fresh.add(key)

    def drop_purged(self, root: Root) -> None:
        """Forget, here and in the records, what belongs to purged cases of a root."""
        copies, claims = root.drop_purged()
        for copy in copies:
            self._forget(fact_key(root.key, copy.fact.key))
        for claim in claims:
            self._forget(claim_key(root.key, claim))
        self._facts -= len(copies)

    def touched(self, root: Root) -> None:
        """A root took something: its head and its outputs are looked at when the batch is over."""
        self.touched_roots[root.key] = root

    def save_head(self, root: Root, due: int, old_due: int) -> None:
        """Write the head of a root and move it on the timer index."""
        self.state[entry_key(root.key)] = self._codec.encode("head", root.head())
        self.move_due(root.key, old_due, due)

    def move_due(self, ref: bytes, old: int, new: int) -> None:
        """Move a root on the timer index."""
        if old != new:
            self.local[due_key(old, ref)] = None
        self.local[due_key(new, ref)] = b""

    def _forget(self, key: bytes) -> None:
        if key in self._fresh:  # it never reached the changelog
            self._fresh.discard(key)
            self.state.pop(key, None)
        else:
            self.state[key] = None

    # -- between batches
    def take(self) -> tuple[Changes, Changes]:
        """The changes of this batch, for the changelog and for the local store; forgets what memory has no room for."""
        state, local = self.state, self.local
        self.state, self.local, self.touched_roots = {}, {}, {}
        self._fresh = set()
        while self._facts > self._room and self._held:
            _, entry = self._held.popitem(last=False)
            if isinstance(entry, Root):
                self._facts -= entry.size
        while len(self._held) > 2 * self._room:
            _, entry = self._held.popitem(last=False)
            if isinstance(entry, Root):
                self._facts -= entry.size
        return state, local

    def clear(self) -> None:
        """Forget everything in memory: the records are the truth again."""
        self.take()
        self._held.clear()
        self._facts = 0
