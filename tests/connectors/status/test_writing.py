"""Every topic of the bus in the tables, on both databases; positions and effects together."""

from __future__ import annotations

import pytest

from connectors.status.database import Database
from connectors.status.model import Cursor, NotReadyError, ReadModel
from connectors.status.tables import Tables
from connectors.status.writing import Batch, MovedError, Writer
from schemas.codec import bus, events
from streams.engine.facts import Copy, Reader
from streams.runtime.processor import Record
from tests.support import facts, outputs
from tests.support.facts import KEYS
from tests.support.outputs import key, record

ONE = key("case:viriat/1")
TWO = key("case:gba/7")
READER = Reader(events(), KEYS)


class Bus:
    """Feeds records into a writer, keeping positions."""

    def __init__(self, database: Database) -> None:
        self.writer = Writer(database, KEYS, events())
        self.tables: Tables = self.writer.begin()
        self.model = ReadModel(database)
        self.at: dict[str, int] = {}

    def say(self, topic: str, *records: Record) -> None:
        base = self.at.get(topic, 0)
        self.writer.apply(self.tables, [Batch(topic, 0, base, base + len(records), list(records))])
        self.at[topic] = base + len(records)


def copy(value: bytes, rank: int = 0) -> tuple[Copy, bytes]:
    found = READER.copy(value, 5, rank)
    return found, bus().encode("copy", {"rank": rank, "admitted": 5, "value": value})


def test_nothing_is_read_before_something_was_written(database: Database) -> None:
    with pytest.raises(NotReadyError):
        ReadModel(database).pulse()
    Writer(database, KEYS, events()).begin()
    assert ReadModel(database).pulse() == (1, 0)


def test_a_batch_moves_its_position_or_does_nothing(database: Database) -> None:
    world = Bus(database)
    row = outputs.status([{"case": "case:viriat/1", "body": "viriat"}], [ONE])
    world.say("statuses", record(ONE, row))
    assert world.writer.positions(world.tables)[0] == {("statuses", 0): 1}
    gone = Batch("statuses", 0, 0, 1, [record(ONE, None, reason="withdrawn")])
    with pytest.raises(MovedError):
        world.writer.apply(world.tables, [gone])
    broken = Batch("statuses", 0, 1, 3, [record(ONE, None, reason="withdrawn"), record(TWO, b"broken")])
    with pytest.raises(ValueError, match="unknown"):
        world.writer.apply(world.tables, [broken])
    with world.model.snapshot() as now:
        found = now.resolve(ONE)
        assert found is not None
        assert found.datum["cases"][0]["case"] == "case:viriat/1"
    assert world.writer.positions(world.tables)[0] == {("statuses", 0): 1}


def test_the_inbox_is_a_feed_of_newest_states(database: Database) -> None:
    world = Bus(database)
    handoffs = [outputs.handoff(n, due_on=20_050 - n) for n in range(1, 6)]
    keys = [key(h["handoff"]) for h in handoffs]
    for k, h in zip(keys, handoffs, strict=True):
        world.say("handoffs", record(k, bus().encode("handoff", h)))
    with world.model.snapshot() as now:
        first = now.inbox("gba", limit=2)
        assert [i.key for i in first] == keys[:2]
        assert [i.key for i in now.outbox("viriat")] == keys
        assert now.inbox("viriat") == []
        assert [h["due_on"] for h in now.open_handoffs(states=["sent"])] == [20_045, 20_046, 20_047, 20_048, 20_049]
        assert now.pairs(["sent"]) == [("viriat", "gba", 5, 20_045)]
    taken = outputs.handoff(1, state="accepted", limits=[{"rule": "x", "due_on": 20_020, "state": "running"}])
    world.say("handoffs", record(keys[0], bus().encode("handoff", taken)))
    world.say("handoffs", record(keys[1], None, reason="withdrawn"), record(keys[2], None, reason="purged"))
    with world.model.snapshot() as now:
        rest = now.inbox("gba", Cursor.parse(first[-1].cursor))
        assert [(i.key, i.datum["state"]) for i in rest] == [
            (keys[3], "sent"), (keys[4], "sent"), (keys[0], "accepted"), (keys[1], "withdrawn"),
        ]  # fmt: skip
        assert now.inbox("gba", Cursor.parse(rest[-1].cursor)) == []
        assert len(now.inbox("gba", Cursor(99, 5, b""))) == 4
        assert set(now.handoffs(keys)) == {keys[0], keys[3], keys[4]}


@pytest.mark.parametrize(
    "text", ["", "1", "1-2", "a-1-00", "1-1-zz", "-1-1-00", "1-9999999999999999999999-00", "1-١-00"]
)
def test_a_text_that_is_no_cursor_is_told(text: str) -> None:
    with pytest.raises(ValueError):
        Cursor.parse(text)


def test_alerts_are_found_by_case_body_and_reason(database: Database) -> None:
    world = Bus(database)
    lasting = outputs.alert(1)
    over = outputs.alert(2, other="gba", episodes=[{"raised_on": 20_001, "resolved_on": 20_002}])
    for alert in (lasting, over):
        world.say("alerts", record(alert["alert"], bus().encode("alert", alert)))
    with world.model.snapshot() as now:
        assert now.alerts() == [lasting]
        assert now.alerts(only_open=False, body="gba") == [over]
        assert now.alerts(reason="silent") == []
        assert now.alerts_of([ONE]) == [over, lasting]
        assert now.alert(over["alert"]) == over
    world.say("alerts", record(lasting["alert"], None, reason="withdrawn"))
    with world.model.snapshot() as now:
        assert now.alerts() == []


def test_facts_are_found_by_case_while_they_move_from_root_to_root(database: Database) -> None:
    world = Bus(database)
    made, value = copy(facts.event("case.opened", "case:viriat/1", 20_000, 1, attested_by="body"))
    assert made.fact.case == ONE
    world.say("journeys", record(b"f" + TWO + made.fact.key, value))
    world.say("journeys", record(b"f" + ONE + made.fact.key, value), record(b"e" + ONE, b"\xc3\x01"))
    with world.model.snapshot() as now:
        assert [f["value"] for f in now.facts_of([ONE])] == [made.value]
        assert now.has_facts([made.fact.key])
        assert not now.has_facts([made.fact.key, b"0" * 16])
    world.say("journeys", record(b"f" + ONE + made.fact.key, None), record(b"f" + TWO + made.fact.key, None))
    with world.model.snapshot() as now:
        assert now.facts_of([ONE]) == []


def test_a_claim_waits_until_both_are_shown_by_one_row(database: Database) -> None:
    world = Bus(database)
    held = {
        "ref": ONE, "issuer": "viriat", "case": TWO, "body": "gba", "from_body": None, "to": None, "procedure": None,
        "on": 20_003,
    }  # fmt: skip
    world.say("journeys", record(b"c" + ONE + b"k" * 16, bus().encode("held", held)))
    world.say("statuses", record(ONE, outputs.status([{"case": "case:viriat/1", "body": "viriat"}], [ONE])))
    with world.model.snapshot() as now:
        assert now.waiting_claims("viriat") == [(ONE, TWO, "gba", "viriat", 20_003)]
        assert now.waiting_claims("gba") == []
    both = [{"case": "case:viriat/1", "body": "viriat"}, {"case": "case:gba/7", "body": "gba"}]
    world.say("statuses", record(ONE, outputs.status(both, [ONE, TWO])))
    with world.model.snapshot() as now:
        assert now.waiting_claims() == []
        assert [w[:3] for w in now.worklist("gba")] == [(ONE, "case:gba/7", "urbanisme.pc-maison")]


def test_dead_letters_are_kept_as_long_as_their_topic(database: Database) -> None:
    world = Bus(database)
    letter = {
        "reason": "invalid", "detail": "mend", "field": "to", "topic": "main.case-events.gba", "partition": 0,
        "offset": 1, "timestamp": 2, "key": None, "value": b"x", "digest": "d", "size": 1, "headers": [],
        "retriable": False,
    }  # fmt: skip
    value = bus().encode("dead-letter", letter)
    world.say("dead-letters", record(None, value, 0, at=1_000))
    world.say("dead-letters", record(None, value, 1, at=2_000))
    with world.model.snapshot() as now:
        assert now.letters(reason="invalid") == [(0, 1, letter), (0, 0, letter)]
        assert now.letters(reason="bug") == now.letters(topic="x") == []
    world.say("dead-letters", record(None, value, 2, at=1_500 + 90 * 86_400_000))
    with world.model.snapshot() as now:
        assert [place for _, place, _ in now.letters()] == [2, 1]


def test_a_new_generation_is_built_while_the_old_one_is_read(database: Database) -> None:
    world = Bus(database)
    row = outputs.status([{"case": "case:viriat/1", "body": "viriat"}], [ONE])
    world.say("statuses", record(ONE, row))
    old, fresh = world.tables, world.writer.begin(fresh=True)
    assert world.writer.begin().number == fresh.number
    with world.model.snapshot() as now:
        assert now.generation == old.number
    world.writer.apply(fresh, [Batch("statuses", 0, 0, 1, [record(ONE, row)])])
    world.writer.serve(fresh)
    assert world.writer.serves(fresh)
    world.writer.drop_others(fresh)
    with world.model.snapshot() as now:
        assert now.generation == fresh.number
        assert now.resolve(ONE) is not None
    with pytest.raises(MovedError):
        world.writer.apply(old, [Batch("statuses", 0, 1, 2, [])])
