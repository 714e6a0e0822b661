"""The founding property: same facts, same rules, same time, same content of every output; whatever the order and the accidents.

Each world is one set of facts under one schedule: partitions, batches, crashes, restarts, lag, clocks. `World.run` raises on the
first breach of an invariant, at rest and on the way.
"""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from itertools import permutations

import pytest

from schemas.codec import bus
from streams.engine.book import Book
from streams.engine.root import CLAIM, ENTRY, FACT
from tests.support.books import book
from tests.support.facts import case, event, handoff, journey
from tests.support.scenario import CONVENTIONS, PROCEDURE, Scenario, race
from tests.support.world import Arrival, World

PORTIONS = 8
SCENARIOS = 30
"""In each portion; two schedules each. One in three ends with purges."""


@cache
def rules(ends: bool = False) -> Book:
    return book(conventions=CONVENTIONS, retention=10 if ends else None)


def run(seed: int, schedules: int = 2) -> Counter[str]:
    """One scenario under several schedules; what happened in them."""
    total: Counter[str] = Counter()
    ends = seed % 3 == 2
    for schedule in range(schedules):
        world = World(Scenario(seed, ends).arrivals(), seed * 1000 + schedule, rules(ends)).run()
        total += world.count
        total.update(worlds=1, facts=len(world.copies), purges=bool(world.purged))
    return total


def delayed(seed: int) -> World:
    """A world for `race`: the door admit stands still at first."""
    world = World(race(seed), seed * 1000, rules())
    world.stop[-1] = world.rnd.randint(0, 60)
    world.skew = [world.rnd.randint(0, 4) for _ in world.logs]
    return world


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_content_follows_from_facts_rules_and_time(portion: int) -> None:
    total: Counter[str] = Counter()
    for seed in range(portion * SCENARIOS, (portion + 1) * SCENARIOS):
        total += run(seed)
    for accident in ("crashes", "restarts", "messages", "alerts written", "purges"):
        assert total[accident] > 10, f"these worlds were too quiet: {total}"


def test_a_copy_that_brings_nothing_new_is_waited_for() -> None:
    for seed in range(30):
        world = delayed(seed).run()
        assert world.count["outputs"]


@pytest.mark.parametrize("parts", [1, 3])
def test_journeys_shipped_in_many_parts(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.engine.uniting.SHIPPED_AT_ONCE", parts)
    assert sum((run(seed) for seed in range(1000, 1020)), Counter())["facts"] > 500


def test_what_ended_long_before_it_came_is_purged() -> None:
    traffic = [Arrival(i, "direct", event("case.opened", case("alpha", i + 1000), i, 1)) for i in range(60)]
    old = [
        Arrival(40, "direct", event(type_, case("bravo", 77), n, n, procedure=PROCEDURE))
        for n, type_ in enumerate(("case.opened", "case.closed"), 1)
    ]
    for seed in range(6):
        world = World(traffic + old, seed, rules(ends=True)).run()
        assert len(world.purged) == 1


def short_story() -> list[bytes]:
    """A handoff with all that unites: an id, a journey id, a word twice said with another content, a link undone."""
    a, b, c, h = case("alpha", 1001), case("bravo", 2002), case("charlie", 3003), handoff("alpha", 1)
    jid = journey("alpha", 1)
    return [
        event("case.opened", a, 0, 1, refs=(jid,), procedure=PROCEDURE),
        event("handoff.sent", a, 1, 2, handoff=h, to="bravo", procedure=PROCEDURE),
        event("handoff.received", b, 2, 1, handoff=h, procedure=PROCEDURE),
        event("case.opened", c, 3, 1, refs=(jid,), procedure=PROCEDURE),
        event("case.decided", c, 4, 2, outcome="granted", procedure=PROCEDURE),
        event("case.decided", c, 4, 2, outcome="refused", procedure=PROCEDURE),
        event("correction.unlinked", c, 5, 3, refs=(jid,), procedure=PROCEDURE),
    ]


def stored(world: World) -> dict[bytes, bytes]:
    """What `journeys` holds at rest, heads apart: facts, claims and aliases. Heads also tell of the way."""
    records = [record for log in world.logs for record in log.store.items()]
    kept = {k: v for k, v in records if k[:1] in (FACT, CLAIM)}
    return kept | {k: v for k, v in records if k[:1] == ENTRY and bus().decode(v)[0].name == "alias"}


def settled(values: list[bytes], seed: int) -> World:
    """A world in which all facts come on one day, by one door, in this order, so that their admissions are the same."""
    world = World([Arrival(0, "direct", v) for v in values], seed, rules())
    world.skew = [1] * len(world.logs)
    return world.run()


def test_every_order_gives_the_same_bytes() -> None:
    orders = list(permutations(short_story()))
    first = settled(list(orders[0]), 0)
    want = (first.readers[0].live, stored(first))
    assert len({topic for topic, _ in want[0]}) == 3
    assert len(want[1]) > 10
    for seed, order in enumerate(random.Random(1).sample(orders, 80)):
        world = settled([*order, *random.Random(seed).choices(order, k=3)], seed)
        assert (world.readers[0].live, stored(world)) == want


@pytest.mark.long
@pytest.mark.parametrize("portion", range(20))
def test_content_follows_from_facts_rules_and_time_in_thousands(portion: int) -> None:
    for seed in range(10_000 + portion * 200, 10_000 + (portion + 1) * 200):
        assert run(seed)["worlds"] == 2
    for seed in range(1_000 + portion * 50, 1_000 + (portion + 1) * 50):
        delayed(seed).run()
