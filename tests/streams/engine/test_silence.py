"""What silence starts, and whether the time to appeal can be invoked."""

from typing import Any

import pytest

from streams.engine import silence
from streams.engine.silence import ELECTRONIC_MENTIONS, PAPER_MENTIONS, NotOpposable, opposability
from tests.support.clock_tools import day, fact, follow, iso, notified, opened, run

START = fact(opened, "2026-03-02")
ELECTRONIC = fact(opened, "2026-03-02", channel="electronic")
BORN = silence.took_effect(run("crpa.refusal", START), day("2026-05-03"))


def receipt(**data: Any) -> Any:
    return fact("case.acknowledged", "2026-03-05", kind="receipt", **data)


def test_silence_has_no_effect_before_the_end_of_the_last_day() -> None:
    found = run("crpa.refusal", START)
    assert silence.took_effect(found, day("2026-05-02")) is None
    assert BORN is not None
    assert (BORN.date, BORN.data) == (day("2026-05-02"), {"effect": "refused", "rule": "crpa.refusal"})


def test_silence_takes_its_place_among_the_facts() -> None:
    facts = [
        START,
        fact("case.step-started", "2026-05-02", step="x"),
        fact("case.decided", "2026-06-01", outcome="refused"),
    ]
    found = run("crpa.refusal", *facts)
    types = [item.type for item in silence.with_silence(facts, found, day("2026-06-02"))]
    assert types == ["case.opened", "case.step-started", "silence", "case.decided"]
    in_time = run("crpa.refusal", START, fact("case.decided", "2026-04-01"))
    assert silence.with_silence(facts, in_time, day("2030-01-01")) == facts


def test_an_implied_acceptance_may_be_withdrawn_for_four_months() -> None:
    """CRPA L242-1."""
    found = run("crpa.acceptance", START)
    assert iso(follow("crpa.withdrawal", found, "2026-05-03", START).due_on) == "2026-09-02"


def test_a_refused_document_goes_to_the_cada_within_two_months() -> None:
    """CRPA R311-13, R343-1."""
    found = run("crpa.documents", START)
    assert iso(found.born_on) == "2026-04-02"
    assert iso(follow("crpa.documents.cada", found, "2026-04-03", START).due_on) == "2026-06-02"


def test_another_body_takes_over_when_one_stays_silent() -> None:
    found = run("rsa.orientation", fact("case.step-started", "2026-01-05", step="orientation"))
    took = silence.took_effect(found, day("2026-02-17"))
    assert took is not None
    assert took.data["effect"] == "taken-over"


def test_what_silence_starts_keeps_its_identity() -> None:
    first, second = (
        silence.took_effect(run("crpa.refusal", START), day(today)) for today in ("2026-05-03", "2030-01-01")
    )
    assert first == second


def test_silence_learnt_of_too_late_is_seen() -> None:
    found = run("crpa.refusal", START)
    assert found.due_at is not None
    assert silence.observed_late(found, found.due_at)
    assert not silence.observed_late(found, found.due_at - 1)


def test_an_opinion_that_would_come_after_the_decision_is_seen() -> None:
    """C. urb. R*423-59 gives a month, which is all the time there is for a declaration."""
    decision, sent = run("urb.declaration", START), fact("handoff.sent", "2026-03-09")
    assert silence.outlasts(run("urb.opinion", sent), decision)
    assert not silence.outlasts(run("urb.opinion", sent, fact("handoff.completed", "2026-03-20")), decision)
    assert not silence.outlasts(run("urb.opinion", sent), run("urb.permit", START))


DECIDED = fact("case.decided", "2026-04-01", outcome="refused", routes_stated=True)
UNSTATED = fact("case.decided", "2026-04-01", outcome="refused", routes_stated=False)
SILENT = fact("case.decided", "2026-04-01", outcome="refused")
TOLD = fact(notified, "2026-04-02", means="post")


@pytest.mark.parametrize(
    ("facts", "opposable", "reason"),
    [
        ([START, DECIDED], False, NotOpposable.NOT_NOTIFIED),  # CRPA L221-8
        ([START, DECIDED, TOLD], True, None),  # CJA R421-5
        ([START, UNSTATED, TOLD], False, NotOpposable.ROUTES_NOT_STATED),
        ([START, SILENT, TOLD], None, NotOpposable.UNKNOWN),
        ([START], False, NotOpposable.NOT_ACKNOWLEDGED),  # CRPA L112-6
        ([START, receipt()], None, NotOpposable.UNKNOWN),
        ([START, receipt(mentions=list(PAPER_MENTIONS))], True, None),
        ([START, receipt(mentions=list(ELECTRONIC_MENTIONS[:2]))], False, NotOpposable.ACKNOWLEDGEMENT_INCOMPLETE),
        ([ELECTRONIC, receipt(mentions=list(ELECTRONIC_MENTIONS))], True, None),  # CRPA L112-12
        (
            [ELECTRONIC, fact("case.acknowledged", "2026-03-02", kind="registration")],
            False,
            NotOpposable.NOT_ACKNOWLEDGED,
        ),
    ],
)
def test_whether_the_time_to_appeal_counts(
    facts: list[Any], opposable: bool | None, reason: NotOpposable | None
) -> None:
    found = opposability(facts, BORN)
    assert (found.opposable, found.reason) == (opposable, reason)
    assert found.articles


def test_before_any_decision_or_silence_there_is_nothing_to_invoke() -> None:
    assert opposability([START], None) == (None, None, ())
