"""Steps: done, current, to come, possible."""

from __future__ import annotations

from datetime import date

from schemas.codec import events
from schemas.definitions import load
from streams.engine.facts import Fact, Reader
from streams.engine.steps import steps
from tests.support.facts import KEYS, event

CASE = "case:viriat/1"
READER = Reader(events(), KEYS)


def fact(type_: str, on: int, **payload: object) -> Fact:
    return READER.copy(event(type_, CASE, on, f"{type_}{on}", **payload), 0).fact  # type: ignore[arg-type]


def states(*facts: Fact, ended: bool = False) -> dict[str, tuple[str, int | None]]:
    journey = load().of("urbanisme.pc-maison", date(2026, 3, 2))
    return {v.step.id: (v.state.value, v.since) for v in steps(journey, facts, ended)}


def test_nothing_said_the_first_step_is_current() -> None:
    found = states()
    assert found["deposit"] == ("current", None)
    assert found["pieces"] == ("possible", None)
    assert found["decision"] == ("to_come", None)


def test_facts_move_steps_in_the_order_of_their_dates() -> None:
    opened, receipt = fact("case.opened", 20_000), fact("case.acknowledged", 20_001)
    asked = fact("case.pieces-requested", 20_002)
    found = states(asked, receipt, opened)
    assert found["deposit"] == ("done", 20_000)
    assert found["pieces"] == ("current", 20_002)
    part = fact("case.pieces-received", 20_003, complete=False)
    assert states(opened, receipt, asked, part)["pieces"] == ("current", 20_002)
    whole = fact("case.pieces-received", 20_004, complete=True)
    found = states(opened, receipt, asked, part, whole)
    assert found["pieces"] == ("done", 20_004)
    assert found["examination"] == ("current", 20_001)
    again = fact("case.pieces-requested", 20_009)
    assert states(opened, receipt, asked, whole, again)["pieces"] == ("current", 20_009)


def test_a_step_may_be_named_outright_and_an_ended_journey_has_no_current_one() -> None:
    done = fact("case.step-completed", 20_005, step="legality")
    assert states(done)["legality"] == ("done", 20_005)
    assert "current" not in {state for state, _ in states(done, ended=True).values()}


def test_another_file_of_the_journey_does_not_begin_a_step_again_nor_end_one_that_has_not_begun() -> None:
    journey = load().of("social.apa-domicile", date(2026, 3, 2))

    def seen(*said: tuple[str, str, int, dict[str, object]]) -> dict[str, tuple[str, int | None]]:
        made = [
            READER.copy(event(type_, subject, on, on, **data), 0).fact  # type: ignore[arg-type]
            for type_, subject, on, data in said
        ]
        return {v.step.id: (v.state.value, v.since) for v in steps(journey, made, False)}

    handoff = "handoff:ccas:" + "0a" * 16
    found = seen(
        ("case.opened", "case:ccas/1", 20_000, {}),
        ("handoff.sent", "case:ccas/1", 20_003, {"handoff": handoff, "to": "ain"}),
        ("handoff.accepted", "case:ain/7", 20_005, {"handoff": handoff}),
        ("case.opened", "case:ain/7", 20_006, {}),
    )
    assert found["deposit"] == ("done", 20_000)
    assert found["transmission"] == ("done", 20_003)
    assert found["residence"] == ("possible", None)
