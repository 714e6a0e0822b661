"""The oracle of chaos and the engine were written apart: here they are held against each other, and the oracle against the hand."""

from __future__ import annotations

import pytest

from deploy import rules
from deploy.chaos import oracle, traffic
from deploy.chaos.checker import Facts, history, shown
from deploy.chaos.rules import directory, journey
from schemas.codec import events
from streams.engine.book import Book
from streams.engine.facts import Copy, Reader
from streams.engine.view import fold, view
from tests.support.facts import KEYS

DAY = 86_400_000
READER = Reader(events(), KEYS)
FIRST = traffic.FIRST_DAY


@pytest.fixture(scope="module")
def book() -> Book:
    return rules.book(directory(), [journey()])


def story(seed: int, number: int) -> list[tuple[bytes, int]]:
    """Facts with when they were admitted."""
    arrivals = traffic.Story(seed, number, 0, FIRST).arrivals()
    return [(a.value, (FIRST + a.day) * DAY) for a in arrivals]


def engine(admitted: list[tuple[bytes, int]], now: int, book: Book) -> dict[str, dict[bytes, oracle.Record]]:
    kept: dict[bytes, Copy] = {}
    for value, at in admitted:
        copy = READER.copy(value, at)
        known = kept.get(copy.fact.key)
        kept[copy.fact.key] = copy if known is None or copy < known else known
    found: dict[str, dict[bytes, oracle.Record]] = {"statuses": {}, "handoffs": {}, "alerts": {}}
    for key, out in view(fold(kept.values()), now, book).outputs.items():
        found[out.topic][key] = shown(out.topic, out.value)
    return found


def same(want: dict[bytes, oracle.Record], have: dict[bytes, oracle.Record]) -> None:
    assert want.keys() == have.keys()
    for key, record in have.items():
        assert {name: want[key][name] for name in record} == record


def compare(seed: int, numbers: range, book: Book) -> int:
    alerts = 0
    for number in numbers:
        admitted = story(seed, number)
        facts = Facts(admitted)
        for now in (FIRST + 12, FIRST + 30, FIRST + 200):
            known = [(value, at) for value, at in admitted if at < now * DAY]
            want = oracle.expect(Facts(known).said.values(), KEYS)
            have = engine(known, now * DAY, book)
            same(want.statuses, have["statuses"])
            same(want.handoffs, have["handoffs"])
            same(want.alerts_at(now * DAY), have["alerts"])
            alerts += len(have["alerts"])
        assert len(facts.groups()) <= len({f.subject for f in facts.said.values()})
    return alerts


def test_agrees_with_the_engine(book: Book) -> None:
    assert compare(1, range(120), book) > 100


@pytest.mark.long
def test_agrees_with_the_engine_at_length(book: Book) -> None:
    assert compare(2, range(6_000), book) > 5_000


def test_history_ends_with_what_is_true_now(book: Book) -> None:
    for number in range(30):
        facts = Facts(story(3, number))
        now = (FIRST + 200) * DAY
        *_, last = history(list(facts.said.values()), facts, KEYS, now, DAY)
        assert last == oracle.expect(facts.said.values(), KEYS).alerts_at(now)


def test_groups_share_nothing() -> None:
    facts = Facts(fact for number in range(50) for fact in story(4, number))
    groups = facts.groups()
    named = [{r for f in group for r in (f.subject, *f.refs)} for group in groups]
    assert sum(map(len, named)) == len(set().union(*named))
    assert len(groups) >= 50
