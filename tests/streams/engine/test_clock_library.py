"""The named clocks: each row of the reference table as data, with what silence means, when, and how surely it was read."""

from datetime import date
from typing import Any

import pytest

from schemas import definitions, library
from schemas.rules import Effect, Mark
from streams.engine.clocktypes import State
from tests.support.clock_tools import asked, day, fact, follow, iso, notified, opened, rule, run, supplied

A, R, OLD, SECONDARY, READ = Effect.GRANTED, Effect.REFUSED, Mark.OLD, Mark.SECONDARY, Mark.READ
FAVOURABLE, GIVEN = Effect.OPINION_FAVOURABLE, Effect.OPINION_GIVEN

PACKAGED = definitions.load()
SILENCE: list[tuple[str, Effect, str, Mark]] = [
    ("silence.municipal-room", R, "2 months", SECONDARY),
    ("silence.burial", R, "2 months", SECONDARY),
    ("silence.public-domain", R, "2 months", SECONDARY),
    ("silence.road-permit", R, "2 months", SECONDARY),
    ("silence.sewer", R, "2 months", SECONDARY),
    ("silence.private-sewage", R, "2 months", SECONDARY),
    ("silence.dog", R, "2 months", SECONDARY),
    ("silence.impact-study", R, "2 months", SECONDARY),
    ("silence.marina", R, "2 months", SECONDARY),
    ("silence.adoption", R, "9 months", SECONDARY),
    ("silence.signature", R, "2 months", SECONDARY),
    ("urb.retail-permit", R, "3 months", READ),
    ("silence.call-for-projects", R, "6 months", SECONDARY),
    ("silence.establishment-transfer", R, "2 months", SECONDARY),
    ("silence.shelter", R, "2 months", SECONDARY),
    ("silence.shelter-aid", A, "1 months", OLD),
    ("cmi.decision", R, "4 months", SECONDARY),
    ("silence.local-opinion", A, "4 months", SECONDARY),
    ("silence.canteen", A, "2 months", SECONDARY),
    ("silence.nursery-school", A, "3 months", SECONDARY),
    ("childminder.approval", A, "3 months", OLD),
    ("silence.foster-carer", A, "4 months", OLD),
    ("silence.creche", A, "3 months", SECONDARY),
    ("silence.creche-opinion", GIVEN, "1 months", SECONDARY),
    ("silence.taxpayer", A, "2 months", SECONDARY),
    ("silence.tomb", A, "2 months", SECONDARY),
    ("urb.certificate", A, "1 months", READ),
    ("urb.certificate-operational", A, "2 months", READ),
    ("urb.permit-extension", A, "2 months", READ),
    ("urb.certificate-extension", A, "2 months", READ),
    ("urb.dia", Effect.WAIVED, "2 months", READ),
    ("silence.shop-sign", A, "2 months", OLD),
    ("residence.certificate", R, "1 months", READ),
    ("residence.certificate.appeal-answer", R, "1 months", READ),
    ("family-reunification.mayor", FAVOURABLE, "2 months", READ),
    ("family-reunification", R, "6 months", READ),
    ("residence-permit", R, "4 months", READ),
    ("residence-permit.short", R, "90 days", READ),
    ("residence-permit.listed", R, "60 days", READ),
    ("crpa.documents", R, "1 months", READ),
    ("electoral.appeal-answer", R, "30 days", READ),
    ("silence.funeral-home", A, "4 months", OLD),
    ("silence.funeral-home-opinion", GIVEN, "2 months", OLD),
    ("identity.decision", R, "2 months", SECONDARY),
    ("silence.job-seeker", R, "2 months", SECONDARY),
    ("silence.driving-licence", R, "2 months", SECONDARY),
    ("silence.money", R, "2 months", READ),
    ("subsidy.decision", R, "2 months", READ),
    ("silence.complaint", R, "2 months", READ),
    ("silence.agent", R, "2 months", READ),
]


@pytest.mark.parametrize(("name", "effect", "length", "mark"), SILENCE)
def test_what_silence_means_for_each_kind_of_request(name: str, effect: Effect, length: str, mark: Mark) -> None:
    """Annexes of the decrees of 10 Nov. 2015 and the codes named by each row."""
    clock = library.load()[name]
    assert (clock.effect, str(clock.length), clock.articles[0].mark) == (effect, length, mark)
    assert rule(name).alerts


def ended(name: str, *facts: Any, commune: str = "75056") -> tuple[str | None, str]:
    found = run(name, *facts, commune=commune)
    return iso(found.due_on), found.effect.value


def step(name: str, on: str, *, done: bool = False) -> Any:
    return fact("case.step-completed" if done else "case.step-started", on, step=name)


SHORT: list[tuple[str, Any, str, str]] = [
    # C. élect. L18 and R12, version of 2026-04-02
    ("electoral.decision", fact(opened, "2026-01-30"), "2026-02-04", "none"),
    ("electoral.notification", fact("case.decided", "2026-02-04", outcome="refused"), "2026-02-06", "none"),
    ("electoral.appeal", fact(notified, "2026-02-06"), "2026-02-11", "barred"),
    ("electoral.appeal-answer", step("rapo", "2026-02-10"), "2026-03-12", "refused"),
    ("electoral.appeal-notice", step("rapo", "2026-02-20", done=True), "2026-02-22", "none"),
    ("electoral.court", step("rapo-notice", "2026-02-21", done=True), "2026-02-28", "barred"),
    ("electoral.observations", step("removal", "2026-03-02"), "2026-03-17", "barred"),
    ("electoral.board", step("ballot", "2026-03-15"), "2026-02-22", "none"),
    # C. civ. 55, version of 2026-04-03: born Monday 30 March, fifth day Saturday 4 April, moved over Easter
    ("birth.declaration", step("birth", "2026-03-30"), "2026-04-07", "barred"),
    ("birth.declaration.remote", step("birth", "2026-03-30"), "2026-04-07", "barred"),
    # CESEDA R313-11 and R313-12, version of 2026-04-03
    ("residence.certificate.appeal", fact(notified, "2026-03-02"), "2026-05-02", "barred"),
    # C. urb., version of 2026-04-03
    ("urb.transmission", step("transmission", "2026-03-02"), "2026-03-09", "none"),  # R*423-8
    ("urb.transmission.retail", step("transmission", "2026-03-02"), "2026-03-10", "none"),  # R*423-13-2, clear days
    ("urb.opinion.park-declaration", fact("handoff.sent", "2026-03-02"), "2026-04-16", "opinion-refused"),  # R*423-61-1
    (
        "urb.opinion.mayor-declaration",
        fact("handoff.sent", "2026-03-02"),
        "2026-03-17",
        "opinion-favourable",
    ),  # R*423-72
    ("urb.abf-challenge", step("abf-objection", "2026-03-02", done=True), "2026-03-09", "barred"),  # R*423-68
    ("urb.abf-challenge.answer", step("abf-challenge", "2026-03-02"), "2026-05-02", "opinion-favourable"),
    ("urb.heritage-appeal", fact(notified, "2026-03-02"), "2026-05-02", "barred"),  # R*424-14
    ("urb.heritage-appeal.answer", step("heritage-appeal", "2026-03-02"), "2026-05-02", "confirmed"),
    ("urb.heritage-appeal.mediator", step("heritage-appeal", "2026-03-02"), "2026-04-02", "none"),
    ("urb.heritage-appeal.again", step("heritage-appeal", "2026-03-02", done=True), "2026-04-02", "none"),
    ("urb.town-hall-notice", fact("case.decided", "2026-03-02", outcome="granted"), "2026-03-10", "none"),  # R*424-15
    ("urb.lapse", fact(notified, "2026-03-02"), "2029-03-02", "lapsed"),  # R*424-17
    ("urb.permit-extension.request", step("permit-end", "2029-03-02"), "2029-01-02", "barred"),  # R*424-22
    ("urb.completion.inspected", step("completion", "2026-03-02", done=True), "2026-08-02", "barred"),  # R462-6
    ("urb.completion-certificate", step("completion-certificate", "2026-03-02"), "2026-03-17", "taken-over"),  # R462-10
    ("urb.administrative-appeal", fact(notified, "2026-05-13"), "2026-06-13", "barred"),  # L600-12-2
    ("urb.administrative-appeal.answer", step("administrative-appeal", "2026-05-20"), "2026-07-20", "refused"),
    ("urb.environmental", fact(opened, "2026-01-02", channel="counter"), "2026-04-02", "refused"),  # R424-2-1
    ("urb.environmental-declaration", fact(opened, "2026-01-02", channel="counter"), "2026-02-02", "refused"),
    # CSS R821-2 (version of 2020-01-01), R142-1 (2019-03-31: Saturday 2 May moves), R142-6 (2025-12-28)
    ("aah.liquidation", fact("case.decided", "2026-03-02", outcome="granted"), "2026-04-02", "refused"),
    ("social-security.appeal", fact(notified, "2026-03-02"), "2026-05-04", "barred"),
    ("social-security.appeal-answer", step("rapo", "2026-03-02"), "2026-05-02", "refused"),
    # C. trav. R5312-47, version of 2025-06-01, with CJA R213-10: the time to go to court
    ("job-seeker.mediation", fact(notified, "2026-05-13"), "2026-07-15", "barred"),
    # CASF and CCH, in the versions that the marks tell
    ("apa.mayor-notice", fact(opened, "2026-03-02"), "2026-03-12", "none"),
    ("aide-sociale.urgent", fact(opened, "2026-03-02"), "2026-03-05", "none"),
    ("aide-sociale.urgent.decision", step("urgent-notice", "2026-03-05", done=True), "2026-05-05", "none"),
    ("residence.urgent-notice", fact("case.decided", "2026-03-02", outcome="granted"), "2026-05-02", "none"),
    ("residence.transmission", fact(opened, "2026-03-02"), "2026-04-02", "none"),
    ("residence.acceptance", fact("handoff.sent", "2026-04-02"), "2026-05-02", "none"),
    ("rsa.opinion", fact("handoff.sent", "2026-03-02"), "2026-04-02", "opinion-given"),
    ("rsa.president", step("appeal-opinion", "2026-04-02", done=True), "2026-05-02", "none"),
    ("housing.registration", fact(opened, "2026-03-02"), "2026-04-02", "taken-over"),
    ("housing.renewal", fact("case.acknowledged", "2026-03-02"), "2027-03-02", "lapsed"),
    ("housing.removal", step("removal-warning", "2027-03-10"), "2027-04-10", "lapsed"),
    ("housing.pieces", step("pieces-entry", "2026-03-02"), "2026-03-17", "taken-over"),
    ("dalo.commission", fact(opened, "2026-03-02"), "2026-06-02", "refused"),
    ("dalo.commission.overseas", fact(opened, "2026-03-02"), "2026-09-02", "refused"),
    ("daho.commission", fact(opened, "2026-03-02"), "2026-04-13", "refused"),
    ("dalo.offer", fact("case.decided", "2026-03-02", outcome="granted"), "2026-06-02", "none"),
    ("dalo.offer.large-cities", fact("case.decided", "2026-03-02", outcome="granted"), "2026-09-02", "none"),
    ("dalo.mayor-opinion", fact("handoff.sent", "2026-03-02"), "2026-03-17", "opinion-given"),
]


@pytest.mark.parametrize(("name", "first", "due", "effect"), SHORT, ids=[row[0] for row in SHORT])
def test_each_time_ends_on_its_day(name: str, first: Any, due: str, effect: str) -> None:
    assert ended(name, first) == (due, effect)


def test_silence_on_an_electoral_appeal_opens_the_way_to_the_court() -> None:
    """C. élect. L18 III and IV: thirty days, then seven."""
    appeal = step("rapo", "2026-02-10")
    refused = run("electoral.appeal-answer", appeal)
    assert iso(follow("electoral.court", refused, "2026-03-20", appeal).due_on) == "2026-03-19"


def test_documents_brought_later_start_the_time_of_the_board_anew() -> None:
    """CSS R142-6, second paragraph."""
    facts = [step("rapo", "2026-03-02"), fact(supplied, "2026-03-20", complete=True)]
    assert ended("social-security.appeal-answer", *facts) == ("2026-05-20", "refused")


@pytest.mark.parametrize("name", ["urb.decision", "urb.notice", "urb.certificate", "urb.permit-extension"])
def test_sent_electronically_a_request_counts_from_its_acknowledgement(name: str) -> None:
    """C. urb. R474-1 I 1°: every time that runs from the filing or the receipt of a request under this book."""
    sent = fact(opened, "2026-03-07", channel="electronic")
    told = run(name, sent, fact("case.acknowledged", "2026-03-09", kind="registration"))
    assert iso(told.started_on) == "2026-03-09"
    assert iso(run(name, fact(opened, "2026-03-07", channel="post")).started_on) == "2026-03-07"


def test_a_request_of_a_permit_holder_waits_for_nothing_else() -> None:
    """C. urb. R*424-23: no request for pieces changes the two months of an extension."""
    found = run("urb.permit-extension", fact(opened, "2026-03-02"), fact(asked, "2026-03-10"))
    assert (found.state, iso(found.due_on), iso(found.born_on)) == (State.RUNNING, "2026-05-02", "2026-05-03")


def test_an_administrative_appeal_before_the_law_of_2025_follows_the_general_rule() -> None:
    """C. urb. L600-12-2 holds for decisions since 28 November 2025."""
    last, first = rule("urb.administrative-appeal").valid_from, day("2025-11-28")
    assert last == first


def test_words_for_the_person_follow_the_effect() -> None:
    """A clock that means something else than the one it uses does not keep that one's sentence for the person."""
    entries = library.entries()
    for name, entry in entries.items():
        if "effect" in entry and "use" in entry:
            base = library.expand(dict(entries[entry["use"]]), entries)[0]
            assert "citizen" not in base or "citizen" in entry, name


@pytest.mark.parametrize("journey", list(PACKAGED), ids=lambda journey: journey.procedure)
def test_every_step_of_every_journey_tells_the_person_something(journey: definitions.Journey) -> None:
    told = [step.citizen for step in journey.steps]
    assert all(words is not None and words.fr.endswith((".", "!", "?")) and words.en != words.fr for words in told)
    roles = {role.id for role in journey.roles}
    assert {step.role for step in journey.steps} <= roles | {"applicant"}
    assert all(h.received or h.accepted or h.completed or h.clocks for h in journey.handoffs)


def test_there_are_twelve_journeys_beside_the_generic_one() -> None:
    assert len({journey.procedure for journey in PACKAGED} - {definitions.GENERIC}) == 12


HIDDEN = [
    ("famille.naissance", "child-health", {"birth-town", "home-town"}),
    ("social.mdph", "assessment", {"door", "payer", "job-service"}),
    ("enfance.rentree", "adapted-transport", {"school", "mairie"}),
    ("usager.demenagement", "social-aid", {"tax", "new-town", "family-fund"}),
    ("logement.social", "court", {"landlord", "mairie"}),
]


@pytest.mark.parametrize(("procedure", "step", "roles"), HIDDEN)
def test_what_a_body_must_not_see_is_hidden_from_it(procedure: str, step: str, roles: set[str]) -> None:
    """RGPD 5: health and social matters go to those who act on them alone."""
    journey = PACKAGED.of(procedure, date(2026, 3, 2))
    found = next(one for one in journey.steps if one.id == step)
    assert roles <= set(found.hidden_from)
