"""Fold order: the one order in which the facts of a case take effect, whatever the order in which they came.

(date, m, source, sequence with absent last, id, digest), where m is the running maximum of (time of day, or local midnight if there is
none; rank of the type) over the facts of one source on one case at one date, taken by sequence; facts of equal sequence share it, a
fact without sequence has its own. "Time if both have one, then sequence" would be cyclic. All of it is within one case, so that
a merge of journeys reorders nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

from streams.engine.facts import Fact

Place = tuple[int, tuple[int, int], str, bool, int, str, bytes]


def fold_order(facts: Iterable[Fact]) -> list[Fact]:
    """The facts of one case in fold order."""
    facts = list(facts)
    if len(facts) == 1:
        return facts
    return sorted(facts, key=places(facts))


def places(facts: list[Fact]) -> Callable[[Fact], Place]:
    """What gives each of these facts of one case its place in fold order. Places of two cases can be compared too."""
    reached = _running_maxima(facts)

    def place(f: Fact) -> Place:
        own = (f.moment, f.rank)
        return (f.date, reached.get(f.key, own), f.source, f.sequence is None, f.sequence or 0, f.id, f.digest)

    return place


def follows(last: Fact, fact: Fact) -> bool:
    """Whether `fact` surely comes after `last`, the last of a case in fold order, and so after all of them."""
    if fact.date != last.date:
        return fact.date > last.date
    if last.sequence is None or fact.sequence is None:
        return False
    return fact.source == last.source and fact.sequence > last.sequence


def _running_maxima(facts: list[Fact]) -> dict[bytes, tuple[int, int]]:
    """m of every fact that has a sequence."""
    chains: dict[tuple[int, str], list[Fact]] = {}
    for f in facts:
        if f.sequence is not None:
            chains.setdefault((f.date, f.source), []).append(f)
    reached: dict[bytes, tuple[int, int]] = {}
    for chain in chains.values():
        if len(chain) == 1:
            continue
        chain.sort(key=_sequence)
        top = (0, 0)
        for _, same in groupby(chain, key=_sequence):
            together = list(same)
            top = max(top, *((f.moment, f.rank) for f in together))
            for f in together:
                reached[f.key] = top
    return reached


def _sequence(fact: Fact) -> int:
    return fact.sequence or 0


def effective(ordered: list[Fact]) -> list[Fact]:
    """The facts that take effect: the first of each identity in fold order, minus what its own source took back.

    The others are kept: union, claims and confirmations count every fact, since they must never shrink.
    """
    first: dict[bytes, Fact] = {}
    gone: set[tuple[str, str]] = set()
    for f in ordered:
        first.setdefault(f.identity, f)
    for f in first.values():
        if f.type == "correction.retracted":
            gone.add((f.source, f.data["fact"]))
    if len(first) == len(ordered) and not gone:
        return ordered
    return [
        f
        for f in ordered
        if first[f.identity] is f and (f.type == "correction.retracted" or (f.source, f.id) not in gone)
    ]
