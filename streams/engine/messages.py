"""The three messages by which journeys unite, and their form on the bus.

Every message carries the stamp of the message whose processing sent it, so that established time waits for all that a fact causes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.codec import Codec
from schemas.references import KEY_SIZE
from streams.engine.facts import Claim


class Carried(NamedTuple):
    """A copy on its way: its rank of attestation, its admission and its original bytes."""

    rank: int
    admitted: int
    value: bytes


UNREAD = -1
"""In place of the rank of a copy that was sent on without being read."""


class Shipment(NamedTuple):
    """Which part of which shipped root a PUT carries."""

    loser: bytes
    part: int
    parts: int


class Put(NamedTuple):
    """Facts, and references known to be connected, for the journey of `at`."""

    at: bytes
    stamp: int
    copies: tuple[Carried, ...]
    members: frozenset[bytes] = frozenset()
    ship: Shipment | None = None
    head: bytes | None = None
    """The loser's head as stored, in part 0."""
    claims: tuple[Claim, ...] = ()
    """Claims that the loser holds."""

    @property
    def is_unread(self) -> bool:
        """Whether it carries one fact that nobody has read yet."""
        return len(self.copies) == 1 and self.copies[0].rank == UNREAD


class Link(NamedTuple):
    """`at` and `lo` are one journey. Always addressed to the larger of the two."""

    at: bytes
    lo: bytes
    stamp: int


class ClaimMessage(NamedTuple):
    """A claim on its way to its target."""

    at: bytes
    claim: Claim
    stamp: int


Message = Put | Link | ClaimMessage


def split_keys(joined: bytes) -> list[bytes]:
    """Reference keys out of their concatenation."""
    return [joined[i : i + KEY_SIZE] for i in range(0, len(joined), KEY_SIZE)]


def claim_datum(claim: Claim) -> dict[str, Any]:
    """A claim as bus record `held`."""
    return {
        "ref": claim.ref, "issuer": claim.issuer or None, "case": claim.case, "body": claim.body,
        "from_body": claim.from_body or None, "to": claim.to or None, "procedure": claim.procedure or None, "on": claim.on,
    }  # fmt: skip


def claim_of(datum: dict[str, Any]) -> Claim:
    """A claim from bus record `held`."""
    return Claim(
        datum["ref"], datum["issuer"] or "", datum["case"], datum["body"], datum["from_body"] or "", datum["to"] or "",
        datum["procedure"] or "", datum["on"],
    )  # fmt: skip


def encode(message: Message, codec: Codec) -> bytes:
    """A message as it stands in `case-events`."""
    if isinstance(message, Link):
        return codec.encode("link", {"at": message.at, "lo": message.lo, "stamp": message.stamp})
    if isinstance(message, ClaimMessage):
        return codec.encode("claim", {"at": message.at, "held": claim_datum(message.claim), "stamp": message.stamp})
    ship = message.ship
    return codec.encode(
        "put",
        {
            "at": message.at,
            "stamp": message.stamp,
            "members": b"".join(sorted(message.members)),
            "loser": ship.loser if ship else None,
            "part": ship.part if ship else 0,
            "parts": ship.parts if ship else 0,
            "head": message.head,
            "claims": [claim_datum(c) for c in message.claims],
            "copies": [c._asdict() for c in message.copies],
        },
    )


def decode(name: str, datum: dict[str, Any]) -> Message | None:
    """A message from the bus record of that name; None for a record that is not one."""
    if name == "link":
        return Link(datum["at"], datum["lo"], datum["stamp"])
    if name == "claim":
        return ClaimMessage(datum["at"], claim_of(datum["held"]), datum["stamp"])
    if name != "put":
        return None
    ship = Shipment(datum["loser"], datum["part"], datum["parts"]) if datum["loser"] is not None else None
    return Put(
        datum["at"],
        datum["stamp"],
        tuple(Carried(c["rank"], c["admitted"], c["value"]) for c in datum["copies"]),
        frozenset(split_keys(datum["members"])),
        ship,
        datum["head"],
        tuple(claim_of(c) for c in datum["claims"]),
    )
