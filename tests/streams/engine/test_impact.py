"""What a change of rules would do to cases under way: who is touched, by how much, and why."""

from datetime import date
from typing import Any

from schemas import definitions, holidays, library
from schemas.definitions import Definitions, Journey
from streams.engine.impact import Difference, Rules, Subject, differences
from streams.engine.questions import Desk
from tests.support.clock_tools import day, iso

PROCEDURE = "urbanisme.pc-maison"
TODAY = day("2026-05-10")
CASE: dict[str, Any] = {
    "case": "case:viriat/PC-1",
    "procedure": PROCEDURE,
    "territory": "01451",
    "facts": [{"type": "case.opened", "date": "2026-03-02", "channel": "counter"}],
}


def packaged() -> Journey:
    found = definitions.load().find(PROCEDURE, date(2026, 3, 2))
    assert found is not None
    return found


def changed(since: date, **clock: Any) -> Definitions:
    """The packaged definitions, with the decision of a house permit changed from a day on."""
    journey = packaged()
    clocks = tuple(c.model_copy(update=clock) if c.id == "decision" else c for c in journey.clocks)
    return definitions.load().changed_by([journey.model_copy(update={"clocks": clocks, "valid_from": since})])


def compared(after: Definitions, *cases: dict[str, Any]) -> list[Difference]:
    desk = Desk(library.load(), definitions.load(), holidays.load())
    subjects: list[Subject] = [desk.subject(case) for case in cases]
    found, seen = differences(subjects, Rules(definitions.load()), Rules(after), TODAY)
    assert seen == len(cases)
    return found


THREE_MONTHS = library.load()["urb.permit"].length


def test_a_longer_time_undoes_a_tacit_permit_and_what_follows_from_it() -> None:
    found = {one.rule: one for one in compared(changed(date(2026, 1, 1), length=THREE_MONTHS), CASE)}
    assert set(found) == {"decision", "withdrawal"}
    decision, withdrawal = found["decision"], found["withdrawal"]
    assert decision.before is not None
    assert decision.after is not None
    assert (iso(decision.before.run.due_on), iso(decision.after.run.due_on)) == ("2026-05-02", "2026-06-02")
    assert decision.shift == 31
    assert decision.before.silence is not None
    assert iso(decision.before.silence.date) == "2026-05-03"
    assert decision.after.silence is None
    assert decision.before.run.derivation != decision.after.run.derivation
    assert withdrawal.before is not None
    assert (withdrawal.before.follows, iso(withdrawal.before.run.due_on)) == ("decision", "2026-08-03")
    assert (withdrawal.after, withdrawal.shift) == (None, None)


def test_a_case_keeps_the_rules_of_its_start() -> None:
    later = {
        **CASE,
        "case": "case:viriat/PC-2",
        "facts": [{"type": "case.opened", "date": "2026-04-15", "channel": "counter"}],
    }
    found = compared(changed(date(2026, 4, 1), length=THREE_MONTHS), CASE, later)
    assert {one.case for one in found} == {"case:viriat/PC-2"}


def test_a_change_of_another_procedure_touches_nothing() -> None:
    assert compared(changed(date(2026, 1, 1), length=THREE_MONTHS), {**CASE, "procedure": "social.rsa"}) == []


def test_the_limit_of_a_handoff_moves() -> None:
    journey = packaged()
    handoffs = tuple(
        h.model_copy(update={"received": h.received and h.received.model_copy(update={"length": THREE_MONTHS})})
        if h.id == "to-instructor"
        else h
        for h in journey.handoffs
    )
    after = definitions.load().changed_by([journey.model_copy(update={"handoffs": handoffs})])
    handoff = "handoff:viriat:" + "0a" * 16
    sent = {"type": "handoff.sent", "date": "2026-03-03", "kind": "transfer", "to": "gba", "handoff": handoff}
    (found,) = compared(after, {**CASE, "facts": [*CASE["facts"], sent]})
    assert (found.handoff, found.rule, found.shift) == (handoff, "handoff.to-instructor.received", 89)


def test_new_versions_take_over_from_their_beginning() -> None:
    after = changed(date(2026, 4, 1), length=THREE_MONTHS)
    before, since = (after.find(PROCEDURE, date(2026, month, 1)) for month in (3, 4))
    assert before == packaged()
    assert since is not None
    assert since.valid_from == date(2026, 4, 1)
    whole = changed(date(2010, 1, 1), length=THREE_MONTHS).find(PROCEDURE, date(2026, 3, 2))
    assert whole is not None
    assert whole.valid_from == date(2010, 1, 1)
