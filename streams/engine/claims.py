"""The journeys that a set of cases makes: the least fixpoint of owned references and confirmed claims.

A fact unites at once only what its own body owns. Any other reference is a claim and waits for a word, see `streams.engine.voices`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from schemas.references import Kind
from streams.engine.cases import Case, Pair, Word
from streams.engine.facts import Claim
from streams.engine.voices import Meetings, Voices

Convention = Callable[[Claim], bool]
"""Whether a convention in force covers a claim."""


def no_convention(_claim: Claim) -> bool:
    """No body has an agreement with another."""
    return False


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
        if not case.links and not any(map(convention, case.claims)):
            return [Journey([case], sorted(case.own))]
    sets = _Sets()
    cut = _undone(cases)
    for case in cases:
        for ref in case.own:  # an id of one's own cannot be cut from one's case, another case can
            if not cut or ref == case.key or ref[0] != Kind.CASE or frozenset((ref, case.key)) not in cut:
                sets.unite(ref, case.key)
    claims = sorted(
        c
        for case in cases
        for c in case.claims
        if c.ref not in inert and (not cut or frozenset((c.ref, c.case)) not in cut)
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


def _undone(cases: Collection[Case]) -> set[Pair]:
    """Pairs that the last word on them takes apart, whichever of the two cases it is of."""
    last: dict[Pair, Word] = {}
    for case in cases:
        for pair, word in case.links.items():
            if pair not in last or word > last[pair]:
                last[pair] = word
    return {pair for pair, (_, cut) in last.items() if cut}


def _confirm_all(sets: _Sets, cases: Collection[Case], claims: list[Claim], convention: Convention) -> None:
    """Unite by claims until no more is confirmed."""
    meetings = Meetings(claims)
    voices: dict[bytes, Voices] = {}
    for case in cases:
        voices.setdefault(sets.find(case.key), Voices()).join(case.voices)
    waiting = claims
    while waiting:
        rest: list[Claim] = []
        for claim in waiting:
            holder, claimant = sets.find(claim.ref), sets.find(claim.case)
            if holder == claimant:
                continue
            heard = voices.get(holder)
            if (heard and heard.confirm(claim)) or meetings.partners(claim) or convention(claim):
                sets.unite(claim.ref, claim.case)
                if heard:
                    voices[claimant].join(voices.pop(holder))
            else:
                rest.append(claim)
        if len(rest) == len(waiting):
            return
        waiting = rest
