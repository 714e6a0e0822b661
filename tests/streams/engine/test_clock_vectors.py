"""Clocks on dated examples of courts, official pages and the texts themselves."""

from typing import Any

import pytest

from schemas.rules import Effect
from streams.engine.clocktypes import State
from streams.engine.counting import midnight
from tests.support.clock_tools import asked, day, fact, follow, iso, notified, opened, run, supplied


def test_an_implied_acceptance_does_not_move() -> None:
    """CRPA L231-1: received 14 March 2026 by the competent body; 14 May is Ascension."""
    found = run("crpa.acceptance", fact(opened, "2026-03-14"))
    assert (iso(found.due_on), iso(found.born_on), found.effect) == ("2026-05-14", "2026-05-14", Effect.GRANTED)
    assert found.due_at == midnight(day("2026-05-15"), "Europe/Paris")


def test_the_first_implied_acceptances() -> None:
    """Circulaire 5749/SG of 12 Nov. 2014: request of that day, accepted on 12 Jan. 2015."""
    assert iso(run("crpa.acceptance", fact(opened, "2014-11-12")).born_on) == "2015-01-12"


def test_a_refusal_with_pieces_is_suspended_for_the_time_given() -> None:
    """CRPA L114-5: received 2 March, asked 16 March until 16 April."""
    facts = [fact(opened, "2026-03-02"), fact(asked, "2026-03-16", due_on="2026-04-16", pieces=["a"])]
    assert iso(run("crpa.refusal", *facts).due_on) == "2026-06-02"
    assert iso(run("crpa.refusal", *facts, fact(supplied, "2026-04-02", complete=True)).due_on) == "2026-05-19"


def test_an_acceptance_with_pieces_starts_again() -> None:
    """CRPA L114-5: the same request, where silence means yes."""
    facts = [fact(opened, "2026-03-02"), fact(asked, "2026-03-16", due_on="2026-04-16", pieces=["a"])]
    waiting = run("crpa.acceptance", *facts)
    assert (waiting.state, waiting.due_on, waiting.waiting_for) == (State.WAITING, None, "applicant")
    assert iso(run("crpa.acceptance", *facts, fact(supplied, "2026-04-02", complete=True)).due_on) == "2026-06-02"


def test_the_two_clocks_of_a_misdirected_request() -> None:
    """CRPA L114-3: refusal runs from the first body seized, acceptance from the competent one."""
    known = {"received_first": "2026-03-02", "received_competent": "2026-03-20"}
    own = fact(opened, "2026-03-20")
    assert iso(run("crpa.refusal", own, **known).due_on) == "2026-05-02"
    assert iso(run("crpa.acceptance", own, **known).due_on) == "2026-05-20"


def test_acknowledgements() -> None:
    """CRPA R112-11-2: one jour ouvré from any receipt, ten from the competent body's."""
    request = fact(opened, "2026-04-02", channel="electronic")
    assert iso(run("crpa.aee", request).due_on) == "2026-04-03"
    assert iso(run("crpa.aee", request, commune="67482").due_on) == "2026-04-07"
    late = run(
        "crpa.are", fact(opened, "2026-03-02", channel="electronic"), received_competent="2026-03-30", commune="67482"
    )
    assert iso(late.due_on) == "2026-04-15"


def test_refusal_then_appeal() -> None:
    """CE 5 June 2009 n° 312682: received 12 June 2007, born Sunday 12 Aug., appeal until Monday 15 Oct. 2007."""
    request = fact(opened, "2007-06-12")
    refusal = run("crpa.administrative-appeal", request)
    assert iso(refusal.born_on) == "2007-08-12"
    assert iso(follow("cja.appeal", refusal, "2007-12-01", request).due_on) == "2007-10-15"


def test_the_old_chain_outside_planning() -> None:
    """telesavocat.fr: refusal notified 15 Dec., appeal received 15 Feb., silence: rejected 15 Apr., court until 16 June."""
    refused = fact(notified, "2025-12-15")
    assert iso(run("cja.appeal", refused).due_on) == "2026-02-16"
    rejected = run("crpa.administrative-appeal", fact(opened, "2026-02-15"))
    assert iso(rejected.born_on) == "2026-04-15"
    steps = [fact("case.step-started", "2026-02-15", step="administrative-appeal")]
    assert run("cja.appeal", refused, *steps).due_on is None
    steps.append(fact("case.step-completed", "2026-04-15", step="administrative-appeal"))
    assert iso(run("cja.appeal", refused, *steps).due_on) == "2026-06-16"


def test_silence_on_an_appeal_runs_from_its_receipt() -> None:
    """A. Icard: sent 1 July 2025 and received that day, rejected 1 Sept. 2025."""
    assert (
        iso(run("crpa.administrative-appeal", fact(opened, "2025-06-28", received_on="2025-07-01")).born_on)
        == "2025-09-01"
    )


def test_in_planning_an_administrative_appeal_does_not_interrupt() -> None:
    """C. urb. L600-12-2, since 28 Nov. 2025."""
    refused, appeal = (
        fact(notified, "2026-05-13"),
        fact("case.step-started", "2026-05-20", step="administrative-appeal"),
    )
    assert iso(run("urb.appeal", refused, appeal).due_on) == "2026-07-15"


def test_an_appellant_from_overseas_has_a_month_more() -> None:
    """CJA R421-7: notified 10 March 2026."""
    assert iso(run("cja.appeal.overseas", fact(notified, "2026-03-10")).due_on) == "2026-06-11"


def test_reasons_never_given_end_the_time_to_appeal_after_a_year() -> None:
    """CRPA L232-4; CE avis 2 Oct. 2025 n° 504677."""
    refused = fact(notified, "2026-01-10")
    request = fact("case.step-started", "2026-02-01", step="reasons")
    assert iso(run("cja.appeal", refused, request).due_on) == "2027-02-01"
    given = fact("case.step-completed", "2026-02-20", step="reasons")
    assert iso(run("cja.appeal", refused, request, given).due_on) == "2026-04-21"
    late = fact("case.step-completed", "2027-01-15", step="reasons")
    assert iso(run("cja.appeal", refused, request, late).due_on) == "2027-02-01"


def test_a_house_permit_nobody_asked_about() -> None:
    """C. urb. R*423-22, -23: deposit 2 March 2026, time ends 2 May, permit born 3 May."""
    found = run("urb.decision", fact(opened, "2026-03-02", channel="counter"))
    assert (iso(found.due_on), iso(found.born_on)) == ("2026-05-02", "2026-05-03")
    assert iso(run("urb.completeness", fact(opened, "2026-03-02")).due_on) == "2026-04-02"


def test_a_house_permit_with_a_valid_request() -> None:
    """C. urb. R*423-38, -39: first presented 31 March, supplied 20 April; or never."""
    facts = [fact(opened, "2026-03-02"), fact(asked, "2026-03-31", pieces=["PCMI1"])]
    never = run("urb.decision", *facts)
    assert (iso(never.due_on), never.effect, never.waiting_for) == ("2026-06-30", Effect.REFUSED, "applicant")
    assert never.overdue(day("2026-08-01")) == ()
    assert never.silence(day("2026-07-01")) == (Effect.REFUSED, day("2026-06-30"))
    complete = fact(supplied, "2026-04-20", complete=True)
    assert iso(run("urb.decision", *facts, complete).due_on) == "2026-06-20"
    heritage = fact("case.extended", "2026-03-20", cause="abords-mh")
    assert iso(run("urb.decision", facts[0], heritage, facts[1], complete).due_on) == "2026-07-20"


def test_a_late_request_for_pieces_has_no_effect() -> None:
    """C. urb. R*423-41: presented 3 April for a deposit of 2 March."""
    late = run("urb.decision", fact(opened, "2026-03-02"), fact(asked, "2026-04-03", pieces=["PCMI1"]))
    assert (iso(late.due_on), late.state) == ("2026-05-02", State.RUNNING)


def test_a_request_counts_from_the_day_on_which_the_person_was_told() -> None:
    """C. urb. R*423-47: first presentation, not sending."""
    sent = fact(asked, "2026-03-30", pieces=["a"], notified_on="2026-04-03")
    assert iso(run("urb.decision", fact(opened, "2026-03-02"), sent).due_on) == "2026-05-02"


def test_a_second_request_within_the_month_replaces_the_first() -> None:
    """C. urb. R*423-40."""
    facts = [
        fact(opened, "2026-03-02"),
        fact(asked, "2026-03-10", pieces=["a"]),
        fact(asked, "2026-03-20", pieces=["b"]),
    ]
    assert iso(run("urb.decision", *facts).due_on) == "2026-06-20"


def test_a_longer_time_counts_only_if_notified_within_the_month() -> None:
    """C. urb. R*423-42, -43."""
    deposit = fact(opened, "2026-03-02")
    late = fact("case.extended", "2026-03-30", cause="abords-mh", notified_on="2026-04-03")
    assert iso(run("urb.decision", deposit, late).due_on) == "2026-05-02"
    two = [fact("case.extended", "2026-03-10", cause=cause) for cause in ("commission", "abords-mh")]
    assert iso(run("urb.decision", deposit, *two).due_on) == "2026-07-02"
    excluded = [fact("case.extended", "2026-03-10", cause=cause) for cause in ("abords-mh", "erp")]
    assert iso(run("urb.decision", deposit, *excluded).due_on) == "2026-08-02"


def test_tacit_permits_of_the_courts() -> None:
    """CE 496754: time ends 28 Nov. 2016, born 29 Nov.; CAA Bordeaux 18BX02822; CE 384487 (looser label in the text)."""
    assert iso(run("urb.decision", fact(opened, "2016-09-28")).born_on) == "2016-11-29"
    assert iso(run("urb.permit", fact(opened, "2015-05-29")).born_on) == "2015-08-30"
    assert iso(run("urb.permit", fact(opened, "2010-06-07")).born_on) == "2010-09-08"


def test_a_changed_project_matters_only_if_the_new_date_was_told() -> None:
    """CE 1 Dec. 2023 n° 448905, CE 14 Nov. 2025 n° 496754."""
    deposit = fact(opened, "2026-03-02")
    told = fact("case.extended", "2026-04-20", cause="project-changed", notified_on="2026-04-28", due_on="2026-06-20")
    assert iso(run("urb.decision", deposit, told).due_on) == "2026-06-20"
    late = fact("case.extended", "2026-04-20", cause="project-changed", notified_on="2026-05-04", due_on="2026-06-20")
    assert iso(run("urb.decision", deposit, late).due_on) == "2026-05-02"


def test_an_electronic_permit_runs_from_the_acknowledgement() -> None:
    """C. urb. R474-1: filed Saturday 7 March 2026 at 22:00, AEE sent Monday 9 March: tacit permit Sunday 10 May."""
    request = fact(opened, "2026-03-07", channel="electronic")
    found = run("urb.decision", request, fact("case.acknowledged", "2026-03-09", kind="registration"))
    assert (iso(found.due_on), iso(found.born_on)) == ("2026-05-09", "2026-05-10")


def test_a_late_decision_does_not_undo_a_tacit_permit() -> None:
    """The refusal notified after is a withdrawal; it may be withdrawn for three months (L424-5)."""
    facts = [fact(opened, "2026-03-02"), fact(notified, "2026-05-10")]
    found = run("urb.decision", *facts)
    assert (found.took_effect, iso(found.took_on), iso(found.stopped_on)) == (
        Effect.GRANTED,
        "2026-05-03",
        "2026-05-10",
    )
    assert found.episodes == ((day("2026-05-03"), day("2026-05-10")),)
    assert iso(follow("urb.withdrawal", found, "2026-05-10", *facts).due_on) == "2026-08-03"


def test_a_decision_notified_on_the_last_day_is_in_time() -> None:
    """CE 30 Jan. 2013 n° 340652."""
    found = run("urb.declaration", fact(opened, "2026-03-02"), fact(notified, "2026-04-02"))
    assert (found.took_effect, found.state, found.episodes) == (None, State.STOPPED, ())


def test_the_prefect_refers_within_two_franc_months() -> None:
    """CE 23 Oct. 2013: transmitted 16 Jan. 2008; 12 March was in time, the limit is Monday 17 March."""
    assert (
        iso(run("urb.prefect-referral", fact("case.step-completed", "2008-01-16", step="legality")).due_on)
        == "2008-03-17"
    )


def test_a_declaration_of_sale_keeps_a_month() -> None:
    """C. urb. L213-2: received 2 March 2026, documents asked 20 April, received 4 May: 4 June."""
    facts = [fact(opened, "2026-03-02"), fact(asked, "2026-04-20"), fact(supplied, "2026-05-04")]
    assert run("urb.dia", *facts[:2]).state is State.PAUSED
    assert iso(run("urb.dia", *facts).due_on) == "2026-06-04"
    again = [fact(asked, "2026-05-10"), fact(supplied, "2026-05-20")]
    assert iso(run("urb.dia", *facts, *again).due_on) == "2026-06-04"


def test_the_last_day_to_register_before_a_ballot() -> None:
    """C. élect. L17: ballot on Sunday 15 March 2026."""
    assert iso(run("electoral.deposit", fact("case.step-started", "2026-03-15", step="ballot")).due_on) == "2026-02-06"


def test_orientation_passes_to_another_body_after_six_weeks() -> None:
    """CASF D262-65-2."""
    found = run("rsa.orientation", fact("case.step-started", "2026-01-05", step="orientation"))
    assert (iso(found.due_on), found.effect) == ("2026-02-16", Effect.TAKEN_OVER)


def test_disability_requests_run_from_admissibility() -> None:
    """CASF R241-33, R146-26: not from the deposit."""
    facts = [fact(opened, "2026-01-05"), fact("case.acknowledged", "2026-02-10", kind="receipt", admissible=True)]
    assert iso(run("mdph.decision", *facts).due_on) == "2026-06-10"


def test_silence_on_an_allowance_grants_a_flat_rate() -> None:
    """CASF L232-14, R232-23: from the registration of the complete file."""
    facts = [fact(opened, "2026-01-05"), fact("case.acknowledged", "2026-01-14", kind="receipt", complete=True)]
    found = run("apa.decision", *facts)
    assert (iso(found.due_on), found.effect) == ("2026-03-14", Effect.GRANTED_FLAT_RATE)


def test_a_body_overseas_counts_to_its_own_midnight() -> None:
    paris, reunion = (run("crpa.acceptance", fact(opened, "2026-03-14"), commune=c) for c in ("75056", "97411"))
    assert paris.due_on == reunion.due_on
    assert paris.due_at is not None
    assert reunion.due_at is not None
    assert paris.due_at - reunion.due_at == 2 * 3_600_000


@pytest.mark.parametrize(
    "said",
    [
        fact("case.extended", "2026-03-20", cause="mh-inscrit"),  # R*424-2 c
        fact(
            "case.extended", "2026-05-20", cause="mh-inscrit"
        ),  # told too late for the time, yet the building is listed
        fact("case.step-started", "2026-03-20", step="public-inquiry"),  # R*424-2 d
        fact("case.step-completed", "2026-04-20", step="abf-objection"),  # R*424-3
        fact("case.step-completed", "2026-06-01", step="no-tacit-permit"),  # learnt after the time was over
    ],
)
def test_where_the_law_gives_no_tacit_permit_silence_refuses(said: Any) -> None:
    """C. urb. R*424-2 and R*424-3, version of 2026-04-03: read at the source."""
    found = run("urb.decision", fact(opened, "2026-03-02"), said)
    assert found.effect is Effect.REFUSED
    assert found.born_on == found.due_on


def test_a_listed_building_has_five_months_and_no_tacit_permit() -> None:
    found = run("urb.decision", fact(opened, "2026-03-02"), fact("case.extended", "2026-03-20", cause="mh-inscrit"))
    assert (iso(found.due_on), iso(found.born_on), found.effect) == ("2026-08-02", "2026-08-02", Effect.REFUSED)


def test_a_declaration_keeps_its_tacit_non_opposition() -> None:
    """R*424-2 is an exception to R*424-1 b alone: permits."""
    found = run(
        "urb.declaration", fact(opened, "2026-03-02"), fact("case.step-completed", "2026-03-20", step="no-tacit-permit")
    )
    assert found.effect is Effect.NOT_OPPOSED


def test_after_a_public_inquiry_two_months_run_from_the_report() -> None:
    """C. urb. R*423-20 and R*423-32: whatever the permit."""
    facts = [fact(opened, "2026-03-02"), fact("case.step-started", "2026-03-20", step="public-inquiry")]
    waiting = run("urb.permit", *facts)
    assert (waiting.state, waiting.due_on) == (State.WAITING, None)
    found = run("urb.permit", *facts, fact("case.step-completed", "2026-07-01", step="public-inquiry"))
    assert (iso(found.due_on), found.effect) == ("2026-09-01", Effect.REFUSED)


@pytest.mark.parametrize(
    ("cause", "due"),
    [("clearing-inquiry", "2026-10-02"), ("classified-site", "2026-11-02"), ("defence-icpe", "2027-01-02")],
)
def test_times_that_take_the_place_of_the_general_one(cause: str, due: str) -> None:
    """C. urb. R*423-29 and R*423-31."""
    found = run("urb.decision", fact(opened, "2026-03-02"), fact("case.extended", "2026-03-20", cause=cause))
    assert iso(found.due_on) == due


def test_an_electronic_letter_never_opened_is_notified_on_the_day_it_was_there() -> None:
    """CRPA R112-20: after fifteen days, dated the day on which it was made available."""
    found = run("crpa.electronic-letter", fact(notified, "2026-03-03", means="electronic", available_on="2026-03-02"))
    assert (iso(found.due_on), iso(found.born_on)) == ("2026-03-17", "2026-03-02")


def test_a_request_for_documents_runs_from_the_competent_body() -> None:
    """CRPA R311-13, against the general L114-3."""
    found = run(
        "crpa.documents", fact(opened, "2026-03-02"), received_first="2026-02-10", received_competent="2026-03-05"
    )
    assert iso(found.due_on) == "2026-04-05"
