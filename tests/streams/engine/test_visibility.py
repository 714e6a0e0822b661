"""Who may see what: nobody more than the design says, whatever the journey."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.definitions import Definitions, Journey, load
from schemas.directory import Body, Directory
from streams.engine.book import Book
from streams.engine.handed import first_due
from streams.engine.visibility import (
    BodyViewer,
    Operator,
    Person,
    Projected,
    Viewer,
    project,
    project_alert,
    project_handoff,
    sees_fact,
    without_journey_ids,
)
from tests.support import outputs
from tests.support.books import _calendars

SECRET = "journey:viriat:" + "ab" * 16
BIRTH = Journey.model_validate(
    {
        "procedure": "naissance",
        "title": {"fr": "Naissance", "en": "Birth"},
        "valid_from": date(1970, 1, 1),
        "roles": [
            {"id": "mairie", "title": {"fr": "Mairie", "en": "Town hall"}, "bodies": ["commune"]},
            {"id": "pmi", "title": {"fr": "PMI", "en": "Health"}, "bodies": ["departement"]},
        ],
        "steps": [
            {"id": "health", "title": {"fr": "x", "en": "x"}, "role": "pmi", "hidden_from": ["mairie"]},
            {"id": "inner", "title": {"fr": "x", "en": "x"}, "role": "pmi", "hidden_from": ["applicant"]},
        ],
    }
)
KINDS = {"viriat": "commune", "peronnas": "commune", "ain": "departement", "ccas": "ccas", "gba": "epci"}
BOOK = Book(
    Definitions([*load(), BIRTH]),
    Directory(bodies=tuple(Body.model_validate({"id": b, "name": b, "kind": k}) for b, k in KINDS.items())),
    _calendars(),
)


def case(body: str, number: int = 1, **changes: Any) -> dict[str, Any]:
    return outputs.CASE | {"case": f"case:{body}/{number}", "body": body, "access_code": f"scrypt${body}"} | changes


def passage(from_body: str, to: str, n: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "handoff": bytes([2]) + n.to_bytes(15, "big"), "from_body": from_body, "to": to, "kind": "transmission",
        "step": None, "state": "sent", "visibility": "everyone", "sent_on": 1, "since": 1, "due_on": None,
    } | changes  # fmt: skip


def status(cases: list[dict[str, Any]], handoffs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "references": b"\x01" * 32, "door": cases[0]["case"], "procedure": cases[0]["procedure"], "opened_on": 20_000,
        "cases": cases, "handoffs": handoffs, "degraded": False,
    }  # fmt: skip


def bodies(found: Projected | None) -> list[tuple[str, bool]]:
    assert found is not None
    return [(c.body, c.neutral) for c in found.cases]


def test_a_body_sees_its_own_wholly_and_of_the_others_which_and_a_neutral_state() -> None:
    row = status(
        [case("viriat", outcome="refused", state="decided"), case("gba", asked=["plan"]), case("ain", state="closed")],
        [passage("viriat", "gba", 1), passage("gba", "ain", 2)],
    )
    found = project(row, BodyViewer("viriat"), BOOK)
    assert found is not None
    own, other, ended = found.cases
    assert (own.outcome, own.case) == ("refused", "case:viriat/1")
    assert asdict(other) == asdict(other) | {"body": "gba", "state": "in_progress", "neutral": True, "case": None}
    assert not other.asked
    assert other.since is other.procedure is None
    assert ended.state == "ended"
    assert [(h.from_body, h.to) for h in found.handoffs] == [("viriat", "gba")]
    assert (found.door, found.procedure) == ("case:viriat/1", "urbanisme.pc-maison")
    assert (third := project(row, BodyViewer("ain"), BOOK)) is not None
    assert (third.door, third.procedure) == (None, None)


def test_a_body_that_is_not_in_the_journey_sees_nothing() -> None:
    assert project(status([case("viriat")], []), BodyViewer("peronnas"), BOOK) is None


def test_an_addressee_that_has_said_nothing_yet_sees_the_handoff() -> None:
    found = project(status([case("viriat")], [passage("viriat", "gba")]), BodyViewer("gba"), BOOK)
    assert bodies(found) == [("viriat", True)]
    assert found is not None
    assert len(found.handoffs) == 1


def test_visibility_of_elements() -> None:
    row = status(
        [case("viriat"), *(case("gba", i, visibility=v) for i, v in enumerate(("bodies", "person", "owner")))],
        [passage("viriat", "gba", i, visibility=v) for i, v in enumerate(("everyone", "bodies", "person", "owner"))],
    )
    person = project(row, Person(), BOOK)
    assert person is not None
    assert [c.visibility for c in person.cases] == ["everyone", "person"]
    assert [h.visibility for h in person.handoffs] == ["everyone", "person"]
    assert bodies(project(row, BodyViewer("viriat"), BOOK)) == [("viriat", False), ("gba", True)]
    assert bodies(project(row, BodyViewer("gba"), BOOK)) == [("viriat", True), *[("gba", False)] * 3]
    assert len((project(row, Operator(), BOOK) or pytest.fail()).handoffs) == 4
    assert project(status([case("viriat", visibility="bodies")], []), Person(), BOOK) is None


def test_what_a_definition_hides_from_a_role_is_hidden_with_the_body_it_leads_to() -> None:
    row = status(
        [case("viriat", procedure="naissance"), case("ain", procedure="naissance"), case("ccas"), case("gba")],
        [passage("viriat", "gba", 1), passage("gba", "ain", 2, step="health"), passage("ain", "ccas", 3)],
    )
    assert bodies(project(row, BodyViewer("viriat"), BOOK)) == [("viriat", False), ("gba", True)]
    assert ("ain", True) in bodies(project(row, BodyViewer("gba"), BOOK))
    assert ("ccas", True) in bodies(project(row, BodyViewer("ain"), BOOK))
    assert len(bodies(project(row, Person(), BOOK))) == 4
    steps = [{"step": s, "started_on": 1, "completed_on": None, "visibility": "everyone"} for s in ("inner", "health")]
    shown = project(status([case("ain", procedure="naissance", steps=steps)], []), Person(), BOOK)
    assert shown is not None
    assert [s["step"] for s in shown.cases[0].steps] == ["health"]


def test_a_step_may_be_narrower_than_its_case() -> None:
    steps = [
        {"step": name, "started_on": 1, "completed_on": None, "visibility": name}
        for name in ("everyone", "person", "bodies", "owner")
    ]
    row = status([case("ain", steps=steps)], [])
    for viewer, seen in (
        (Person(), ["everyone", "person"]),
        (BodyViewer("ain"), ["everyone", "person", "bodies", "owner"]),
    ):
        shown = project(row, viewer, BOOK)
        assert shown is not None
        assert [s["step"] for s in shown.cases[0].steps] == seen


def shown_to(row: dict[str, Any], body: str) -> list[str | None]:
    found = project(row, BodyViewer(body), BOOK)
    return [c.case for c in found.cases if c.handed] if found else []


def test_a_transfer_hands_the_file_over_with_the_limit_that_runs_in_it() -> None:
    limits = [{"rule": "urb.decision", "state": "running", "due_on": 20_060}]
    row = status(
        [case("viriat", clocks=limits, conflicts=2), case("gba"), case("ain")],
        [passage("viriat", "gba", 1, kind="transfer"), passage("gba", "ain", 2, kind="consultation")],
    )
    found = project(row, BodyViewer("gba"), BOOK)
    assert found is not None
    assert [(c.case, c.handed, c.neutral) for c in found.cases] == [
        ("case:viriat/1", True, False), ("case:gba/1", False, False), (None, False, True),
    ]  # fmt: skip
    assert (found.cases[0].clocks, found.cases[0].conflicts) == (tuple(limits), 0)
    assert (shown_to(row, "viriat"), shown_to(row, "ain")) == ([], [])
    assert [first_due(row, c) for c in row["cases"]] == [20_060, 20_060, None]


@pytest.mark.parametrize(
    ("states", "handed"),
    [
        (("sent", "sent"), ["case:viriat/1", "case:gba/1"]),
        (("completed", "accepted"), ["case:viriat/1", "case:gba/1"]),
        (("refused", "accepted"), ["case:gba/1"]),
        (("accepted", "returned"), []),
        (("accepted", "cancelled"), []),
    ],
)
def test_a_file_is_handed_on_through_several_hands_while_nobody_gave_it_back(
    states: tuple[str, str], handed: list[str]
) -> None:
    moves = [("viriat", "gba"), ("gba", "ain")]
    passages = [passage(*m, n, kind="transfer", state=s) for n, (m, s) in enumerate(zip(moves, states, strict=True))]
    assert shown_to(status([case("viriat"), case("gba"), case("ain")], passages), "ain") == handed


def test_of_several_files_only_that_of_the_procedure_taken_on_is_handed_over() -> None:
    two = [case("viriat", 1), case("viriat", 2, procedure="naissance")]
    taken = [passage("viriat", "gba", kind="transfer")]
    assert shown_to(status(two, taken), "gba") == []
    assert shown_to(status([*two, case("gba", procedure="naissance")], taken), "gba") == ["case:viriat/2"]
    assert shown_to(status([case("viriat", visibility="owner")], taken), "gba") == []


def test_handoffs_and_alerts_are_for_their_parties() -> None:
    handoff, alert = outputs.handoff(), outputs.alert(other="gba")
    for viewer, sees in ((BodyViewer("gba"), True), (BodyViewer("ain"), False), (Operator(), True), (Person(), False)):
        assert (project_handoff(handoff, viewer) is not None) is sees
        assert (project_alert(alert, viewer) is not None) is sees


def test_facts_of_others() -> None:
    assert sees_fact("gba", "owner", BodyViewer("gba"))
    assert not sees_fact("gba", "everyone", BodyViewer("ain"))
    assert sees_fact("gba", None, Person())
    assert not sees_fact("gba", "bodies", Person())
    assert sees_fact("gba", "owner", Operator())


def test_no_text_that_goes_out_bears_a_journey_id() -> None:
    out = without_journey_ids({"a": [f"see {SECRET}.", {SECRET: 1}], "b": (1, None), "c": "journey: a word"})
    assert "ab" * 16 not in json.dumps(out)
    assert out["c"] == "journey: a word"


NAMES = st.sampled_from(sorted(KINDS))
VISIBLE = st.sampled_from(["everyone", "bodies", "person", "owner"])
CASES = st.lists(
    st.builds(lambda b, n, v: case(b, n, visibility=v, asked=[f"asked-{b}"]), NAMES, st.integers(1, 3), VISIBLE),
    min_size=1, max_size=5,
)  # fmt: skip
KIND = st.sampled_from(["transmission", "transfer"])
PASSAGES = st.lists(
    st.builds(
        lambda a, b, n, v, k: passage(a, b, n, visibility=v, kind=k), NAMES, NAMES, st.integers(1, 5), VISIBLE, KIND
    ),
    max_size=5,
)
VIEWERS = st.one_of(st.builds(BodyViewer, NAMES), st.just(Person()), st.just(Operator()))


@settings(max_examples=150, deadline=None)
@given(CASES, PASSAGES, VIEWERS)
def test_nobody_ever_sees_more(cases: list[dict[str, Any]], handoffs: list[dict[str, Any]], viewer: Viewer) -> None:
    row = status(cases, handoffs)
    found = project(row, viewer, BOOK)
    if found is None:
        return
    text = json.dumps(asdict(found), default=lambda b: "bytes")
    assert "scrypt" not in text
    for seen in found.cases:
        if isinstance(viewer, BodyViewer) and seen.body != viewer.body:
            assert seen.neutral is not seen.handed
            assert not seen.handed or any(h["kind"] == "transfer" and h["from_body"] == seen.body for h in handoffs)
            assert seen.visibility in ("everyone", "bodies")
        elif isinstance(viewer, Person):
            assert seen.visibility in ("everyone", "person")
    if isinstance(viewer, BodyViewer):
        others = {b for b in KINDS if b != viewer.body} - {c.body for c in found.cases if c.handed}
        assert not any(f"asked-{b}" in text or f"case:{b}/" in text for b in others)
        assert all(viewer.body in (h.from_body, h.to) for h in found.handoffs)
