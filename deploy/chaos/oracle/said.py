"""Facts as the oracle reads them: plain data, from the bytes of the contract."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from schemas import canonical
from schemas.codec import events
from schemas.references import parse

ATTESTED = ("body", "gateway", "operator")
PARIS = ZoneInfo("Europe/Paris")
Record = dict[str, Any]


class Said(NamedTuple):
    """One fact, of which possibly many copies came."""

    key: bytes
    """Digest of identity and content."""
    type: str
    subject: str
    body: str
    source: str
    id: str
    date: int
    moment: int
    sequence: int | None
    refs: tuple[str, ...]
    """Other references that it names, the handoff among them."""
    own: tuple[str, ...]
    """What it unites at once: its case, and what its own body issued."""
    claimed: tuple[str, ...]
    """What others issued: it waits for their word."""
    from_body: str | None
    data: Record
    """The fields of its type that have a value."""
    digest: bytes

    @property
    def identity(self) -> tuple[str, str, str]:
        """Two contents under one identity are a conflict."""
        return self.source, self.subject, self.id


class Copy(NamedTuple):
    """A fact as it came in. Of several the least is kept."""

    rank: int
    admitted: int
    value: bytes


def read(value: bytes) -> tuple[Said, int]:
    """A fact and the rank of who attests it. Raises `DecodeError`."""
    schema, datum = events().decode(value)
    header = datum.pop("header")
    digest = canonical.digest(schema, {"header": header, **datum})
    who = blake2b(f"{header['source']}\0{header['subject']}\0{header['id']}".encode(), digest_size=16).digest()
    at = header["occurred_at"]
    moment = (int(at[11:13]) * 3600 + int(at[14:16]) * 60 + int(at[17:19])) * 1000 if at else 0
    refs = (*header["references"], *([datum["handoff"]] if datum.get("handoff") else ()))
    subject, body = header["subject"], header["source"].split("/")[0]
    joins = () if schema.name == "correction.unlinked" else refs
    own = subject, *(r for r in joins if r != subject and issuer(r) == body)
    claimed = tuple(r for r in joins if issuer(r) != body)
    data = {name: value for name, value in datum.items() if value is not None}
    said = Said(blake2b(who + digest, digest_size=16).digest(), schema.name, subject, body, header["source"], header["id"],
                header["occurred_on"], moment, header["sequence"], refs, own, claimed, header["from_body"], data, digest)  # fmt: skip
    return said, ATTESTED.index(header["attested_by"])


def issuer(reference: str) -> str:
    """Body that issued a reference; of an external id its system and a colon."""
    return parse(reference).issuer or reference.split(":")[1] + ":"


@cache
def midnight(day: int) -> int:
    """When a day begins in Paris, ms since the epoch."""
    local = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(days=day)
    return int(local.replace(tzinfo=PARIS).timestamp()) * 1000
