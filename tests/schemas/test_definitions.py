"""Journey definitions: what is loaded, and that every error is told with its file and line, all at once."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from schemas import definitions, library
from schemas.rules import Clock, Mark
from schemas.yamltext import InvalidFilesError, parse
from streams.engine.rules import compile_journey
from tests.support.clock_tools import fact, iso, run

SOUND = """\
procedure: test.sound
title: {fr: Essai, en: Test}
valid_from: 2026-01-01
roles:
  - {id: town, title: {fr: Mairie, en: Town}}
steps:
  - {id: deposit, title: {fr: Dépôt, en: Filing}, role: applicant, done_by: [case.opened]}
handoffs:
  - {id: other, kind: transfer, title: {fr: Envoi, en: Sending}, from: town, received: 3 days}
clocks:
  - {use: crpa.refusal, id: decision, holder: town}
"""


def problems(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    (tmp_path / "one.yaml").write_text(text)
    _, found = definitions.load_checked(tmp_path)
    return [(problem.line, problem.message) for problem in found]


TWELVE = {
    "social.apa-domicile", "social.rsa", "urbanisme.pc-maison", "urbanisme.declaration-prealable", "logement.social", "social.mdph",
    "identite.titre", "enfance.rentree", "famille.naissance", "usager.demenagement", "voirie.signalement", "association.subvention",
}  # fmt: skip


def test_twelve_journeys_and_the_generic_one_are_built_in() -> None:
    assert {journey.procedure for journey in definitions.load()} == TWELVE | {"generic"}


@pytest.mark.parametrize("procedure", sorted(TWELVE))
def test_a_journey_is_complete(procedure: str) -> None:
    journey = definitions.load().of(procedure, date(2026, 3, 2))
    assert journey.procedure == procedure
    assert journey.articles
    assert {step.kind for step in journey.steps} == {"real", "potential"}
    assert any(step.citizen for step in journey.steps)
    assert any(step.role == "applicant" for step in journey.steps)
    assert all(role.bodies for role in journey.roles)
    assert journey.handoffs
    assert all(handoff.received for handoff in journey.handoffs)
    used = (
        {step.role for step in journey.steps}
        | {h.to_role for h in journey.handoffs}
        | {h.from_role for h in journey.handoffs}
    )
    assert {role.id for role in journey.roles} <= used | {clock.holder for clock in journey.clocks}
    rules = compile_journey(journey)
    assert len(rules.case) >= 1
    assert set(rules.handoffs) == {handoff.id for handoff in journey.handoffs}


def test_a_general_sort_of_handoff_never_hides_a_special_one() -> None:
    """The first that matches wins, so that one without conditions comes after those with conditions."""
    for journey in definitions.load():
        for place, handoff in enumerate(journey.handoffs):
            hidden = [
                other.id for other in journey.handoffs[place + 1 :] if other.kind == handoff.kind and not handoff.where
            ]
            assert not hidden, (journey.procedure, handoff.id, hidden)


def test_the_health_leg_of_a_birth_is_not_for_the_town() -> None:
    birth = definitions.load().of("famille.naissance", date(2026, 3, 2))
    leg = next(step for step in birth.steps if step.id == "child-health")
    assert {"birth-town", "home-town"} <= set(leg.hidden_from)
    assert {"birth-town", "home-town"} <= set(next(h for h in birth.handoffs if h.id == "child-health").hidden_from)


def test_a_promise_of_a_step_does_not_count_what_waits_for_the_person() -> None:
    street = definitions.load().of("voirie.signalement", date(2026, 3, 2))
    works = next(rule for rule in compile_journey(street).case if rule.id == "step.works.promise")
    facts = [
        fact("case.step-started", "2026-03-02", step="works"),
        fact("case.suspended", "2026-03-04"),
        fact("case.resumed", "2026-03-11"),
    ]
    assert iso(run(works, facts[0]).due_on) == "2026-03-23"
    assert iso(run(works, *facts).due_on) == "2026-03-30"
    assert works.warn


def test_a_sound_file_has_no_problems(tmp_path: Path) -> None:
    assert problems(tmp_path, SOUND) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("role: applicant", "role: mayor", 7, "there is no role 'mayor'"),
        ("case.opened", "case.opend", 7, "there is no event type 'case.opend'"),
        ("{use: crpa.refusal", "{use: crpa.refusals", 11, "there is no named clock 'crpa.refusals'"),
        ("received: 3 days", "received: 3 dayz", 9, "a length reads"),
        ("kind: transfer", "kind: transfert", 9, "handoff.sent.kind is never 'transfert'"),
        ("holder: town", "holder: tow", 11, "there is no role 'tow'"),
        ("holder: town", "colour: red", 11, "Extra inputs are not permitted"),
        ("valid_from: 2026-01-01", "valid_from: soon", 3, "Input should be a valid date"),
        ("id: deposit", "id: Deposit", 7, "String should match pattern"),
        ("procedure:", "title: {fr: a, en: b}\nprocedure:", 3, "the key 'title' is there twice"),
        ("  - {id: town", "  - {id: town, title: {fr: M, en: M}}\n  - {id: town", 6, "the id 'town' is there twice"),
    ],
)
def test_an_error_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    found = problems(tmp_path, SOUND.replace(old, new, 1))
    assert any(at == line and said in message for at, message in found), found


def test_all_errors_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SOUND.replace("role: applicant", "role: mayor").replace("crpa.refusal", "nothing"))
    (tmp_path / "b.yaml").write_text("procedure: [\n")
    (tmp_path / "c.yaml").write_text("")
    with pytest.raises(InvalidFilesError) as caught:
        definitions.load(tmp_path)
    assert {problem.file for problem in caught.value.problems} == {"a.yaml", "b.yaml", "c.yaml"}
    assert len(caught.value.problems) >= 4
    assert "a.yaml:7: steps.0.role: there is no role 'mayor'" in str(caught.value)


def test_on_is_a_word_and_true_a_boolean() -> None:
    document, found = parse("on: case.opened\nyes: no\nflag: true\nother: [false, on]\n", "x.yaml")
    assert found == []
    assert document is not None
    assert document.value == {"on": "case.opened", "yes": "no", "flag": True, "other": [False, "on"]}


def test_a_case_keeps_the_rules_of_its_start(tmp_path: Path) -> None:
    for name, first, last in (("old", "2020-01-01", "2025-12-31"), ("new", "2026-01-01", None)):
        text = SOUND.replace("valid_from: 2026-01-01", f"valid_from: {first}" + (f"\nvalid_to: {last}" if last else ""))
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "generic.yaml").write_text((definitions.JOURNEYS / "generic.yaml").read_text("utf-8"))
    loaded = definitions.load(tmp_path)
    assert loaded.of("test.sound", date(2025, 12, 31)).valid_from == date(2020, 1, 1)
    assert loaded.of("test.sound", date(2026, 1, 1)).valid_from == date(2026, 1, 1)
    assert loaded.of("test.sound", date(2019, 1, 1)).procedure == "generic"
    assert loaded.of(None, date(2019, 1, 1)).procedure == "generic"
    digests = {journey.digest for journey in loaded}
    assert len(digests) == 3
    assert {journey.digest for journey in definitions.load(tmp_path)} == digests


def test_a_handoff_without_a_sort_of_its_own_takes_the_generic_one() -> None:
    loaded = definitions.load()
    permit = loaded.of("urbanisme.pc-maison", date(2026, 3, 2))
    abf = loaded.handoff(permit, "consultation", {"step": "abf"})
    other = loaded.handoff(permit, "consultation", {"step": "roads"})
    unknown = loaded.handoff(permit, "information", {})
    assert [found and found.id for found in (abf, other, unknown)] == ["abf", "opinion", "other"]
    assert abf is not None
    stages = {clock.id: clock for clock in abf.limit_clocks()}
    assert str(stages["handoff.abf.completed"].length) == "2 months"
    assert {trigger.on for trigger in stages["handoff.abf.received"].stops} >= {"handoff.received", "handoff.accepted"}


def test_the_library_reads_and_marks_every_article() -> None:
    clocks = library.load()
    assert len(clocks) > 90
    assert {article.mark for clock in clocks.values() for article in clock.articles} == set(Mark)
    assert clocks["residence-permit.short"].starts_at == "first-body"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {use: nothing, id: a}\n", "there is no named clock 'nothing'"),
        ("- {use: b, id: a}\n- {use: a, id: b}\n", "uses itself"),
        ("- {id: a}\n", "Field required"),
        ("- {use: a}\n", "an entry has an id of its own"),
        ("a: 1\n", "the file is a list of clocks"),
    ],
)
def test_errors_of_the_library_are_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    _, _, found = library.load_checked(tmp_path)
    assert any(said in problem.message for problem in found), found
    with pytest.raises(InvalidFilesError):
        library.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "legal"}, "at least one article"),
        ({"articles": ["CRPA L231-1"]}, "an article reads"),
        ({"length": "0 days"}, "a length reads"),
        ({"back_to": "friday"}, "a length in weeks"),
        ({"valid_from": "2026-01-01", "valid_to": "2025-01-01"}, "lies before"),
        ({"modifiers": [{"op": "extend", "causes": {"a": {"add": "1 month", "set": "1 month"}}}]}, "either add or set"),
        ({"modifiers": [{"op": "stretch"}]}, "tag"),
    ],
)
def test_a_clock_that_makes_no_sense_is_refused(change: dict[str, Any], said: str) -> None:
    plain = {
        "id": "a",
        "title": {"fr": "a", "en": "a"},
        "kind": "service",
        "starts": ["case.opened"],
        "stops": [],
        "length": "1 day",
    }
    with pytest.raises(ValueError, match=said):
        Clock.model_validate({**plain, **change})
