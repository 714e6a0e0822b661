"""What becomes of records, without Kafka: one fact each, changes, labels that wait, mappings that change."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from connectors.kit import state
from connectors.kit.contract import Record, Refused
from connectors.kit.intake import Intake, Outcome, Step
from connectors.kit.mapper import Mapper
from connectors.kit.stating import May, Stating
from schemas import codec
from streams.runtime.store import MemoryStore
from tests.support.facts import KEYS

EVENTS: list[dict[str, Any]] = [
    {"states": "case.opened", "when": "$label('etat', etat) = 'opened'", "on": "$date(le)", "from": {"procedure": "p"}},
    {
        "states": "case.suspended",
        "when": "$label('etat', etat) = 'suspended'",
        "on": "$date(le)",
        "with": {"cause": "x"},
    },
    {"states": "case.resumed", "when": "$label('etat', etat) = 'resumed'", "on": "$date(le)"},
]
LABELS = {"DEPOSE": "opened", "SUSPENDU": "suspended", "EN COURS": "resumed", "BROUILLON": None}


class Place:
    """An intake that commits to memory what it says."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "x.map.yaml"
        self.store = MemoryStore()
        self.facts: list[dict[str, Any]] = []
        self.letters: list[dict[str, Any]] = []
        self.write()
        self.restart()

    def write(self, **changes: Any) -> None:
        mapping = {"case": "no", "labels": {"etat": LABELS}, "events": EVENTS} | changes
        self.file.write_text(yaml.safe_dump(mapping, sort_keys=False), encoding="utf-8")

    def mapper(self) -> Mapper:
        return Mapper(self.file, "viriat", "legacy", ZoneInfo("Europe/Paris"))

    def restart(self, may: May = lambda _type, _procedure: True) -> None:
        stating = Stating("viriat", "legacy", codec.events(), KEYS, 4, {"viriat", "gba"}, may)
        self.intake = Intake(("t.", "t.connector.x", "t.dead-letters"), self.mapper(), stating, self.store)

    def take(self, *records: Record | Refused) -> list[Outcome]:
        return self.commit(self.intake.take(records, None, move=False))

    def remap(self, **changes: Any) -> list[Outcome]:
        self.write(**changes)
        self.intake.use(self.mapper())
        return self.commit(self.intake.release(1_000))

    def commit(self, step: Step) -> list[Outcome]:
        self.store.write(step.effects.state, 0)
        for send in step.effects.sends:
            if send.topic == "t.dead-letters":
                self.letters.append(codec.bus().decode(send.value or b"")[1])
            else:
                schema, datum = codec.events().decode(send.value or b"")
                self.facts.append({"type": schema.name, **datum})
        return [told.outcome for told in step.told]

    def said(self) -> list[str]:
        return [f"{fact['header']['subject'].rpartition('/')[2]} {fact['type']}" for fact in self.facts]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def row(no: str = "PC-1", etat: str = "DEPOSE", le: str = "01/03/2026", key: str = "", **more: Any) -> Record:
    return Record(key or no, {"no": no, "etat": etat, "le": le, **more})


def test_a_record_that_is_read_twice_is_one_fact(place: Place) -> None:
    assert place.take(row(), row()) == [Outcome.PUBLISHED, Outcome.DUPLICATE]
    place.restart()
    assert place.take(row()) == [Outcome.DUPLICATE]
    assert place.said() == ["PC-1 case.opened"]


def test_a_step_is_made_on_the_one_before_it_whose_commit_is_under_way(place: Place) -> None:
    first = place.intake.take([row(), row("PC-2")], 1)
    second = place.intake.take([row(), row(etat="SUSPENDU"), row("PC-3")], 2)
    assert [told.outcome for told in second.told] == [Outcome.DUPLICATE, Outcome.PUBLISHED, Outcome.PUBLISHED]
    place.commit(first)
    third = place.intake.take([row("PC-2"), row("PC-3"), row("PC-4")], 3)
    assert [told.outcome for told in third.told] == [Outcome.DUPLICATE, Outcome.DUPLICATE, Outcome.PUBLISHED]
    place.intake.reset()  # the second was not committed, nor was the third
    assert place.intake.checkpoint.cursor == 1
    assert place.take(row(etat="SUSPENDU"), row("PC-3")) == [Outcome.PUBLISHED, Outcome.PUBLISHED]


def test_the_order_of_fields_is_no_content(place: Place) -> None:
    place.take(Record("1", {"no": "1", "etat": "DEPOSE", "le": "01/03/2026"}))
    assert place.take(Record("1", {"le": "01/03/2026", "etat": "DEPOSE", "no": "1"})) == [Outcome.DUPLICATE]


def test_there_and_back_again_is_three_facts(place: Place) -> None:
    place.take(row(etat="EN COURS"), row(etat="SUSPENDU"), row(etat="EN COURS"))
    assert place.said() == ["PC-1 case.resumed", "PC-1 case.suspended", "PC-1 case.resumed"]
    assert len({fact["header"]["id"] for fact in place.facts}) == 3
    assert [fact["header"]["sequence"] for fact in place.facts] == [1, 2, 3]


def test_what_comes_back_from_a_sink_says_nothing_new(place: Place) -> None:
    """A sink wrote where the journey stands into a column of the same row: the row has changed, and says what it said."""
    assert place.take(row(), row(suivi="chez GBA"), row(suivi="décidé")) == [
        Outcome.PUBLISHED, Outcome.DUPLICATE, Outcome.DUPLICATE,
    ]  # fmt: skip
    place.restart()
    assert place.take(row(suivi="archivé"), row(etat="SUSPENDU", suivi="archivé")) == [
        Outcome.DUPLICATE, Outcome.PUBLISHED,
    ]  # fmt: skip
    assert place.said() == ["PC-1 case.opened", "PC-1 case.suspended"]
    assert place.take(row(suivi="archivé")) == [Outcome.PUBLISHED], "it was suspended in between"


def test_of_a_changed_record_only_what_it_says_otherwise_is_stated(place: Place) -> None:
    place.remap(events=[{**EVENTS[0], "when": "true"}, *EVENTS[1:]])
    place.take(row(), row(etat="SUSPENDU"))
    assert place.said() == ["PC-1 case.opened", "PC-1 case.suspended"]
    place.remap(events=[{**EVENTS[0], "when": "true", "with": {"channel": "post"}}, *EVENTS[1:]])
    assert place.take(row(etat="SUSPENDU")) == [Outcome.CORRECTED]
    assert place.said()[2:] == ["PC-1 correction.retracted", "PC-1 case.opened"]
    assert place.facts[2]["fact"] == place.facts[0]["header"]["id"]


def test_versions_of_a_record_may_be_read_again_in_any_order(place: Place) -> None:
    versions = [
        Record("1", {"no": "PC-1", "etat": etat, "le": "01/03/2026"}, version=str(n))
        for n, etat in enumerate(("EN COURS", "SUSPENDU", "EN COURS"))
    ]
    assert place.take(*versions) == [Outcome.PUBLISHED] * 3
    assert place.take(*versions, *reversed(versions)) == [Outcome.DUPLICATE] * 6


def test_ids_come_from_the_record_and_not_from_the_mapping(place: Place, tmp_path: Path) -> None:
    place.take(row())
    other = tmp_path / "other"
    other.mkdir()
    second = Place(other)
    second.write(case="'X-' & no")
    second.restart()
    second.take(row())
    assert place.facts[0]["header"]["id"] == second.facts[0]["header"]["id"]
    assert place.facts[0]["header"]["subject"] != second.facts[0]["header"]["subject"]


def test_a_label_nobody_mapped_makes_its_case_wait_in_order(place: Place) -> None:
    records = [row(etat="A VERIFIER"), row(etat="SUSPENDU", le="02/03/2026"), row("PC-2")]
    assert place.take(*records) == [Outcome.HELD, Outcome.HELD, Outcome.PUBLISHED]
    place.restart()
    assert place.take(records[1]) == [Outcome.DUPLICATE]
    assert place.take(row(etat="EN COURS", le="03/03/2026", key="another-row")) == [Outcome.HELD]
    assert place.said() == ["PC-2 case.opened"]
    assert place.remap(labels={"etat": LABELS | {"A VERIFIER": "opened"}}) == [Outcome.PUBLISHED] * 3
    assert place.said()[1:] == ["PC-1 case.opened", "PC-1 case.suspended", "PC-1 case.resumed"]
    assert not list(place.store.items(state.HELD))
    assert place.take(row(etat="A VERIFIER"))[0] is Outcome.PUBLISHED, "it came back to an earlier state"


def test_one_label_may_hide_another(place: Place) -> None:
    place.take(row(etat="ONE"), row(etat="TWO"), row(etat="SUSPENDU"))
    assert place.remap(labels={"etat": LABELS | {"ONE": "opened"}}) == [Outcome.PUBLISHED]
    [(_, waits), _] = [(key, state.read_held(value)) for key, value in place.store.items(state.HELD)]
    assert (waits.table, waits.label) == ("etat", "TWO")
    assert place.take(row(etat="EN COURS")) == [Outcome.HELD]


def test_a_label_that_says_nothing_is_silent(place: Place) -> None:
    assert place.take(row(etat="BROUILLON")) == [Outcome.SILENT]
    assert place.facts == []


def test_a_changed_mapping_takes_back_what_it_alters_and_no_more(place: Place) -> None:
    place.take(row(p="voirie.signalement"), row("PC-2"))
    first = place.facts[0]["header"]["id"]
    place.remap(events=[{**EVENTS[0], "from": {"procedure": "p & '2'"}}, *EVENTS[1:]])
    assert place.take(row(p="voirie.signalement"), row("PC-2", p="")) == [Outcome.CORRECTED, Outcome.PUBLISHED]
    retracted, anew = place.facts[2:4]
    assert (retracted["type"], retracted["fact"]) == ("correction.retracted", first)
    assert anew["type"] == "case.opened"
    assert anew["header"]["procedure"] == "voirie.signalement2"
    assert anew["header"]["id"] == f"{first}~1-{place.intake.mapper.version}"
    assert anew["header"]["sequence"] == place.facts[0]["header"]["sequence"], "it keeps its place in the order"
    assert place.take(row(p="voirie.signalement")) == [Outcome.DUPLICATE]


def test_a_mapping_that_goes_back_states_a_third_fact(place: Place) -> None:
    """The first was taken back for good: its id cannot be used again."""
    place.take(row(p="a"))
    place.remap(events=[{**EVENTS[0], "with": {"channel": "counter"}}, *EVENTS[1:]])
    place.take(row(p="a"))
    place.remap()
    assert place.take(row(p="a")) == [Outcome.CORRECTED]
    ids = [fact["header"]["id"] for fact in place.facts if fact["type"] == "case.opened"]
    assert len(set(ids)) == 3
    assert {fact["fact"] for fact in place.facts if fact["type"] == "correction.retracted"} == set(ids[:2])


def test_a_mapping_that_says_the_same_in_other_words_changes_nothing(place: Place) -> None:
    place.take(row())
    place.remap(case="$string(no)")
    assert place.take(row()) == [Outcome.DUPLICATE]
    assert len(place.facts) == 1


def test_what_cannot_be_taken_is_a_letter_that_says_why_once(place: Place) -> None:
    bad = Record("9", {"no": "PC-9", "etat": "DEPOSE", "le": "hier"}, raw=b"PC-9;DEPOSE;hier", place="line 9")
    assert place.take(bad, bad, Refused(b"\xff", "not UTF-8", "line 10"), Refused(b"\xff", "not UTF-8", "line 10")) == [
        Outcome.REFUSED, Outcome.DUPLICATE, Outcome.REFUSED, Outcome.DUPLICATE,
    ]  # fmt: skip
    first, second = place.letters
    assert first["value"] == b"PC-9;DEPOSE;hier"
    assert "events.0.on: a date is not of a form that is known" in first["detail"]
    assert {h["name"]: h["value"] for h in first["headers"]}["place"] == b"line 9"
    assert (second["reason"], second["value"]) == ("rejected", b"\xff")


@pytest.mark.parametrize(
    ("record", "reason", "field", "words"),
    [
        (row(no="N/A"), "invalid", "subject", "placeholder"),
        (row(le="01/03/2999"), "invalid", "occurred_on", ""),
        (row(le=""), "mapping", None, "events.0.on: $date(le) gives nothing for this record"),
        (row(p=3), "invalid", "procedure", ""),
    ],
)
def test_the_checks_are_those_of_the_door(
    place: Place, record: Record, reason: str, field: str | None, words: str
) -> None:
    assert place.take(record) == [Outcome.REFUSED]
    [letter] = place.letters
    assert (letter["reason"], letter["field"]) == (reason, field)
    assert words in letter["detail"]
    assert str(record.content["le"] or "never") not in letter["detail"]


def test_a_body_that_there_is_not_is_refused_and_taken_once_it_is_there(place: Place) -> None:
    sent = {"states": "handoff.sent", "on": "$date(le)", "with": {"kind": "transfer"}}
    place.remap(events=[{**sent, "from": {"to": "vers", "handoff": "$handoff(no)"}}])
    assert place.take(row(vers="nobody"), row("PC-2", vers="gba")) == [Outcome.REFUSED, Outcome.PUBLISHED]
    assert place.letters[0]["reason"] == "unknown-body"
    assert place.letters[0]["retriable"]
    assert place.facts[0]["handoff"].startswith("handoff:viriat:")


def test_a_mapping_that_fails_names_its_line_and_nothing_of_the_record(place: Place) -> None:
    place.remap(events=[{**EVENTS[0], "on": "$toMillis(le)"}])
    assert place.take(row(le="secret")) == [Outcome.REFUSED]
    [letter] = place.letters
    assert letter["reason"] == "mapping"
    assert letter["detail"].startswith("x.map.yaml:")
    assert "events.0.on" in letter["detail"]
    assert "secret" not in letter["detail"]


def test_python_is_the_way_out(place: Place, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "def events(record, tools):\n"
        "    for number, day in enumerate(record['days']):\n"
        "        yield {'type': 'case.reopened' if number % 2 else 'case.resumed', 'occurred_on': tools.date(day)}\n"
    )
    place.file.write_text("case: no\npython: own.py:events\n")
    place.intake.use(place.mapper())
    assert place.take(row(days=["01/03/2026", "2026-03-02"]), row("PC-2", days=None)) == [
        Outcome.PUBLISHED,
        Outcome.REFUSED,
    ]
    assert place.said() == ["PC-1 case.resumed", "PC-1 case.reopened"]
    assert "own.py:events fails with TypeError at own.py:2" in place.letters[0]["detail"]


def test_what_its_body_may_not_state_is_refused_as_at_every_door(place: Place) -> None:
    place.restart(lambda type_, procedure: type_ == "case.opened" and procedure != "voirie.signalement")
    records = row(p="urbanisme.pc-maison"), row("PC-2", p="voirie.signalement"), row("PC-1", etat="SUSPENDU")
    assert place.take(*records) == [Outcome.PUBLISHED, Outcome.REFUSED, Outcome.REFUSED]
    assert [(letter["reason"], letter["field"]) for letter in place.letters] == [("not-allowed", "type")] * 2
    assert place.commit(place.intake.beat(60)) == []
    assert place.said() == ["PC-1 case.opened"], "its heartbeat is not allowed either"


def test_a_source_says_that_it_is_alive_with_its_place(place: Place) -> None:
    place.take(row())
    place.commit(place.intake.beat(60))
    place.commit(place.intake.beat(60))
    first, second = (fact for fact in place.facts if fact["type"] == "source.heartbeat")
    assert (first["every"], first["header"]["subject"], first["header"]["source"]) == (
        60,
        "body:viriat",
        "viriat/legacy",
    )
    assert first["header"]["id"] != second["header"]["id"]
    kept = state.read_checkpoint(place.store.get(state.CHECKPOINT))
    assert kept.sequence == second["header"]["sequence"] > first["header"]["sequence"]
