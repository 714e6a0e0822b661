"""Admission: who speaks, is it sound; everything else is a dead letter and the partition goes on."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from schemas.codec import bus, events
from schemas.definitions import load
from schemas.directory import Body, Directory
from schemas.holidays import load as holidays
from schemas.references import Keys, partition_of
from streams.admit import Admit
from streams.correlate import ADMITTED, Plan
from streams.engine.book import Book
from streams.engine.calendars import calendars
from streams.reasons import Reason
from streams.runtime.processor import Effects, Record

KEYS = Keys(b"k" * 32)
NOW = 1_790_000_000_000
TODAY = NOW // 86_400_000


def book(*bodies: str) -> Book:
    directory = Directory(bodies=tuple(Body(id=b, name=b, kind="commune") for b in bodies))
    return Book(load(), directory, calendars(holidays()))


def admit(*, led: bool = False, known: tuple[str, ...] = ("viriat",)) -> Admit:
    plan = Plan(instance="t", partitions=24, output_partitions=6, led=led, room=10, keys=KEYS, events=events())
    made = Admit(plan, "viriat", 0, book(*known))
    made.reset()
    return made


def fact(name: str = "case.opened", **header: Any) -> bytes:
    said: dict[str, Any] = {
        "id": "1", "source": "viriat/app", "attested_by": "body", "subject": "case:viriat/PC-1", "references": [],
        "occurred_on": TODAY,
    } | header  # fmt: skip
    return events().encode(name, {"header": said})


def record(value: bytes | None, offset: int = 0, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    return Record(offset, NOW, None, value, headers)


def letter(effects: Effects) -> dict[str, Any]:
    (send,) = effects.sends
    assert send.topic == "t.dead-letters"
    return bus().decode(send.value or b"")[1]


def test_a_sound_fact_is_forwarded_byte_for_byte_with_the_instant_of_its_admission() -> None:
    value = fact()
    effects = admit().process([record(value, headers=((ADMITTED, b"\0" * 8), ("trace", b"x")))])
    (send,) = effects.sends
    key = KEYS.of("case:viriat/PC-1")
    assert (send.topic, send.partition, send.key, send.value) == ("t.case-events", partition_of(key, 24), key, value)
    assert send.headers == [("trace", b"x"), (ADMITTED, NOW.to_bytes(8, "big"))]
    assert effects.least == NOW


def test_what_a_body_says_of_itself_is_reference_data() -> None:
    effects = admit().process([record(fact("source.heartbeat", subject="body:viriat"))])
    (send,) = effects.sends
    assert (send.topic, send.partition, send.key) == ("t.reference", 0, b"source.heartbeat|viriat|viriat/app")
    assert effects.least is None


TICK = bus().encode("tick", {"at": NOW})
REFUSED: dict[str, tuple[bytes | None, Reason, str | None]] = {
    "garbage": (b"garbage", Reason.UNREADABLE, None),
    "nothing": (None, Reason.UNREADABLE, None),
    "cut short": (fact()[:-2], Reason.UNREADABLE, None),
    "unknown schema": (b"\xc3\x01" + b"12345678", Reason.UNKNOWN_SCHEMA, None),
    "another body's source": (fact(source="peronnas/app"), Reason.NOT_ALLOWED, "header.source"),
    "another body's case": (fact(subject="case:peronnas/1"), Reason.NOT_ALLOWED, "header.subject"),
    "vouched for by an operator": (fact(attested_by="operator"), Reason.NOT_ALLOWED, "header.attested_by"),
    "still to come": (fact(occurred_on=TODAY + 40), Reason.INVALID, "header.occurred_on"),
    "too large": (fact() + b"\0" * 70_000, Reason.TOO_LARGE, None),
    "a tick where the wall leads": (TICK, Reason.NOT_ALLOWED, None),
    "a message of the bus": (
        bus().encode("link", {"at": b"a" * 16, "lo": b"b" * 16, "stamp": 1}),
        Reason.NOT_ALLOWED,
        None,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_a_dead_letter_with_its_bytes_and_the_rest_goes_on(name: str) -> None:
    value, reason, field = REFUSED[name]
    found = letter(admit().process([record(value, 7)]))
    assert (found["reason"], found["field"], found["value"]) == (reason.value, field, value)
    assert (found["topic"], found["offset"]) == ("t.case-events.viriat", 7)
    both = admit().process([record(value, 7), record(fact(), 8)])
    assert [s.topic for s in both.sends] == ["t.dead-letters", "t.case-events"]


def test_a_body_that_the_directory_does_not_know_waits_for_a_mend() -> None:
    stage = admit(known=())
    found = letter(stage.process([record(fact())]))
    assert (found["reason"], found["retriable"]) == (Reason.UNKNOWN_BODY.value, True)
    stage.use(book("viriat"))
    assert [s.topic for s in stage.process([record(fact())]).sends] == ["t.case-events"]


def test_the_bytes_of_a_national_identity_number_are_not_kept() -> None:
    header = {
        "id": "1", "source": "viriat/app", "attested_by": "body", "subject": "case:viriat/PC-1", "references": [],
        "occurred_on": TODAY + 40,
    }  # fmt: skip
    value = events().encode(
        "case.pieces-requested", {"header": header, "pieces": ["carte 2 69 05 49 588 157 80 copie"]}
    )
    found = letter(admit().process([record(value)]))
    assert (found["reason"], found["value"], found["size"]) == (Reason.PERSONAL_NUMBER.value, None, len(value))
    assert "from character 6" in found["detail"]
    assert "588" not in found["detail"]


def test_a_led_instance_stamps_with_its_last_tick_and_knows_of_none_after_a_takeover() -> None:
    stage = admit(led=True)
    assert stage.progress is None
    day = date(2015, 3, 2).toordinal() - date(1970, 1, 1).toordinal()
    at = day * 86_400_000
    early = stage.process([record(fact(occurred_on=day))])
    assert early.sends[0].headers == []
    tick = bus().encode("tick", {"at": at})
    effects = stage.process([record(tick), record(fact(occurred_on=day)), record(fact(occurred_on=day + 9))])
    assert effects.progress == stage.progress == at
    assert [s.topic for s in effects.sends] == ["t.case-events", "t.dead-letters"]
    assert effects.sends[0].headers == [(ADMITTED, at.to_bytes(8, "big"))]
    assert effects.local == [], "a local store may be older than what others have read since"
    stage.reset()
    assert stage.progress is None
    later = stage.process([record(fact(occurred_on=day + 9))])
    assert [s.topic for s in later.sends] == ["t.case-events"]
