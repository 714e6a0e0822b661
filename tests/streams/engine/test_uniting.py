"""Uniting, directed: the counterexamples of the design, hostile floods, merges in parts, heads, purges."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from schemas.codec import bus
from schemas.references import partition_of
from streams.engine import messages
from streams.engine.messages import ClaimMessage, Link
from streams.engine.root import CLAIM, ENTRY, TOMBSTONE, UNKNOWN, Added, Root
from streams.engine.voices import Meetings, Voices
from tests.support.bench import Bench
from tests.support.books import book
from tests.support.facts import KEYS, case, event, handoff, journey
from tests.support.scenario import PROCEDURE
from tests.support.world import DAY, READER

A, B = case("alpha", 101), case("bravo", 202)


def by_key(*texts: str) -> list[str]:
    return sorted(texts, key=KEYS.of)


def apart() -> list[str]:
    """Two cases of one body that live in different partitions of two, by key."""
    others = (case("alpha", n) for n in range(102, 200))
    here = partition_of(KEYS.of(A), 2)
    return by_key(A, next(x for x in others if partition_of(KEYS.of(x), 2) != here))


@pytest.mark.parametrize("seed", range(20))
def test_a_reference_reached_by_three_ways_is_joined(seed: int) -> None:
    """Counterexample 1 of a compression by bare hints: {0, 1}, {1, 3}, {2, 3}, with messages in any order."""
    zero, one, two, three = by_key(*(case("alpha", n) for n in range(101, 105)))
    table = Bench(partitions=4, seed=seed)
    facts = [event("case.opened", s, 0, s[-1], refs=(r,)) for s, r in ((zero, one), (one, three), (two, three))]
    for value in random.Random(seed).sample(facts, 3):
        table.deliver(partition_of(READER.copy(value, 0).fact.case, 4), [value])
    table.settle()
    assert table.roots() == {KEYS.of(zero): 3}
    assert set(table.entries().values()) == {"head", "alias"}
    assert list(table.entries().values()).count("head") == 1


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("forward", [True, False])
def test_a_long_chain_is_one_journey_at_a_bounded_price(forward: bool, partitions: int) -> None:
    chain = by_key(*(case("alpha", n) for n in range(1000, 1040)))
    facts = [event("case.opened", x, 0, 1, refs=(y,)) for x, y in pairwise(chain)]
    table = Bench(partitions)
    table.put(facts if forward else reversed(facts))
    assert table.roots() == {KEYS.of(chain[0]): 39}
    table.timers(DAY)
    assert table.journeys() == [sorted(chain[:-1])]
    assert sum(table.sent.values()) <= 12 * len(chain)
    assert {
        bus().decode(v)[1]["target"] for s in table.stores for k, v in s.items(ENTRY) if k[1:] != KEYS.of(chain[0])
    } == {KEYS.of(chain[0])}


@pytest.mark.parametrize("parts", [1, 2, 3, 200])
def test_populated_roots_merge_in_parts(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.engine.uniting.SHIPPED_AT_ONCE", parts)
    low, high = apart()
    table = Bench(partitions=2, seed=parts)
    table.put(event("case.step-started", c, n, n, step=f"s{n}", sequence=n) for c in (low, high) for n in range(7))
    assert set(table.roots().values()) == {7}
    table.put([event("case.step-completed", high, 9, 9, refs=(low,), step="s1")])
    assert table.roots() == {KEYS.of(low): 15}
    assert table.reasons == [], "what is merged is only tombstoned at an established time"
    table.timers(DAY)
    assert table.reasons == ["merged-into"]
    assert table.journeys() == [sorted((low, high))]


def test_nothing_is_published_between_two_parts() -> None:
    low, high = by_key(A, case("alpha", 102))
    table = Bench(partitions=1)
    shown = Root(KEYS.of(high), table.book)
    copy = READER.copy(event("case.opened", high, 0, 1), 0)
    parts = [
        messages.Put(
            KEYS.of(low), 0, (messages.Carried(0, 0, copy.value),) if i else (), frozenset({KEYS.of(high)}),
            messages.Shipment(KEYS.of(high), i, 2), None if i else bus().encode("head", shown.head()),
        )
        for i in range(2)
    ]  # fmt: skip
    table.deliver(0, [event("case.opened", low, 0, 1), messages.encode(parts[0], bus())])
    assert table.live == {}
    assert table.timers(10 * DAY) >= 1
    assert table.timers(10 * DAY) == 0, "a root that waits for parts does not keep timers busy"
    table.restart()
    table.deliver(0, [messages.encode(parts[1], bus())])
    assert table.journeys() == [[low], [high]] or table.journeys() == [[high], [low]]


FLOOD = 3000
"""References in the hostile facts of one test."""


def hostile() -> list[bytes]:
    """Claims of thousands of cases on one journey, sixteen references a fact."""
    named = (A, *(case("victim", n) for n in range(1000, 1014)), "external:hubee:777")
    return [
        event("case.opened", case("xray", n + 10_000), 0, 1, refs=named, from_body="alpha") for n in range(FLOOD // 16)
    ]


def test_hostile_claims_join_nothing_and_cost_a_fact_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Bench(partitions=2)
    table.put([event("case.opened", A, 0, 1), event("handoff.sent", A, 0, 2, handoff=handoff("alpha", 1), to="bravo")])
    table.put(hostile())
    assert [A] in table.journeys()
    assert all(len(j) == 1 for j in table.journeys())
    asked = []
    partners = Meetings.partners
    monkeypatch.setattr(Meetings, "partners", lambda self, claim: asked.append(claim) or partners(self, claim))
    before = sum(table.sent.values())
    table.put(event("case.step-started", A, n, f"s{n}", step=f"s{n}") for n in range(50))
    assert asked == []
    assert sum(table.sent.values()) == before
    table.put([event("handoff.received", B, 1, 1, handoff=handoff("alpha", 1))])
    assert sorted((A, B)) in table.journeys()


def test_a_flood_of_claims_ships_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that a broker refuses would stop the partition for good."""
    monkeypatch.setattr("streams.engine.uniting.SHIPPED_BYTES", 20_000)
    low, high = apart()
    table = Bench(partitions=2)
    table.put([event("case.opened", high, 0, 1)])
    table.put(event("case.opened", case("xray", n + 10_000), 0, 1, refs=(high,)) for n in range(400))
    table.put([event("case.opened", low, 0, 1, refs=(high,))])
    assert table.roots()[KEYS.of(low)] == 2
    assert table.largest < 20_000
    assert len([k for s in table.stores for k, _ in s.items(CLAIM + KEYS.of(low))]) == 400


def test_claims_at_an_external_id_meet_in_either_order() -> None:
    ext = "external:hubee:777"
    given = event("handoff.sent", A, 0, 1, handoff=handoff("alpha", 1), to="bravo", refs=(ext,))
    taken = event("case.opened", B, 0, 1, refs=(ext,), from_body="alpha")
    stranger = event("case.opened", case("xray", 303), 0, 1, refs=(ext,), from_body="alpha")
    for order in ((given, stranger, taken), (taken, given, stranger), (stranger, taken, given)):
        table = Bench(partitions=3)
        table.put(order)
        table.timers(DAY)
        assert table.journeys() == [sorted((A, B)), [case("xray", 303)]]


def test_a_claim_that_waited_is_confirmed_by_a_later_word_after_a_restart() -> None:
    table = Bench(partitions=3, room=1)
    table.put([event("case.opened", B, 0, 1, refs=(A,)), event("case.opened", A, 0, 1)])
    assert table.journeys() == [[A], [B]]
    table.restart()
    table.put([event("correction.linked", A, 1, 2, refs=(B,))])
    table.timers(DAY)
    assert table.journeys() == [sorted((A, B))]


def test_each_claim_is_sent_once() -> None:
    table = Bench(partitions=3)
    value = event("handoff.received", B, 1, 1, handoff=handoff("alpha", 1))
    table.put([value, value, event("handoff.received", B, 1, 2, handoff=handoff("alpha", 1))])
    once = table.sent["claim"]
    assert once <= 1
    table.restart()
    table.put([event("handoff.accepted", B, 1, 3, handoff=handoff("alpha", 1))])
    assert table.sent["claim"] == once


def test_links_and_claims_said_again_change_nothing() -> None:
    table = Bench()
    table.put(
        [
            event("case.opened", A, 0, 1, refs=(journey("alpha", 1),)),
            event("case.opened", B, 0, 1, refs=(journey("alpha", 1),)),
        ]
    )
    before = dict(table.stores[0].items())
    claim = next(iter(READER.copy(event("case.opened", B, 0, 1, refs=(journey("alpha", 1),)), 0).fact.claims))
    low, high = KEYS.of(journey("alpha", 1)), KEYS.of(A)
    again = [ClaimMessage(claim.ref, claim, 0), Link(high, low, 0), Link(low, low, 0)]
    table.deliver(0, [messages.encode(m, bus()) for m in again])
    assert dict(table.stores[0].items()) == before


def test_two_last_words_of_one_output_are_unknown_and_tombstones_are_remembered() -> None:
    one, two = Root(KEYS.of(A), book()), Root(KEYS.of(B), book())
    one.published = {b"a" * 16: b"1" * 8, b"b" * 16: TOMBSTONE, b"c" * 16: b"3" * 8}
    two.published = {b"a" * 16: b"2" * 8, b"b" * 16: b"2" * 8, b"c" * 16: b"3" * 8, b"d" * 16: TOMBSTONE}
    two.purged, two.hold, two.as_of = {KEYS.of(B)}, 7, 5
    one.join_head(two.head())
    assert one.published == {b"a" * 16: UNKNOWN, b"b" * 16: UNKNOWN, b"c" * 16: b"3" * 8, b"d" * 16: TOMBSTONE}
    assert (one.purged, one.hold, one.as_of) == ({KEYS.of(B)}, 7, 5)


def test_a_copy_that_is_less_takes_the_place_of_another() -> None:
    root, value = Root(KEYS.of(A), book()), event("case.opened", A, 0, 1)
    assert root.add(READER.copy(value, 5)) is Added.FACT
    assert root.add(READER.copy(value, 6)) is Added.NOTHING
    assert root.add(READER.copy(value, 4)) is Added.COPY
    assert [c.admitted for c in root.all_copies()] == [4]


def test_voices_only_grow() -> None:
    heard = Voices()
    facts = [
        READER.copy(v, 0).fact for v in (event("case.opened", A, 0, 1), event("correction.linked", A, 0, 2, refs=(B,)))
    ]
    sizes = [len(heard)]
    for fact in [*facts, *facts]:
        heard.hear(fact)
        sizes.append(len(heard))
    assert sizes == [0, 1, 2, 2, 2]


def test_a_purge_travels_with_a_merge_and_late_facts_are_dead_letters() -> None:
    low, high = by_key(A, case("alpha", 102))
    table = Bench(partitions=3, rules=book(retention=10))
    ended = [event(t, high, n, n, procedure=PROCEDURE) for n, t in enumerate(("case.opened", "case.closed"), 1)]
    table.put(ended)
    assert len(table.read("statuses")) == 1
    table.timers(40 * DAY)
    assert (table.roots(), table.live, table.reasons) == ({}, {}, ["purged"])
    late = event("case.step-started", high, 5, 9, procedure=PROCEDURE)
    table.put([late], at=41 * DAY)
    assert [(x["reason"], x["value"]) for x in table.letters] == [("after-purge", late)]
    table.put([event("case.opened", low, 41, 1, refs=(high,), procedure=PROCEDURE)], at=41 * DAY)
    table.put([ended[0]], at=42 * DAY)
    assert [x["reason"] for x in table.letters] == ["after-purge"] * 2
    assert table.roots() == {KEYS.of(low): 1}
    assert table.journeys() == [[low]]
