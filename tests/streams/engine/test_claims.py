"""Whose word unites: each rule of confirmation by itself, and what undoes it."""

from __future__ import annotations

from datetime import date

import pytest

from schemas.directory import Convention
from streams.engine.claims import journeys, no_convention
from streams.engine.view import fold
from tests.support.books import book
from tests.support.facts import KEYS, case, event, handoff, journey
from tests.support.world import READER

A, B, C, X = case("alpha", 101), case("bravo", 202), case("charlie", 303), case("xray", 404)
H, J, E = handoff("alpha", 1), journey("alpha", 1), "external:hubee:12345"


def groups(*values: bytes, convention: object = no_convention, inert: tuple[str, ...] = ()) -> list[list[str]]:
    """The cases of each journey, by text."""
    cases = fold(READER.copy(v, 0) for v in values)
    found = journeys(cases.values(), {KEYS.of(t) for t in inert}, convention)  # type: ignore[arg-type]
    assert sorted(c.key for j in found for c in j.cases) == sorted(cases)
    for j in found:
        assert j.references == sorted(set(j.references))
        assert j.references[0] <= j.cases[0].key
    return sorted(sorted(c.text for c in j.cases) for j in found)


SENT = event("handoff.sent", A, 0, 1, handoff=H, to="bravo")
TAKEN = event("handoff.received", B, 1, 1, handoff=H)
SECRET = event("case.opened", A, 0, 2, refs=(J,))


def test_the_addressee_of_a_handoff_joins() -> None:
    assert groups(SENT, TAKEN) == [[A, B]]


def test_anybody_else_who_names_the_handoff_does_not() -> None:
    assert groups(SENT, event("handoff.received", X, 1, 1, handoff=H)) == [[A], [X]]
    assert groups(SENT, TAKEN, event("case.opened", X, 1, 1, refs=(H, A, B))) == [[A, B], [X]]


def test_whoever_was_given_the_journey_id_joins() -> None:
    assert groups(SECRET, event("case.opened", C, 1, 1, refs=(J,))) == [[A, C]]


def test_a_journey_id_that_nobody_of_the_journey_issued_joins_nobody() -> None:
    assert groups(event("case.opened", B, 0, 1, refs=(J,)), event("case.opened", C, 1, 1, refs=(J,))) == [[B], [C]]


@pytest.mark.parametrize("said", ["both", "sender", "receiver", "other"])
def test_an_external_id_joins_who_passes_on_and_who_takes_over(said: str) -> None:
    to = {"both": "bravo", "sender": "bravo", "receiver": None, "other": "xray"}[said]
    from_body = {"both": "alpha", "sender": None, "receiver": "alpha", "other": "alpha"}[said]
    given = (
        event("handoff.sent", A, 0, 1, handoff=H, to=to, refs=(E,)) if to else event("case.opened", A, 0, 1, refs=(E,))
    )
    taken = event("case.opened", B, 0, 1, refs=(E,), from_body=from_body)
    assert groups(given, taken) == ([[A, B]] if said == "both" else [[A], [B]])


def test_a_stranger_who_says_from_is_not_who_was_named() -> None:
    given = event("handoff.sent", A, 0, 1, handoff=H, to="bravo", refs=(E,))
    assert groups(given, event("case.opened", X, 0, 1, refs=(E,), from_body="alpha")) == [[A], [X]]


def test_a_convention_covers_bodies_procedure_and_days() -> None:
    agreed = Convention(
        body="charlie", owner="bravo", procedure="test.simple", since=date(1970, 1, 11), until=date(1970, 1, 21)
    )
    covers = book(conventions=(agreed,)).convention

    def claim(on: int, procedure: str = "test.simple", subject: str = C) -> list[list[str]]:
        named = event("case.opened", subject, on, 1, refs=(B,), procedure=procedure)
        return groups(event("case.opened", B, 0, 1), named, convention=covers)

    assert claim(10) == claim(20) == [[B, C]]
    assert claim(9) == claim(21) == claim(15, procedure="other.procedure") == [[B], [C]]
    assert claim(15, subject=X) == [[B], [X]]


def test_the_owner_of_a_case_may_say_that_it_is_linked() -> None:
    named = event("case.opened", B, 0, 1, refs=(A,))
    linked = event("correction.linked", A, 1, 1, refs=(B,))
    assert groups(named, linked) == [[A, B]]
    assert groups(event("case.opened", B, 0, 1), linked) == [[A], [B]], "alone it would weld a stranger"
    assert groups(named, event("case.opened", A, 0, 2), event("correction.linked", X, 1, 1, refs=(B, A))) == [
        [A],
        [B],
        [X],
    ]


def test_a_confirmed_claim_may_confirm_another() -> None:
    second = handoff("bravo", 2)
    passed = event("handoff.sent", B, 2, 2, handoff=second, to="charlie")
    chained = event("handoff.received", C, 3, 1, handoff=second, refs=(A,))
    assert groups(SENT, TAKEN, passed, chained) == [[A, B, C]]
    assert groups(SENT, passed, chained) == [[A], [B, C]]


def test_an_undone_link_is_cut_whatever_the_order_of_dates_said() -> None:
    named = event("case.opened", B, 0, 1, refs=(A,))
    linked, undone = (event(f"correction.{w}", A, on, on, refs=(B,)) for w, on in (("linked", 1), ("unlinked", 2)))
    again = event("correction.linked", A, 3, 3, refs=(B,))
    assert groups(named, linked, undone) == [[A], [B]]
    assert groups(named, linked, undone, again) == [[A, B]]


def test_the_last_word_on_a_pair_holds_whichever_of_the_two_cases_it_is_of() -> None:
    other = case("alpha", 102)
    both = [event("case.opened", A, 0, 1), event("case.opened", other, 0, 1)]
    linked = event("correction.linked", A, 5, 5, refs=(other,))
    before, after = (event("correction.unlinked", other, on, on, refs=(A,)) for on in (4, 6))
    assert groups(*both, linked, before) == [[A, other]]
    assert groups(*both, linked, after) == [[A], [other]]


def test_what_rests_only_on_an_undone_link_is_undone_with_it() -> None:
    second = handoff("bravo", 2)
    more = [
        event("handoff.sent", B, 2, 2, handoff=second, to="charlie"),
        event("handoff.received", C, 3, 1, handoff=second),
    ]
    assert groups(SENT, TAKEN, *more, event("correction.unlinked", B, 4, 9, refs=(H,))) == [[A], [B, C]]


def test_an_id_of_ones_own_cannot_be_cut_from_ones_case_but_another_case_can() -> None:
    other = case("alpha", 102)
    both = [event("case.opened", A, 0, 1, refs=(other, J)), event("case.opened", other, 0, 1)]
    assert groups(*both) == [[A, other]]
    assert groups(*both, event("correction.unlinked", A, 1, 9, refs=(other,))) == [[A], [other]]
    assert groups(*both, event("correction.unlinked", A, 1, 9, refs=(J,))) == [[A, other]]


def test_an_unlinked_alone_joins_nothing() -> None:
    assert groups(event("case.opened", B, 0, 1), event("correction.unlinked", A, 1, 1, refs=(B, J))) == [[A], [B]]


def test_words_taken_back_still_unite() -> None:
    """Union never shrinks: only an undone link takes apart."""
    assert groups(SENT, TAKEN, event("correction.retracted", A, 3, 5, fact="1")) == [[A, B]]


def test_claims_on_a_purged_case_rest() -> None:
    named, linked = event("case.opened", B, 0, 1, refs=(A,)), event("correction.linked", A, 1, 1, refs=(B,))
    assert groups(named, linked, inert=(A,)) == [[A], [B]]
