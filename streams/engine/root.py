"""A root: all that is kept of one journey, and its records in `journeys`.

A record for each fact (its original bytes), one for each pending claim, one head; a reference that is not a root has an alias in the
head's place. Keys are opaque: a letter, the sixteen bytes of the reference, then those of the fact or claim.
"""

from __future__ import annotations

from enum import Enum
from hashlib import blake2b
from typing import Any

from schemas.codec import Codec
from schemas.references import KEY_SIZE
from streams.engine.alerts import NEVER
from streams.engine.book import Book
from streams.engine.cases import Case
from streams.engine.facts import Claim, Copy
from streams.engine.messages import claim_datum, split_keys
from streams.engine.view import Memo
from streams.engine.voices import Meetings, Voices

ENTRY, FACT, CLAIM, DUE = b"e", b"f", b"c", b"d"
"""First bytes of the keys of entries (heads and aliases), facts, claims, and of the local timer index."""

TOMBSTONE = bytes(8)
"""In place of the digest of an output that was tombstoned."""
UNKNOWN = b"\xff" * 8
"""In place of the digest of an output whose last word is not known: it is written again whatever it is."""

_DIGEST = 8
_PUBLISHED = KEY_SIZE + _DIGEST


class Added(Enum):
    """What adding a copy changed."""

    NOTHING = 0
    COPY = 1
    FACT = 2


class Root:
    """One root in memory."""

    __slots__ = ("as_of", "claims", "copies", "folded", "hold", "key", "meetings", "members", "memo", "next_due", "parts",
                 "published", "purged", "rules", "said", "voices")  # fmt: skip

    def __init__(self, key: bytes, book: Book) -> None:
        self.key = key
        self.copies: dict[bytes, dict[bytes, Copy]] = {}
        """By case, by fact."""
        self.folded: dict[bytes, Case] = {}
        """Folds that are up to date."""
        self.said: set[Claim] = set()
        """Claims that the facts here make; each was sent once."""
        self.members: set[bytes] = set()
        """References connected, or whose link was sent."""
        self.claims: set[Claim] = set()
        """Claims on this journey, confirmed or waiting."""
        self.meetings = Meetings()
        """What these claims say to each other."""
        self.voices = Voices()
        """What the facts here can confirm."""
        self.purged: set[bytes] = set()
        """Cases whose facts were dropped."""
        self.published: dict[bytes, bytes] = {}
        """Digest of the content of each output written."""
        self.parts: dict[bytes, tuple[int, set[int]]] = {}
        """Shipped roots not wholly here: total and parts come."""
        self.as_of = -1
        self.hold = -1
        self.next_due = NEVER
        self.rules = b""
        self.memo = Memo(book)

    def add(self, copy: Copy) -> Added:
        """Keep a copy if its fact is new, or if it is less than the copy kept."""
        fact = copy.fact
        kept = self.copies.setdefault(fact.case, {})
        known = kept.get(fact.key)
        if known is not None and not copy < known:
            return Added.NOTHING
        kept[fact.key] = copy
        folded = self.folded.get(fact.case)
        if folded is not None and (known is not None or not folded.extend(fact)):
            del self.folded[fact.case]
        if known is not None:
            return Added.COPY
        self.voices.hear(fact)
        return Added.FACT

    def hold_claim(self, claim: Claim) -> bool:
        """Keep a claim; whether it is new. A claim on a purged case rests for good."""
        if claim in self.claims or claim.ref in self.purged:
            return False
        self.claims.add(claim)
        self.meetings.add(claim)
        return True

    def cases(self) -> dict[bytes, Case]:
        """The folded cases, by key; only what has changed is folded again."""
        folded = self.folded
        for key, kept in self.copies.items():
            if key not in folded:
                folded[key] = Case(key, kept.values())
        return folded

    def all_copies(self) -> list[Copy]:
        """Every copy kept, by fact."""
        return sorted((c for kept in self.copies.values() for c in kept.values()), key=lambda c: c.fact.key)

    @property
    def size(self) -> int:
        """Number of facts."""
        return sum(map(len, self.copies.values()))

    def drop_purged(self) -> tuple[list[Copy], list[Claim]]:
        """Forget the facts of purged cases and the claims on them; what was forgotten."""
        if not self.purged:
            return [], []
        copies: list[Copy] = []
        for key in self.purged & self.copies.keys():
            copies += self.copies.pop(key).values()
            self.folded.pop(key, None)
        claims = [c for c in self.claims if c.ref in self.purged]
        self.claims.difference_update(claims)
        self.voices = Voices()
        for copy in self.all_copies():
            self.voices.hear(copy.fact)
        return copies, claims

    def head(self) -> dict[str, Any]:
        """The head as bus record `head`."""
        return {
            "as_of": self.as_of,
            "hold": self.hold,
            "next_due": self.next_due,
            "rules": self.rules,
            "members": b"".join(sorted(self.members)),
            "purged": b"".join(sorted(self.purged)),
            "published": b"".join(k + v for k, v in sorted(self.published.items())),
            "parts": [{"loser": k, "total": n, "got": sorted(got)} for k, (n, got) in sorted(self.parts.items())],
        }

    def load_head(self, datum: dict[str, Any]) -> None:
        """Take over a stored head."""
        self.as_of, self.hold, self.next_due = datum["as_of"], datum["hold"], datum["next_due"]
        self.rules = datum["rules"]
        self.members = set(split_keys(datum["members"]))
        self.purged = set(split_keys(datum["purged"]))
        self.published = _published(datum["published"])
        self.parts = {p["loser"]: (p["total"], set(p["got"])) for p in datum["parts"]}

    def join_head(self, datum: dict[str, Any]) -> None:
        """Unite with the head of a root that lost. Two different last words under one output key: unknown."""
        for key, digest in _published(datum["published"]).items():
            self.published[key] = digest if self.published.get(key, digest) == digest else UNKNOWN
        for part in datum["parts"]:
            self.arrived(part["loser"], part["total"], part["got"])
        self.as_of = max(self.as_of, datum["as_of"])
        self.hold = max(self.hold, datum["hold"])
        self.purged.update(split_keys(datum["purged"]))

    def arrived(self, loser: bytes, total: int, got: list[int]) -> None:
        """Note parts of a shipped root; forget the shipment once it is whole."""
        here = self.parts.get(loser, (total, set()))[1] | set(got)
        self.parts[loser] = (total, here)
        if len(here) == total:
            del self.parts[loser]


def _published(joined: bytes) -> dict[bytes, bytes]:
    return {joined[i : i + KEY_SIZE]: joined[i + KEY_SIZE : i + _PUBLISHED] for i in range(0, len(joined), _PUBLISHED)}


def entry_key(ref: bytes) -> bytes:
    """Key of the head or alias of a reference."""
    return ENTRY + ref


def fact_key(root: bytes, fact: bytes) -> bytes:
    """Key of a fact of a root."""
    return FACT + root + fact


def claim_key(root: bytes, claim: Claim) -> bytes:
    """Key of a claim of a root."""
    return CLAIM + root + blake2b(repr(tuple(claim)).encode(), digest_size=KEY_SIZE).digest()


def due_key(due: int, root: bytes) -> bytes:
    """Key of the local timer index: instants in their order, then roots."""
    return DUE + due.to_bytes(8, "big") + root


def copy_value(copy: Copy, codec: Codec) -> bytes:
    """A fact as stored."""
    return codec.encode("copy", {"rank": copy.rank, "admitted": copy.admitted, "value": copy.value})


def claim_value(claim: Claim, codec: Codec) -> bytes:
    """A claim as stored."""
    return codec.encode("held", claim_datum(claim))
