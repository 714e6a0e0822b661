"""Fold order: independent of arrival, faithful to each source's sequence; which facts take effect."""

from __future__ import annotations

import random
from functools import cmp_to_key
from itertools import permutations

from streams.engine.facts import Copy, Fact
from streams.engine.order import effective, fold_order
from tests.support.facts import case, event
from tests.support.world import READER

CASE = case("alpha", 101)
TYPES = ("case.opened", "case.suspended", "case.resumed", "case.closed")


def fact(type_: str = "case.opened", on: int = 0, id_: object = 1, **kw: object) -> Fact:
    return READER.copy(event(type_, CASE, on, id_, **kw), 0).fact  # type: ignore[arg-type]


def some(r: random.Random) -> list[Fact]:
    """Six facts that meet in every way: few days, hours, sequences, two sources."""
    return [
        fact(
            r.choice(TYPES),
            r.choice((0, 0, 1)),
            i,
            source=f"alpha/{r.choice('xy')}",
            at=r.choice((None, "1970-01-01T09:00:00+01:00", "1970-01-01T10:00:00+01:00")),
            sequence=r.choice((None, 1, 2, 3)),
        )
        for i in range(6)
    ]


def naive(facts: list[Fact]) -> list[Fact]:
    """Time if both have one, then sequence: cyclic."""

    def compare(a: Fact, b: Fact) -> int:
        for x, y in ((a.date, b.date), (a.moment or None, b.moment or None), (a.sequence, b.sequence)):
            if x is not None and y is not None and x != y:
                return -1 if x < y else 1
        return -1 if (a.rank, a.key) < (b.rank, b.key) else 1

    return sorted(facts, key=cmp_to_key(compare))


def test_order_does_not_depend_on_arrival() -> None:
    r, moved = random.Random(1), 0
    for _ in range(400):
        facts = some(r)
        want, other = fold_order(facts), naive(facts)
        for _ in range(3):
            again = r.sample(facts, 6)
            assert fold_order(again) == want
            moved += naive(again) != other
    assert moved > 10, "a cyclic rule would be seen"


def test_the_sequence_of_a_source_is_kept() -> None:
    r = random.Random(2)
    for _ in range(400):
        seen: dict[tuple[str, int], int] = {}
        for f in fold_order(some(r)):
            if f.sequence is not None:
                assert seen.get((f.source, f.date), 0) <= f.sequence
                seen[f.source, f.date] = f.sequence


def test_a_late_hour_does_not_overtake_the_sequence() -> None:
    first = fact("case.suspended", at="1970-01-01T18:00:00+01:00", sequence=1)
    second = fact("case.resumed", id_=2, at="1970-01-01T09:00:00+01:00", sequence=2)
    other = fact("case.closed", id_=3, at="1970-01-01T12:00:00+01:00", source="alpha/other")
    for facts in permutations((first, second, other)):
        assert fold_order(facts) == [other, first, second]


def test_same_moment_is_ordered_by_type_then_source_then_id() -> None:
    facts = [fact("case.opened", id_="b"), fact("case.opened", id_="a"), fact("case.closed", id_="0")]
    other = fact("case.opened", id_="0", source="alpha/a")
    assert [f.id for f in fold_order([*facts, other])] == ["0", "a", "b", "0"]
    assert fold_order([*facts, other])[0] is other


def test_of_two_contents_the_first_in_order_takes_effect() -> None:
    early, late = fact("case.decided", 3, 1, outcome="refused"), fact("case.decided", 5, 1, outcome="granted")
    assert early.identity == late.identity
    assert early.key != late.key
    for facts in ([early, late], [late, early]):
        assert effective(fold_order(facts)) == [early]


def test_of_two_contents_at_one_moment_the_smaller_digest_takes_effect() -> None:
    both = [fact("case.decided", 3, 1, outcome=o) for o in ("refused", "granted")]
    assert effective(fold_order(both)) == [min(both, key=lambda f: f.digest)]


def test_a_source_takes_back_its_own_word_only() -> None:
    said = fact("case.decided", 3, 7)
    back = fact("correction.retracted", 4, 8, fact="7")
    stranger = fact("correction.retracted", 4, 9, fact="7", source="alpha/other")
    assert effective(fold_order([said, stranger])) == [said, stranger]
    assert effective(fold_order([back, said, stranger])) == [stranger, back]


def test_a_retraction_stays_even_if_another_names_it() -> None:
    said, back = fact("case.decided", 3, 7), fact("correction.retracted", 4, 8, fact="7")
    again = fact("correction.retracted", 5, 9, fact="8")
    assert effective(fold_order([said, back, again])) == [back, again]


def test_the_least_copy_is_less_by_attestation_then_admission_then_bytes() -> None:
    value = event("case.opened", CASE, 0, 1)
    copies = [READER.copy(value, at, rank) for rank, at in ((0, 9), (1, 2), (1, 3), (2, 1))]
    assert sorted(random.Random(1).sample(copies, 4)) == copies
    traced = READER.copy(event("case.opened", CASE, 0, 1, recorded_at=5), 2, 1)
    assert traced.fact.key == copies[1].fact.key
    assert (traced < copies[1]) == (traced.value < copies[1].value)
    assert isinstance(traced, Copy)
