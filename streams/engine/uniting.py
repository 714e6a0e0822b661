"""How facts become journeys: one entry per reference, united by a fixed order through PUT, LINK and CLAIM.

Every reference lives in the partition of its key. Its entry is absent, an alias of a strictly smaller reference, or a root that holds
facts and references. Messages are true, commutative, idempotent statements, so neither order nor duplicates matter in the end, and
alias edges only go down, so it ends. A fact enters at its subject, unites what its body owns, and claims the rest; the root
that holds a claim and its confirmation sends the link.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from schemas.codec import bus
from streams.engine.book import Book
from streams.engine.claims import Voices, paired
from streams.engine.entries import Entries
from streams.engine.facts import Claim, Copy
from streams.engine.messages import Carried, ClaimMessage, Link, Message, Put, Shipment
from streams.engine.root import Added, Root

SHIPPED_AT_ONCE = 200
"""Facts in one part of a shipped root: with facts of 64 KiB at most a part stays below what a broker takes by far in practice."""

SHIPPED_BYTES = 400_000
"""Bytes of facts in one part of a shipped root."""


class Uniting:
    """Applies messages to the entries of one partition. Sending is handing a message to `send`; nothing here does I/O."""

    def __init__(
        self,
        entries: Entries,
        book: Book,
        read: Callable[[Carried], Copy],
        send: Callable[[Message], None],
        is_here: Callable[[bytes], bool],
        refuse: Callable[[Carried], None],
    ) -> None:
        """`read` makes a fact of bytes that were read before; `refuse` takes facts of purged cases."""
        self._entries = entries
        self.book = book
        self._read = read
        self._send_away = send
        self._is_here = is_here
        self._refuse = refuse
        self._queue: deque[Message] = deque()

    def apply(self, message: Message, copy: Copy | None = None) -> None:
        """Apply one message and all that it causes within this partition. `copy`: the fact of the PUT, if already read."""
        self._apply(message, copy)
        while self._queue:
            self._apply(self._queue.popleft(), None)

    def _apply(self, message: Message, copy: Copy | None) -> None:
        if isinstance(message, Put):
            self._put(message, copy)
        elif isinstance(message, Link):
            self._link(message)
        else:
            self._claim(message)

    def _send(self, message: Message) -> None:
        if self._is_here(message.at):
            self._queue.append(message)
        else:
            self._send_away(message)

    def _put(self, m: Put, copy: Copy | None) -> None:
        x = m.at
        entry = self._entries.get(x)
        if isinstance(entry, bytes):
            self._send(m._replace(at=entry, members=m.members | {x}))
            return
        root = entry if entry is not None else self._entries.create(x)
        self._entries.touched(root)
        if m.head is not None:
            self._take_head(root, m.head)
        for claim in m.claims:
            self._hold(root, claim)
        if m.ship is not None:
            root.arrived(m.ship.loser, m.ship.parts, [m.ship.part])
        root.hold = max(root.hold, m.stamp)
        copies = [copy] if copy is not None else [self._read(c) for c in m.copies]
        new = self._keep(root, copies)
        gained = m.members - root.members - {x}
        root.members |= gained
        todo: set[bytes] = set()
        for c in new:
            todo |= c.fact.own
        todo -= root.members
        todo.discard(x)
        self._send_claims(root, new, None if m.ship else m.stamp)
        lo = min(todo, default=x)
        if lo < x:
            self._lose(root, lo, m.stamp)
            return
        for ref in sorted(todo | gained):
            self._send(Link(ref, x, m.stamp))
        root.members |= todo
        self._check(root, m.stamp)

    def _keep(self, root: Root, copies: list[Copy]) -> list[Copy]:
        """Add copies to a root; those whose fact is new."""
        new: list[Copy] = []
        for copy in copies:
            if copy.fact.case in root.purged:
                self._refuse(Carried(copy.rank, copy.admitted, copy.value))
                continue
            root.hold = max(root.hold, copy.admitted)
            added = root.add(copy)
            if added is not Added.NOTHING:
                self._entries.keep_copy(root, copy, added is Added.FACT)
            if added is Added.FACT:
                new.append(copy)
        return new

    def _send_claims(self, root: Root, new: list[Copy], stamp: int | None) -> None:
        """Send each claim once, however many facts make it; none (no stamp) for shipped facts, which sent theirs before."""
        for copy in new:
            if copy.fact.refs:
                claims = copy.fact.claims
                if stamp is not None:
                    for claim in sorted(claims - root.said):
                        self._send(ClaimMessage(claim.ref, claim, stamp))
                root.said |= claims

    def _link(self, m: Link) -> None:
        x, lo = m.at, m.lo
        if x == lo:
            return
        entry = self._entries.get(x)
        if entry is None:
            self._entries.alias(x, lo)
        elif isinstance(entry, Root):
            self._lose(entry, lo, m.stamp)
        elif entry != lo:
            self._entries.alias(x, min(entry, lo))
            self._send(Link(max(entry, lo), min(entry, lo), m.stamp))

    def _claim(self, m: ClaimMessage) -> None:
        entry = self._entries.get(m.at)
        if isinstance(entry, bytes):
            self._send(m._replace(at=entry))
            return
        root = entry if entry is not None else self._entries.create(m.at)
        if m.claim.ref in root.purged:
            return
        if self._hold(root, m.claim):
            self._entries.touched(root)
            self._check(root, m.stamp)

    def _hold(self, root: Root, claim: Claim) -> bool:
        if claim in root.claims or claim.ref in root.purged:
            return False
        root.claims.add(claim)
        self._entries.keep_claim(root, claim)
        return True

    def check(self, root: Root, stamp: int) -> None:
        """Look again at the claims of a root, when conventions have changed."""
        self._check(root, stamp)
        while self._queue:
            self._apply(self._queue.popleft(), None)

    def _check(self, root: Root, stamp: int) -> None:
        """Send a link for every claim that is confirmed here; lose to a claimant that is smaller."""
        waiting = [c for c in root.claims if c.case != root.key and c.case not in root.members]
        if not waiting:
            return
        voices = Voices(root.cases().values())
        for claim in sorted(waiting):
            if claim.case in root.members:
                continue
            if voices.confirm(claim) or paired(claim, root.claims) or self.book.convention(claim):
                if claim.case < root.key:
                    self._lose(root, claim.case, stamp)
                    return
                root.members.add(claim.case)
                self._send(Link(claim.case, root.key, stamp))

    def _take_head(self, root: Root, head: bytes) -> None:
        root.join_head(bus().decode(head)[1])
        self._entries.drop_purged(root)

    def _lose(self, root: Root, lo: bytes, stamp: int) -> None:
        """The root becomes an alias; its facts, claims and head go to `lo` in parts, under the stamp of the cause."""
        parts = _parts(root.all_copies())
        members = frozenset(root.members | {root.key})
        for i, part in enumerate(parts):
            self._send(
                Put(
                    lo,
                    stamp,
                    part,
                    members,
                    Shipment(root.key, i, len(parts)),
                    bus().encode("head", root.head()) if i == 0 else None,
                    tuple(sorted(root.claims)) if i == 0 else (),
                )
            )
        self._entries.alias(root.key, lo)


def _parts(copies: list[Copy]) -> list[tuple[Carried, ...]]:
    """Facts in parts that fit a message; one empty part if there is none."""
    parts: list[tuple[Carried, ...]] = []
    part: list[Carried] = []
    size = 0
    for c in copies:
        if part and (len(part) >= SHIPPED_AT_ONCE or size + len(c.value) > SHIPPED_BYTES):
            parts.append(tuple(part))
            part, size = [], 0
        part.append(Carried(c.rank, c.admitted, c.value))
        size += len(c.value)
    return [*parts, tuple(part)] if part or not parts else parts
