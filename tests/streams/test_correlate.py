"""The stage correlate: bad records, wrong partitions, poison, restarts, rules that change while it runs."""

from __future__ import annotations

from datetime import date
from functools import cache

import pytest

from schemas.codec import bus
from schemas.directory import Convention
from schemas.references import partition_of
from streams.correlate import LOCAL_SWEPT, PIECE
from streams.engine.book import Book
from streams.engine.facts import Copy
from streams.engine.messages import Carried, ClaimMessage, Put, encode
from streams.engine.root import DUE, ENTRY, Root
from streams.engine.uniting import Uniting
from streams.runtime.processor import Record
from tests.support.bench import Bench
from tests.support.books import book
from tests.support.facts import KEYS, case, event, handoff
from tests.support.scenario import PROCEDURE
from tests.support.world import DAY, READER

A, B, E = case("alpha", 101), case("bravo", 202), case("echo", 505)
OPENED = event("case.opened", A, 0, 1, procedure=PROCEDURE)
AGREED = (Convention(body="bravo", owner="echo", procedure="*", since=date(1970, 1, 1)),)


def test_bytes_that_are_no_fact_are_dead_letters_and_the_rest_goes_on() -> None:
    table = Bench()
    broken = [b"", None, b"\xc3\x01", b"\xc3\x01" + bytes(8) + b"x", OPENED[:-3], b"not avro"]
    table.deliver(0, [*broken, OPENED])
    assert [x["value"] or b"" for x in table.letters] == [v or b"" for v in broken]
    assert {x["reason"] for x in table.letters} == {"unreadable", "unknown-schema"}
    assert [x["offset"] for x in table.letters] == list(range(len(broken)))
    assert table.journeys() == [[A]]


def test_records_of_the_bus_that_are_no_messages_are_dead_letters() -> None:
    table = Bench()
    alias = bus().encode("alias", {"target": bytes(16)})
    table.deliver(0, [alias, OPENED])
    assert [x["reason"] for x in table.letters] == ["unknown-schema"]
    assert table.journeys() == [[A]]


def test_what_a_body_says_of_itself_does_not_belong_here() -> None:
    table = Bench()
    table.deliver(0, [event("source.heartbeat", "body:alpha", 0, 1, source="alpha/soft"), OPENED])
    assert [(x["reason"], x["field"]) for x in table.letters] == [("invalid", "subject")]
    assert table.journeys() == [[A]]


def test_a_fact_at_the_wrong_partition_finds_its_way() -> None:
    table = Bench(partitions=4)
    home = partition_of(KEYS.of(A), 4)
    for wrong in range(4):
        table.deliver(wrong, [OPENED])
    table.settle()
    assert table.roots() == {KEYS.of(A): 1}
    assert table.sent == {"put": 3}
    assert [bool(s.position()) for s in table.stores] == [i == home for i in range(4)]


@pytest.mark.parametrize("refs", [("nonsense",), ("case:alpha/0",), ("case:alpha",)])
def test_a_reference_that_is_none_is_refused_without_repeating_it(refs: tuple[str, ...]) -> None:
    table = Bench()
    table.deliver(0, [event("case.opened", B, 0, 1, refs=refs), OPENED])
    assert [x["reason"] for x in table.letters] == ["invalid"]
    assert refs[0] not in table.letters[0]["detail"]
    assert table.journeys() == [[A]]


@pytest.mark.parametrize("place", [0, 2, 4])
def test_poison_is_a_dead_letter_and_the_rest_of_its_batch_goes_on(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    poison = event("case.step-started", A, 3, "poison", step="s", procedure=PROCEDURE)
    values = [
        event("case.step-started", c, n, n, step=f"s{n}", procedure=PROCEDURE) for n, c in enumerate((A, B, A, B))
    ]
    plain = Bench()
    plain.deliver(0, values)
    keep = Uniting._keep

    def fail(self: Uniting, root: Root, copies: list[Copy]) -> list[Copy]:
        kept = keep(self, root, copies)
        if any(c.fact.id == "poison" for c in copies):
            raise RuntimeError("a defect")
        return kept

    monkeypatch.setattr(Uniting, "_keep", fail)
    table = Bench()
    table.deliver(0, [*values[:place], poison, *values[place:]])
    assert [(x["reason"], x["value"], x["retriable"]) for x in table.letters] == [("bug", poison, True)]
    assert table.live == plain.live
    assert dict(table.stores[0].items()) == dict(plain.stores[0].items())


def test_a_view_that_fails_leaves_facts_and_outputs_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Bench()
    table.put([OPENED])
    before = dict(table.live)
    with monkeypatch.context() as patch:
        patch.setattr("streams.engine.publishing.view", lambda *a: 1 / 0)
        table.put([event("case.decided", A, 1, 2, procedure=PROCEDURE)])
        table.timers(DAY)
    assert table.live == before
    assert table.roots() == {KEYS.of(A): 2}
    table.put([event("case.notified", A, 2, 3, procedure=PROCEDURE)])
    assert table.read("statuses")[0]["cases"][0]["state"] == "notified"


def test_a_case_purged_by_a_message_is_a_dead_letter_with_its_own_bytes() -> None:
    table = Bench(rules=book(retention=10))
    table.put([OPENED, event("case.closed", A, 1, 2, procedure=PROCEDURE)])
    table.timers(60 * DAY)
    late = READER.copy(OPENED, 7)
    claim = next(iter(READER.copy(event("case.opened", B, 0, 1, refs=(A,)), 0).fact.claims))
    table.deliver(
        0,
        [
            encode(Put(KEYS.of(A), 7, (Carried(0, 7, late.value),)), bus()),
            encode(ClaimMessage(KEYS.of(A), claim, 7), bus()),
        ],
    )
    assert [(x["reason"], x["value"]) for x in table.letters] == [("after-purge", OPENED)]
    assert table.roots() == {}


def test_a_batch_without_a_commit_leaves_no_trace() -> None:
    table, plain = Bench(), Bench()
    part = table.parts[0]
    record = [event("case.opened", B, 0, 1, refs=(A,)), OPENED]
    table.deliver(0, [OPENED])
    plain.deliver(0, [OPENED])
    dropped = part.process([Record(9, 0, None, v) for v in record])
    assert dropped.state
    part.reset()
    for one in (table, plain):
        one.deliver(0, record)
    assert dict(table.stores[0].items()) == dict(plain.stores[0].items())
    assert table.live == plain.live


def test_a_cold_start_finds_its_timers_again() -> None:
    table = Bench()
    table.put([OPENED])
    table.timers(DAY)
    store = table.stores[0]
    index = [k for k, _ in store.items(DUE)]
    derived = [entry for k, v in store.items(ENTRY) for entry in table.parts[0].derive(k, v)]
    assert [k for k, _ in derived] == index
    assert len(index) == 1
    assert table.parts[0].derive(b"f" + bytes(32), b"") == table.parts[0].derive(ENTRY + bytes(16), None) == []


def alerts(table: Bench) -> list[str]:
    return [a["reason"] for a in table.read("alerts")]


def test_alerts_come_at_an_established_time_and_once() -> None:
    table = Bench()
    table.put(
        [event("handoff.sent", A, 0, 1, handoff=handoff("alpha", 1), to="bravo", procedure=PROCEDURE)], at=DAY // 2
    )
    table.timers(3 * DAY)
    assert alerts(table) == []
    table.timers(6 * DAY)
    assert alerts(table) == ["not-delivered"]
    assert table.timers(7 * DAY) == 0
    table.put([event("handoff.received", B, 2, 1, handoff=handoff("alpha", 1))], at=8 * DAY)
    assert alerts(table) == ["not-delivered"], "held until time has passed"
    table.timers(9 * DAY)
    assert "not-delivered" not in alerts(table)


# -- rules that change
def story() -> list[bytes]:
    return [
        event("case.opened", E, 0, 1),
        event("case.opened", B, 0, 1, refs=(E,), procedure=PROCEDURE),
        event("case.opened", A, 0, 1, procedure=PROCEDURE),
        event("case.opened", case("bravo", 203), 1, 1, refs=(E,), procedure=PROCEDURE),
    ]


def settled(table: Bench, at: int = 30 * DAY) -> Bench:
    for _ in range(3):
        table.timers(at)
    return table


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("room", [1, 1000])
@pytest.mark.parametrize("partitions", [1, 3])
def test_a_convention_of_today_joins_what_came_yesterday(partitions: int, room: int, restart: bool) -> None:
    first = Bench(partitions, agreed())
    first.put(story())
    settled(first)
    table = Bench(partitions, book(), room)
    table.put(story())
    settled(table, 5 * DAY)
    assert len(table.journeys()) == 4
    table.use(agreed())
    if restart:
        table.restart()
    settled(table)
    assert len(table.journeys()) == 2
    assert table.live == first.live
    table.restart()
    more = event("case.decided", B, 9, 9, procedure=PROCEDURE)
    for one in (first, table):
        one.put([more], at=31 * DAY)
        settled(one, 40 * DAY)
    assert table.live == first.live
    assert table.roots() == first.roots()


def test_a_fact_that_comes_before_the_sweep_does_not_hide_the_claims() -> None:
    table = Bench(3)
    table.put(story())
    settled(table, 5 * DAY)
    table.use(agreed())
    table.put(
        [event("case.step-started", E, 2, 2, step="s"), event("case.step-started", B, 2, 2, step="s")], at=5 * DAY
    )
    settled(table)
    assert len(table.journeys()) == 2


@cache
def agreed() -> Book:
    return book(conventions=AGREED)


@cache
def other_limit(days: int) -> Book:
    return book(days=days)


def test_changed_rules_reach_every_root_and_only_once() -> None:
    facts = [event("case.opened", case("alpha", n), 0, 1, procedure=PROCEDURE) for n in range(200, 240)]
    table, plain = Bench(2, other_limit(10)), Bench(2, other_limit(20))
    for one in (table, plain):
        one.put(facts)
        settled(one, 5 * DAY)
    assert table.live != plain.live
    table.use(other_limit(20))
    assert table.timers(5 * DAY) >= 4, "ten roots a turn"
    assert table.live == plain.live
    assert table.timers(5 * DAY) == 0
    table.restart()
    assert table.timers(5 * DAY) == 0


def test_a_store_built_anew_is_looked_through_in_pieces() -> None:
    """A worker that takes it over looks at every head once, and lets others in meanwhile; it finds the one that is behind."""
    table = Bench(1, other_limit(10))
    table.put([event("case.opened", case("alpha", n), 0, 1, procedure=PROCEDURE) for n in range(200, 220)])
    settled(table, 5 * DAY)
    store, codec = table.stores[0], bus()
    heads = [(key, value) for key, value in store.items(ENTRY) if codec.decode(value)[0].name == "head"]
    datum = codec.decode(heads[0][1])[1]
    many = [(ENTRY + KEYS.of(case("beta", n)), heads[0][1]) for n in range(200, 200 + 3 * PIECE)]
    behind = heads[-1][0], codec.encode("head", {**codec.decode(heads[-1][1])[1], "rules": b"formerly"})
    assert datum["rules"] == table.book.digest
    store.write([*many, behind, (LOCAL_SWEPT, None)], store.position())
    table.restart()
    work, pieces = table.parts[0].timers_in_pieces(5 * DAY, 10), 0
    try:
        while True:
            next(work)
            pieces += 1
    except StopIteration as end:
        effects = end.value
    assert pieces >= 3
    assert [key for key, _ in effects.state] == [behind[0]]
    assert (LOCAL_SWEPT, table.book.digest) in effects.local


def test_rules_that_go_and_come_back_leave_nothing_behind() -> None:
    facts = [event("case.opened", case("alpha", n), 0, 1, procedure=PROCEDURE) for n in range(200, 240)]
    for restart in (False, True):
        table = Bench(1, other_limit(10))
        table.put(facts)
        settled(table, 5 * DAY)
        before = dict(table.live)
        table.use(other_limit(20))
        effects = table.parts[0].timers(5 * DAY, 10)
        assert effects is not None
        table.commit(0, effects)
        assert table.live != before
        table.use(other_limit(10))
        if restart:
            table.restart()
        table.timers(5 * DAY)
        assert table.live == before
