"""Whose word is heard in a journey, and what claims say to each other: all that a confirmation rests on, kept as facts come in.

A claim (r, case of body Q) is confirmed by the journey J that holds r when (a) a fact of a case in J names Q as addressee; or (b) r is a
journey id issued by a body of J: whoever was given that secret belongs; or (c) r is an external id, Q says *from P* and P, which names
r too, says *to Q*; or (d) a convention covers Q, the owner of r and the procedure on that date; or (e) the owner of a case in J says
that it is linked with q. Knowing a number is never enough.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.references import Kind
from streams.engine.facts import Claim, Fact


class Voices:
    """What the facts of one journey can confirm by rules (a), (b) and (e). It only grows: every kept fact counts."""

    __slots__ = ("addressees", "bodies", "vouched")

    def __init__(self) -> None:
        self.bodies: set[str] = set()
        """Bodies that have stated a fact."""
        self.addressees: set[str] = set()
        """Bodies named as addressee of a handoff."""
        self.vouched: set[bytes] = set()
        """References that the owner of a case linked with it."""

    def __len__(self) -> int:
        """Number of words: one more means that something may be confirmed that was not."""
        return len(self.bodies) + len(self.addressees) + len(self.vouched)

    @property
    def words(self) -> tuple[frozenset[str], frozenset[str], frozenset[bytes]]:
        """All that was heard, to compare."""
        return frozenset(self.bodies), frozenset(self.addressees), frozenset(self.vouched)

    def hear(self, fact: Fact) -> None:
        """Hear one more fact."""
        self.bodies.add(fact.body)
        if fact.to:
            self.addressees.add(fact.to)
        if fact.type == "correction.linked":
            self.vouched.update(k for k, _ in fact.refs)

    def join(self, other: Voices) -> None:
        """Hear all that another journey has heard."""
        self.bodies |= other.bodies
        self.addressees |= other.addressees
        self.vouched |= other.vouched

    def confirm(self, claim: Claim) -> bool:
        """Rules (a), (b) and (e)."""
        return (
            claim.body in self.addressees
            or (claim.ref[0] == Kind.JOURNEY and claim.issuer in self.bodies)
            or claim.case in self.vouched
        )


_Passage = tuple[bytes, str, str]
"""(external id, body that passes on, body that takes over)."""


class Meetings:
    """Rule (c): the claims on external ids, by the passage from body to body that each tells of."""

    __slots__ = ("_given", "_taken")

    def __init__(self, claims: Iterable[Claim] = ()) -> None:
        self._given: dict[_Passage, set[bytes]] = {}
        self._taken: dict[_Passage, set[bytes]] = {}
        for claim in claims:
            self.add(claim)

    def add(self, claim: Claim) -> None:
        """Note one more claim."""
        if claim.ref[0] != Kind.EXTERNAL:
            return
        if claim.to:
            self._given.setdefault((claim.ref, claim.body, claim.to), set()).add(claim.case)
        if claim.from_body:
            self._taken.setdefault((claim.ref, claim.from_body, claim.body), set()).add(claim.case)

    def partners(self, claim: Claim) -> set[bytes]:
        """Other cases whose claim tells of the same passage from its other end: each confirms the other."""
        if claim.ref[0] != Kind.EXTERNAL:
            return set()
        given = self._given.get((claim.ref, claim.from_body, claim.body), set())
        taken = self._taken.get((claim.ref, claim.body, claim.to), set())
        return (given | taken) - {claim.case}
