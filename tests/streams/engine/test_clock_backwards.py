"""Limits that lie before a date: a ballot, the end of a permit."""

import pytest
from pydantic import ValidationError

from streams.engine import words
from tests.support.clock_tools import fact, iso, made, opened, run


def test_a_limit_can_lie_before_the_day_that_starts_it() -> None:
    """C. urb. R*424-22: asked for at least two months before the permit ends; C. élect. L19: the 21st day before a ballot."""
    permit = made(length="2 months", backwards=True)
    assert iso(run(permit, fact(opened, "2029-05-03")).due_on) == "2029-03-03"
    ballot = made(length="21 days", backwards=True)
    found = run(ballot, fact(opened, "2026-03-15"), explain=True)
    assert iso(found.due_on) == "2026-02-22"
    told = words.explained(found, "fr")
    assert any(
        "21 jours avant le dimanche 15 mars 2026 : dernier jour le dimanche 22 février 2026" in line for line in told
    )
    clear = made(length="2 months", backwards=True, franc=True)
    assert iso(run(clear, fact(opened, "2029-05-03")).due_on) == "2029-03-02"
    early = run(made(length="300 years", backwards=True), fact(opened, "1900-01-01"))
    assert iso(early.due_on) == "1800-01-01"


def test_the_sixth_friday_is_named_as_such() -> None:
    found = run("electoral.deposit", fact("case.step-started", "2026-03-15", step="ballot"), explain=True)
    told = [words.explained(found, language) for language in ("fr", "en")]
    assert any("6e vendredi avant le dimanche 15 mars 2026" in line for line in told[0])
    assert any(
        "6th Friday before Sunday 15 March 2026: the last day is Friday 6 February 2026" in line for line in told[1]
    )


@pytest.mark.parametrize(
    "wrong", [{"roll": "ouvrable"}, {"first_day": "counted"}, {"back_to": "friday", "length": "6 weeks"}]
)
def test_a_backward_limit_neither_moves_nor_counts_its_first_day(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="counts backwards"):
        made(**{"backwards": True, **wrong})
