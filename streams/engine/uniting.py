"""How facts become journeys: one entry per reference, united by a fixed order through PUT, LINK and CLAIM.

Every reference lives in the partition of its key. Its entry is absent, an alias of a strictly smaller reference, or a root that holds
facts and references. Messages are true, commutative, idempotent statements, so neither order nor duplicates matter in the end, and
alias edges only go down, so it ends. A fact enters at its subject, unites what its body owns, and claims the rest; the root
that holds a claim and its confirmation sends the link.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from schemas.codec import bus
from schemas.references import KEY_SIZE
from streams.engine.book import Book
from streams.engine.entries import Entries
from streams.engine.facts import Claim, Copy
from streams.engine.messages import Carried, ClaimMessage, Link, Message, Put, Shipment
from streams.engine.root import Added, Root

SHIPPED_AT_ONCE = 200
"""Facts and claims in one part of a shipped root, at most."""

SHIPPED_BYTES = 400_000
"""Bytes in one part of a shipped root, unless its head or one fact is larger: far below the 1 MB that a broker takes."""

CLAIM_BYTES = 500
"""More than a claim takes on the bus: two keys, three bodies, a procedure."""


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
        claims = [claim for claim in m.claims if self._hold(root, claim)]
        if m.ship is not None:
            root.arrived(m.ship.loser, m.ship.parts, [m.ship.part])
        root.hold = max(root.hold, m.stamp)
        heard = len(root.voices)
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
        self._check(root, claims, m.stamp, len(root.voices) > heard)

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
            self._check(root, [m.claim], m.stamp)

    def _hold(self, root: Root, claim: Claim) -> bool:
        new = root.hold_claim(claim)
        if new:
            self._entries.keep_claim(root, claim)
        return new

    def check(self, root: Root, stamp: int) -> None:
        """Look again at the claims of a root, when conventions have changed."""
        self._check(root, (), stamp, True)
        while self._queue:
            self._apply(self._queue.popleft(), None)

    def _check(self, root: Root, new: Iterable[Claim], stamp: int, every: bool = False) -> None:
        """Send a link for each claim that is confirmed here; lose to a claimant that is smaller.

        A claim is looked at when it comes, and all are when the facts here have a new word or conventions have changed: so a flood
        of claims costs each fact nothing.
        """
        claims = root.claims if every or root.rules != self.book.digest else new
        for claim in sorted(c for c in claims if c.case != root.key and c.case not in root.members):
            joining = root.meetings.partners(claim)
            if joining or root.voices.confirm(claim) or self.book.convention(claim):
                for case in sorted((joining | {claim.case}) - root.members - {root.key}):
                    if case < root.key:
                        self._lose(root, case, stamp)
                        return
                    root.members.add(case)
                    self._send(Link(case, root.key, stamp))

    def _take_head(self, root: Root, head: bytes) -> None:
        root.join_head(bus().decode(head)[1])
        self._entries.drop_purged(root)

    def _lose(self, root: Root, lo: bytes, stamp: int) -> None:
        """The root becomes an alias; its facts, claims and head go to `lo` in parts, under the stamp of the cause."""
        head = bus().encode("head", root.head())
        members = frozenset(root.members | {root.key})
        parts = _parts([*root.all_copies(), *sorted(root.claims)], len(head) + KEY_SIZE * len(members))
        for i, (copies, claims) in enumerate(parts):
            ship = Shipment(root.key, i, len(parts))
            if i == 0:
                self._send(Put(lo, stamp, tuple(copies), members, ship, head, tuple(claims)))
            else:
                self._send(Put(lo, stamp, tuple(copies), ship=ship, claims=tuple(claims)))
        self._entries.alias(root.key, lo)


def _parts(shipped: list[Copy | Claim], size: int) -> list[tuple[list[Carried], list[Claim]]]:
    """Facts and claims in parts that fit a message; `size`: bytes that the first part holds beside them."""
    parts: list[tuple[list[Carried], list[Claim]]] = [([], [])]
    count = 0
    for one in shipped:
        more = CLAIM_BYTES if isinstance(one, Claim) else len(one.value)
        if count == SHIPPED_AT_ONCE or (count and size + more > SHIPPED_BYTES):
            parts.append(([], []))
            count = size = 0
        if isinstance(one, Claim):
            parts[-1][1].append(one)
        else:
            parts[-1][0].append(Carried(one.rank, one.admitted, one.value))
        count += 1
        size += more
    return parts
