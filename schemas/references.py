"""References: identifiers by which a fact says what it is about.

A reference names a request, never a person or a household. Its text has one of five forms; its *key* is what the bus stores, sorts
and routes by: sixteen bytes, opaque without the key of the deployment. The byte order of keys is the fixed total order by which
journeys unite (rank of the kind, then hash), so kinds, ranks, hash and partition function are part of the contract.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from hashlib import blake2b

KEY_SIZE = 16
"""Bytes of a reference key: one for the rank, fifteen of hash."""

MAX_LENGTH = 160
"""Characters of a reference text, at most."""


class Kind(IntEnum):
    """Kind of a reference; the value is its rank in the total order (the smallest reference of a journey is its root)."""

    JOURNEY = 0
    CASE = 1
    HANDOFF = 2
    EXTERNAL = 3
    BODY = 4


class ReferenceFault(StrEnum):
    """Why a text is not a reference."""

    UNKNOWN_KIND = "unknown-kind"
    MALFORMED = "malformed"
    PLACEHOLDER = "placeholder"
    TOO_LONG = "too-long"
    UNKNOWN_SYSTEM = "unknown-system"


MENDS = {
    ReferenceFault.UNKNOWN_KIND: "start it with journey:, case:, handoff:, external: or body:",
    ReferenceFault.MALFORMED: "write journey:<body>:<32 hex>, case:<body>/<number>, handoff:<body>:<32 hex>, "
    "external:<system>:<id> or body:<body>; a number holds no space",
    ReferenceFault.PLACEHOLDER: "a placeholder such as N/A would join strangers: leave the reference out",
    ReferenceFault.TOO_LONG: f"shorten it to {MAX_LENGTH} characters",
    ReferenceFault.UNKNOWN_SYSTEM: "use a system of the closed list: hubee, ds, platau, ants, sne, caf",
}

EXTERNAL_SYSTEMS = frozenset({"hubee", "ds", "platau", "ants", "sne", "caf"})
"""Closed list of systems whose ids may be named: HubEE, demarche.numerique, PLAT'AU, ANTS, the housing register, CAF."""

PLACEHOLDERS = frozenset({
    "0", "-", "?", ".", "n/a", "na", "nc", "n.c.", "none", "null", "nil", "neant", "néant", "inconnu", "unknown", "test", "tbd",
    "xxx", "sans", "aucun", "vide", "undefined", "x",
})  # fmt: skip

BODY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}[a-z0-9]")
"""A body's stable id: lower-case letters, digits and inner hyphens, 2 to 64 characters."""

_ISSUED = re.compile(r"([a-z0-9][a-z0-9-]{0,62}[a-z0-9]):([0-9a-f]{32})")
_CASE = re.compile(r"([a-z0-9][a-z0-9-]{0,62}[a-z0-9])/(\S{1,100})")
_EXTERNAL = re.compile(r"([a-z]{2,12}):(\S{1,100})")
_HIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202f\u2060\ufeff]")
_KINDS = {k.name.lower(): k for k in Kind}


class ReferenceFormatError(ValueError):
    """A text that is not a reference; `fault` says why, the message says how to mend it and does not repeat the text."""

    def __init__(self, fault: ReferenceFault) -> None:
        super().__init__(f"{fault.value}: {MENDS[fault]}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference."""

    kind: Kind
    issuer: str | None
    """The body that owns it: the only one whose word unites at once. None for an external id."""
    value: str
    """What follows the issuer (or, for an external id, the system)."""
    text: str
    """The whole, as written."""


def _is_placeholder(value: str) -> bool:
    folded = value.casefold()
    return folded in PLACEHOLDERS or not folded.strip("0-_./?*x")


@lru_cache(maxsize=65_536)
def parse(text: str) -> Reference:
    """Parse a reference text; raise `ReferenceFormatError` if it is not one."""
    if len(text) > MAX_LENGTH:
        raise ReferenceFormatError(ReferenceFault.TOO_LONG)
    head, _, rest = text.partition(":")
    kind = _KINDS.get(head)
    if kind is None:
        raise ReferenceFormatError(ReferenceFault.UNKNOWN_KIND)
    if _HIDDEN.search(rest):
        raise ReferenceFormatError(ReferenceFault.MALFORMED)
    if kind is Kind.BODY:
        if not BODY.fullmatch(rest):
            raise ReferenceFormatError(ReferenceFault.MALFORMED)
        return Reference(kind, rest, rest, text)
    form = {Kind.CASE: _CASE, Kind.EXTERNAL: _EXTERNAL}.get(kind, _ISSUED)
    match = form.fullmatch(rest)
    if match is None:
        raise ReferenceFormatError(ReferenceFault.MALFORMED)
    owner, value = match.groups()
    if _is_placeholder(value):
        raise ReferenceFormatError(ReferenceFault.PLACEHOLDER)
    if kind is not Kind.EXTERNAL:
        return Reference(kind, owner, value, text)
    if owner not in EXTERNAL_SYSTEMS:
        raise ReferenceFormatError(ReferenceFault.UNKNOWN_SYSTEM)
    return Reference(kind, None, value, text)


def case_of_handoff(body: str, handoff: str) -> str:
    """The case of a body that has no number of its own for the work of `handoff` (a handoff reference)."""
    return f"case:{body}/{handoff}"


class Keys:
    """Turns references into keys with the secret of one deployment (16 to 64 bytes).

    The hash is BLAKE2b (RFC 7693) of the UTF-8 text, keyed, 15 bytes, behind one byte of rank. The same deployment must keep its
    secret for ever: with another, every stored reference would be a stranger.
    """

    def __init__(self, secret: bytes, cache: int = 262_144) -> None:
        if not 16 <= len(secret) <= 64:
            raise ValueError("the hash key of references takes 16 to 64 bytes")
        self._secret = secret
        self.of = lru_cache(maxsize=cache)(self._of)
        """Key of a reference text."""

    def _of(self, text: str) -> bytes:
        rank = _KINDS[text[: text.index(":")]]
        return bytes((rank,)) + blake2b(text.encode(), digest_size=KEY_SIZE - 1, key=self._secret).digest()


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a reference key: its bytes 1 to 4, big-endian, modulo the number of partitions."""
    return int.from_bytes(key[1:5], "big") % partitions
