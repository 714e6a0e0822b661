"""Facts as the engine sees them: canonical, identified, attested, never changed.

A fact is built once from its bytes and then only read. Identity is (source, subject, id); two facts under one identity with
different digests are both kept, see `streams.engine.order`.
"""

from __future__ import annotations

from functools import cache, lru_cache
from hashlib import blake2b
from sys import intern
from typing import Any, NamedTuple

from schemas import canonical
from schemas.catalog import Schema
from schemas.codec import Codec
from schemas.references import Keys, parse
from schemas.types import RANK

ATTESTATIONS = {"body": 0, "gateway": 1, "operator": 2}
"""Rank of who vouches for a copy; the least is kept."""

KEPT = 20_000
"""Facts that a reader keeps at hand."""

_UNLINKED = "correction.unlinked"


class Claim(NamedTuple):
    """A reference that the stating body does not own, as pair with its case: it waits for the word of the owner."""

    ref: bytes
    issuer: str
    """Body that issued the reference; of an external id its system and a colon (`hubee:`)."""
    case: bytes
    body: str
    from_body: str
    """Body from which the claimant says the work came; empty if it does not say."""
    to: str
    """Addressee that the claimant names in the same fact; empty if none."""
    procedure: str
    on: int
    """Legal date of the claiming fact, days since 1970-01-01."""


class Fact:
    """One fact, with what the engine asks of it worked out once."""

    __slots__ = (
        "body",
        "case",
        "data",
        "date",
        "digest",
        "from_body",
        "handoff",
        "id",
        "identity",
        "key",
        "moment",
        "procedure",
        "rank",
        "references",
        "refs",
        "sequence",
        "source",
        "subject",
        "to",
        "type",
        "visibility",
    )  # fmt: skip

    def __init__(self, schema: Schema, datum: dict[str, Any], keys: Keys) -> None:
        header = datum["header"]
        self.type: str = schema.name
        self.rank: int = RANK[schema.name]
        self.source: str = intern(header["source"])
        self.body: str = intern(self.source.partition("/")[0])
        self.subject: str = intern(header["subject"])
        parse(self.subject)
        self.case: bytes = keys.of(self.subject)
        """Key of the subject."""
        self.id: str = header["id"]
        self.date: int = header["occurred_on"]
        """Legal date, days since 1970-01-01."""
        self.moment: int = _moment(header["occurred_at"])
        self.sequence: int | None = header["sequence"]
        self.procedure: str = intern(header["procedure"] or "")
        self.from_body: str = intern(header["from_body"] or "")
        self.visibility: str | None = header["visibility"]
        self.data: dict[str, Any] = {name: value for name, value in datum.items() if name != "header"}
        """The payload fields; dates are days since 1970-01-01."""
        self.to: str = datum.get("to") or ""
        texts: list[str] = header["references"]
        self.references: tuple[str, ...] = tuple(texts)
        """The references of the header, as written."""
        handoff: str | None = datum.get("handoff")
        named = [t for t in texts if not t.startswith("body:")]  # an administration would unite all of its cases
        issuers = [(_owner(t), t) for t in ([*named, handoff] if handoff else named)]
        self.refs: tuple[tuple[bytes, str], ...] = tuple((keys.of(t), issuer) for issuer, t in issuers)
        """Other references: (key, owner as in `Claim.issuer`)."""
        self.handoff: bytes | None = self.refs[-1][0] if handoff else None
        self.digest: bytes = canonical.digest(schema, datum)
        """SHA-256 of the canonical form."""
        who = f"{self.source}\0{self.subject}\0{self.id}".encode()
        self.identity: bytes = blake2b(who, digest_size=16).digest()
        """Digest of (source, subject, id)."""
        self.key: bytes = blake2b(self.identity + self.digest, digest_size=16).digest()
        """Digest of identity and content: the fact among all facts."""

    @property
    def own(self) -> set[bytes]:
        """References that unite at once: the subject, and what the stating body issued. An `unlinked` unites nothing."""
        if self.type == _UNLINKED:
            return {self.case}
        body = self.body
        return {self.case, *(k for k, issuer in self.refs if issuer == body)}

    @property
    def claims(self) -> set[Claim]:
        """References that wait for their owner's word. An `unlinked` claims nothing."""
        if self.type == _UNLINKED:
            return set()
        body = self.body
        return {
            Claim(k, issuer, self.case, body, self.from_body, self.to, self.procedure, self.date)
            for k, issuer in self.refs
            if issuer != body
        }


def _owner(text: str) -> str:
    """The body that issued a reference; of an external id its system and a colon, which is no body's id."""
    reference = parse(text)
    return reference.issuer or text.split(":", 2)[1] + ":"


def _moment(occurred_at: str | None) -> int:
    """Milliseconds since local midnight of an RFC 3339 instant; 0 if there is none (or if it is not one)."""
    if not occurred_at:
        return 0
    try:
        hours, minutes, seconds = int(occurred_at[11:13]), int(occurred_at[14:16]), int(occurred_at[17:19])
        fraction = occurred_at[20:23] if occurred_at[19:20] == "." else ""
        digits = "".join(c for c in fraction if c.isdigit())
    except ValueError:
        return 0
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + int(digits.ljust(3, "0") or 0)


class Copy:
    """A fact as received. Of copies with one digest the least by (rank of attestation, admission, bytes) is kept."""

    __slots__ = ("admitted", "fact", "rank", "value")

    def __init__(self, rank: int, admitted: int, value: bytes, fact: Fact) -> None:
        self.rank = rank
        self.admitted = admitted
        """Stamp: append time in the first topic, ms since the epoch (led instances: the last tick before it)."""
        self.value = value
        self.fact = fact

    def __lt__(self, other: Copy) -> bool:
        return (self.rank, self.admitted, self.value) < (other.rank, other.admitted, other.value)


class Reader:
    """Makes facts of bytes with the codec and the reference keys of a deployment.

    Facts read lately are kept: what is shipped from one partition to another of the same process is the same fact again.
    """

    def __init__(self, codec: Codec, keys: Keys, kept: int = KEPT) -> None:
        self._codec = codec
        self._keys = keys
        self._fact = lru_cache(maxsize=kept)(self._made)

    def copy(self, value: bytes, admitted: int, rank: int | None = None) -> Copy:
        """A copy from original bytes. Raises `DecodeError`, and `ValueError` for a reference that is not one."""
        attested, fact = self._fact(value)
        return Copy(attested if rank is None else rank, admitted, value, fact)

    def _made(self, value: bytes) -> tuple[int, Fact]:
        """The rank of who vouches for it, and the fact."""
        schema, datum = self._codec.decode(value)
        return ATTESTATIONS[datum["header"]["attested_by"]], Fact(schema, datum, self._keys)


@cache
def reader(codec: Codec, keys: Keys) -> Reader:
    """The reader that all partitions of a process share."""
    return Reader(codec, keys)
