"""What belongs together: the least fixpoint of what bodies own and what they confirm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from deploy.chaos.oracle.said import Said, issuer
from deploy.chaos.rules import AGREED

Group = tuple[frozenset[str], list[Said]]
"""References that belong together, and all facts about their cases."""


def groups(facts: list[Said], cuts: set[frozenset[str]] = frozenset()) -> list[Group]:  # type: ignore[assignment]
    """Least fixpoint: owned references, then claims that the journey which holds the reference confirms; without the cut pairs."""
    sets: dict[str, set[str]] = {}

    def unite(a: str, b: str) -> bool:
        one, other = sets.setdefault(a, {a}), sets.setdefault(b, {b})
        if one is other:
            return False
        one |= other
        sets.update(dict.fromkeys(other, one))
        return True

    for f in facts:
        for r in f.own:
            if r == f.subject or not r.startswith("case:") or frozenset((r, f.subject)) not in cuts:
                unite(r, f.subject)
    about: dict[str, list[Said]] = defaultdict(list)
    for f in facts:
        about[f.subject].append(f)
    claims = [(r, f) for f in facts for r in f.claimed if frozenset((r, f.subject)) not in cuts]
    moved = True
    while moved:
        moved = False
        for r, f in claims:
            there = sets.setdefault(r, {r})
            if f.subject not in there and _confirmed(r, f, (g for case in there for g in about.get(case, ())), claims):
                moved |= unite(r, f.subject)
    found: dict[int, list[Said]] = defaultdict(list)
    for f in facts:
        found[id(sets[f.subject])].append(f)
    return [(frozenset(sets[fs[0].subject]), fs) for fs in found.values()]


def _confirmed(r: str, claim: Said, holders: Iterable[Said], claims: list[tuple[str, Said]]) -> bool:
    """Design 3.2: (a) addressee of a handoff there, (b) bearer of a journey id of a body there, (e) linked by an owner there, (c) both ends
    of a passage tell of it at an external id, (d) a convention."""
    for g in holders:
        if g.data.get("to") == claim.body or (g.type == "correction.linked" and claim.subject in g.refs):
            return True
        if r.startswith("journey:") and issuer(r) == g.body:
            return True
    if r.startswith("external:"):
        for other, g in claims:
            if other == r and g.subject != claim.subject and (_passes(g, claim) or _passes(claim, g)):
                return True
    return (claim.body, issuer(r)) in AGREED


def _passes(giver: Said, taker: Said) -> bool:
    return giver.data.get("to") == taker.body and taker.from_body == giver.body
