"""Whose word unites: confirmation of claims, and the journeys that a set of cases makes.

A fact unites at once only what its own body owns. Any other reference is a claim (r, case of body Q), confirmed by the journey J
that holds r when (a) a fact of a case in J names Q as addressee; or (b) r is a journey id issued by a body of J: whoever was given
that secret belongs; or (c) r is an external id, Q says *from P* and P, which names r too, says *to Q*; or (d) a convention covers Q, the
owner of r and the procedure on that date; or (e) the owner of a case in J says that it is linked with q. Knowing a number is never enough.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from schemas.references import Kind
from streams.engine.cases import Case, Pair
from streams.engine.facts import Claim

Convention = Callable[[Claim], bool]
"""Whether a convention in force covers a claim."""


def no_convention(_claim: Claim) -> bool:
    """No body has an agreement with another."""
    return False


class Voices:
    """What the facts of one journey can confirm."""

    __slots__ = ("addressees", "bodies", "vouched")

    def __init__(self, cases: Iterable[Case] = ()) -> None:
        self.bodies: set[str] = set()
        self.addressees: set[str] = set()
        self.vouched: set[bytes] = set()
        for case in cases:
            self.add(case)

    def add(self, case: Case) -> None:
        """Hear one more case."""
        self.bodies.add(case.body)
        self.addressees |= case.addressees
        self.vouched |= case.vouched

    def confirm(self, claim: Claim) -> bool:
        """Rules (a), (b) and (e)."""
        return (
            claim.body in self.addressees
            or (claim.ref[0] == Kind.JOURNEY and claim.issuer in self.bodies)
            or claim.case in self.vouched
        )


def paired(claim: Claim, others: Iterable[Claim]) -> bool:
    """Rule (c): another claim on the same external id says *to* this body, and this one says *from* that body, or the reverse."""
    if claim.ref[0] != Kind.EXTERNAL:
        return False
    return any(
        o.ref == claim.ref
        and o.case != claim.case
        and ((claim.from_body == o.body and o.to == claim.body) or (claim.to == o.body and o.from_body == claim.body))
        for o in others
    )


class _Sets:
    """Disjoint sets of references."""

    def __init__(self) -> None:
        self._up: dict[bytes, bytes] = {}

    def find(self, x: bytes) -> bytes:
        up = self._up
        up.setdefault(x, x)
        while up[x] != x:
            up[x] = up[up[x]]
            x = up[x]
        return x

    def unite(self, a: bytes, b: bytes) -> None:
        self._up[self.find(a)] = self.find(b)

    def all(self) -> list[bytes]:
        return list(self._up)


class Journey:
    """Cases and references that belong together."""

    __slots__ = ("cases", "references")

    def __init__(self, cases: list[Case], references: list[bytes]) -> None:
        self.cases = cases
        """By key; every one has stated a fact."""
        self.references = references
        """Keys, sorted."""


def journeys(
    cases: Collection[Case], inert: Collection[bytes] = (), convention: Convention = no_convention
) -> list[Journey]:
    """The least fixpoint: owned references, then confirmed claims, without the pairs that were undone.

    A claim that was confirmed only through a wrong link is undone with it. `inert` holds purged cases: claims on them rest.
    """
    if len(cases) == 1:
        (case,) = cases
        if not case.cuts and not any(map(convention, case.claims)):
            return [Journey([case], sorted(case.own))]
    sets = _Sets()
    cut: set[Pair] = set().union(*(c.cuts for c in cases))
    for case in cases:
        for ref in case.own:  # an id of one's own cannot be cut from one's case, another case can
            if ref == case.key or ref[0] != Kind.CASE or frozenset((ref, case.key)) not in cut:
                sets.unite(ref, case.key)
    claims = sorted(
        {c for case in cases for c in case.claims if c.ref not in inert and frozenset((c.ref, c.case)) not in cut}
    )
    _confirm_all(sets, cases, claims, convention)
    groups: dict[bytes, Journey] = {sets.find(c.key): Journey([], []) for c in cases}
    for case in sorted(cases, key=lambda c: c.key):
        groups[sets.find(case.key)].cases.append(case)
    for ref in sets.all():
        group = groups.get(sets.find(ref))
        if group is not None:
            group.references.append(ref)
    for group in groups.values():
        group.references.sort()
    return list(groups.values())


def _confirm_all(sets: _Sets, cases: Collection[Case], claims: list[Claim], convention: Convention) -> None:
    """Unite by claims until no more is confirmed."""
    waiting = claims
    while waiting:
        voices: dict[bytes, Voices] = {}
        for case in cases:
            voices.setdefault(sets.find(case.key), Voices()).add(case)
        rest: list[Claim] = []
        for claim in waiting:
            at = sets.find(claim.ref)
            if at == sets.find(claim.case):
                continue
            heard = voices.get(at)
            if (heard and heard.confirm(claim)) or paired(claim, claims) or convention(claim):
                sets.unite(claim.ref, claim.case)
                merged = sets.find(claim.case)
                both = voices.get(at, Voices())
                voices = {k: v for k, v in voices.items() if k != at}
                into = voices.setdefault(merged, Voices())
                into.bodies |= both.bodies
                into.addressees |= both.addressees
                into.vouched |= both.vouched
            else:
                rest.append(claim)
        if len(rest) == len(waiting):
            return
        waiting = rest
