"""Bad data and odd orders: each has a defined outcome, told in the derivation; nothing raises."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import library
from schemas.rules import Effect
from schemas.types import EventType
from streams.engine import clocks
from streams.engine.clocktypes import State
from tests.support.clock_tools import (
    Fact,
    asked,
    context,
    day,
    fact,
    iso,
    made,
    notified,
    opened,
    ops,
    rule,
    run,
    supplied,
)

SUSPENDABLE: dict[str, Any] = {"modifiers": [{"op": "suspend"}, {"op": "extend", "open": True, "before_end": False}]}
suspended, resumed, extended, closed = "case.suspended", "case.resumed", "case.extended", "case.closed"
START = fact(opened, "2026-03-02")


def test_a_suspension_never_closed_stands_still() -> None:
    found = run(made(**SUSPENDABLE), START, fact(suspended, "2026-03-05"), explain=True)
    assert (found.state, found.due_on, found.due_at) == (State.PAUSED, None, None)
    assert found.pauses == ((day("2026-03-05"), None),)
    assert found.overdue(day("2030-01-01")) == ()


def test_a_suspension_with_a_longest_time_ends_by_itself() -> None:
    bounded = made(modifiers=[{"op": "suspend", "max": "1 month"}])
    assert iso(run(bounded, START, fact(suspended, "2026-03-05")).due_on) == "2026-04-12"


def test_overlapping_suspensions_count_once() -> None:
    facts = [START, fact(suspended, "2026-03-05", cause="a"), fact(suspended, "2026-03-07", cause="b")]
    both = [*facts, fact(resumed, "2026-03-09", cause="a"), fact(resumed, "2026-03-15", cause="b")]
    found = run(made(**SUSPENDABLE), *both, explain=True)
    assert iso(found.due_on) == "2026-03-22"
    assert {"suspended-again", "resumed-partly"} <= set(ops(found))
    assert iso(run(made(**SUSPENDABLE), *facts, fact(resumed, "2026-03-09")).due_on) == "2026-03-16"


def test_a_resumption_without_suspension_changes_nothing() -> None:
    found = run(made(**SUSPENDABLE), START, fact(resumed, "2026-03-09"), explain=True)
    assert iso(found.due_on) == "2026-03-12"
    assert "resumed-unsuspended" in ops(found)


def test_a_suspension_before_the_start_changes_nothing() -> None:
    found = run(made(**SUSPENDABLE), fact(suspended, "2026-03-01"), START, explain=True)
    assert iso(found.due_on) == "2026-03-12"
    assert "before-start" in ops(found)


def test_a_suspension_that_ends_before_it_begins_changes_nothing() -> None:
    found = run(made(**SUSPENDABLE), START, fact(suspended, "2026-03-05", until="2026-03-04"), explain=True)
    assert iso(found.due_on) == "2026-03-12"
    assert "limit-before-request" in ops(found)


def test_suspended_working_days_keep_what_was_left() -> None:
    """Ten jours ouvrés from Monday 2 March end on Monday 16; six are left on Friday 6 at night."""
    working = made(length="10 ouvres", **SUSPENDABLE)
    facts = [START, fact(suspended, "2026-03-06"), fact(resumed, "2026-03-31")]
    assert iso(run(working, START).due_on) == "2026-03-16"
    assert iso(run(working, *facts).due_on) == "2026-04-09"


def test_an_open_suspension_outlives_a_restart() -> None:
    both = made(modifiers=[{"op": "restart-on-complete"}, {"op": "suspend"}])
    facts = [
        START,
        fact(asked, "2026-03-03"),
        fact(suspended, "2026-03-04"),
        fact(supplied, "2026-03-06", complete=True),
    ]
    assert run(both, *facts).state is State.PAUSED
    assert iso(run(both, *facts, fact(resumed, "2026-03-10")).due_on) == "2026-03-20"


def test_a_request_without_a_limit_does_not_suspend() -> None:
    """CRPA L114-5 suspends for the time given; none was given."""
    found = run("crpa.refusal", START, fact(asked, "2026-03-16", pieces=["a"]), explain=True)
    assert iso(found.due_on) == "2026-05-02"
    assert "asked-without-limit" in ops(found)


def test_pieces_nobody_asked_for_change_nothing() -> None:
    for name in ("crpa.refusal", "crpa.acceptance"):
        found = run(name, START, fact(supplied, "2026-03-10", complete=True), explain=True)
        assert iso(found.due_on) == "2026-05-02"
        assert "supplied-unasked" in ops(found)


def test_a_request_for_a_piece_that_is_not_on_the_list_has_no_effect() -> None:
    """C. urb. R*423-41."""
    listed = made(modifiers=[{"op": "restart-on-complete", "pieces": ["PCMI1", "PCMI2"]}])
    found = run(listed, START, fact(asked, "2026-03-05", pieces=["energy-bill"]), explain=True)
    assert (found.state, iso(found.due_on)) == (State.RUNNING, "2026-03-12")
    assert "asked-unlisted" in ops(found)
    assert run(listed, START, fact(asked, "2026-03-05", pieces=["energy-bill", "PCMI2"])).state is State.WAITING
    assert run("urb.decision", START, fact(asked, "2026-03-05", pieces=["x"], listed=False)).state is State.RUNNING


def test_pieces_that_come_after_their_time_do_not_revive_a_request() -> None:
    """C. urb. R*423-39: the rejection was born."""
    facts = [START, fact(asked, "2026-03-31", pieces=["a"]), fact(supplied, "2026-07-15", complete=True)]
    found = run("urb.decision", *facts, explain=True)
    assert (found.state, found.effect) == (State.WAITING, Effect.REFUSED)
    assert "supplied-late" in ops(found)


def test_incomplete_pieces_keep_the_clock_waiting() -> None:
    found = run("crpa.acceptance", START, fact(asked, "2026-03-16"), fact(supplied, "2026-03-20", complete=False))
    assert found.state is State.WAITING


def test_an_extension_without_length_or_date_changes_nothing() -> None:
    found = run(
        made(**SUSPENDABLE), START, fact(extended, "2026-03-05", cause="x", length=True, unit="parsecs"), explain=True
    )
    assert iso(found.due_on) == "2026-03-12"
    assert "cause-unknown" in ops(found)


def test_an_extension_to_an_earlier_date_changes_nothing() -> None:
    found = run(made(**SUSPENDABLE), START, fact(extended, "2026-03-05", due_on="2026-03-04"), explain=True)
    assert iso(found.due_on) == "2026-03-12"
    assert "extended-shorter" in ops(found)


def test_a_stop_before_the_start_leaves_no_time_to_run() -> None:
    found = run(made(), fact(closed, "2026-03-01"), START, explain=True)
    assert (found.state, iso(found.stopped_on), found.episodes) == (State.STOPPED, "2026-03-02", ())
    assert "stopped-before-start" in ops(found)


def test_a_notification_dated_before_the_start_stops_at_the_start() -> None:
    late = fact(notified, "2026-03-20", available_on="2026-02-20")
    rule_ = made(stops=[{"on": notified, "date": "available_on"}])
    found = run(rule_, START, late, explain=True)
    assert (iso(found.stopped_on), found.took_effect) == ("2026-03-02", None)
    assert "stopped-before-start" in ops(found)


def test_a_new_end_before_the_start_ends_on_the_start() -> None:
    told = fact(extended, "2026-03-10", cause="project-changed", notified_on="2026-03-10", due_on="2026-02-01")
    found = run("urb.decision", START, told, explain=True)
    assert iso(found.due_on) == "2026-03-02"
    assert "ends-before-start" in ops(found)


def test_a_first_receipt_after_the_own_one_is_not_believed() -> None:
    found = run("crpa.refusal", START, received_first="2026-04-01", explain=True)
    assert iso(found.due_on) == "2026-05-02"
    assert "ends-before-start" in ops(found)


def test_a_second_opening_says_nothing_new() -> None:
    found = run(made(), START, fact(opened, "2026-03-05"), explain=True)
    assert (iso(found.due_on), found.start) == ("2026-03-12", START.key)
    assert "already-started" in ops(found)


def test_a_date_that_no_calendar_has_is_left_out() -> None:
    absurd = Fact(closed, 10**12, b"absurd", {})
    found = run(made(), START, absurd, explain=True)
    assert found.state is State.RUNNING
    assert "date-absurd" in ops(found)


def test_a_date_in_the_data_that_is_not_one_falls_back_on_the_fact() -> None:
    for value in ("soon", None, True, 1.5, 10**12, [1]):
        strange = Fact(opened, day("2026-03-02"), b"o", {"received_on": value, "channel": value})
        assert iso(run("crpa.acceptance", strange).due_on) == "2026-05-02"


def test_a_correction_of_a_date_already_used_counts_anew() -> None:
    """Facts come effective: after a correction the clock is as if it had always been so."""
    before = run("crpa.refusal", START, fact("case.decided", "2026-05-10"))
    after = run("crpa.refusal", fact(opened, "2026-03-12"), fact("case.decided", "2026-05-10"))
    assert before.took_effect is Effect.REFUSED
    assert (after.took_effect, after.episodes) == (None, ())


def test_after_silence_had_its_effect_only_a_decision_matters() -> None:
    late = [fact(asked, "2026-05-05", due_on="2026-06-05"), fact(suspended, "2026-05-06", cause="original-requested")]
    found = run("crpa.refusal", START, *late, explain=True)
    assert iso(found.due_on) == "2026-05-02"
    assert ops(found).count("after-end") == 2
    decided = run("crpa.refusal", START, *late, fact("case.decided", "2026-05-20"))
    assert (decided.took_effect, iso(decided.took_on)) == (Effect.REFUSED, "2026-05-02")


def test_a_missed_service_target_can_still_be_suspended_and_extended() -> None:
    target = made(**SUSPENDABLE)
    facts = [START, fact(suspended, "2026-03-17"), fact(resumed, "2026-03-20")]
    found = run(target, *facts)
    assert found.episodes == ((day("2026-03-13"), day("2026-03-17")),)
    assert found.overdue(day("2026-03-21"))[-1] == (day("2026-03-20"), None)
    longer = run(target, START, fact(extended, "2026-03-17", length=10, unit="days"))
    assert (iso(longer.due_on), longer.episodes) == ("2026-03-22", ((day("2026-03-13"), day("2026-03-17")),))
    short = run(target, START, fact(extended, "2026-03-17", length=2, unit="days"))
    assert (iso(short.due_on), short.episodes) == ("2026-03-14", ())


def test_a_reopened_case_has_its_time_again_but_not_its_acknowledgement() -> None:
    facts = [START, fact("case.decided", "2026-03-20"), fact("case.reopened", "2026-04-01")]
    assert iso(run("crpa.refusal", *facts).due_on) == "2026-06-01"
    electronic = fact(opened, "2026-03-02", channel="electronic")
    receipt = [
        electronic,
        fact("case.acknowledged", "2026-03-02", kind="registration"),
        fact("case.reopened", "2026-04-01"),
    ]
    assert run("crpa.aee", *receipt).state is State.STOPPED


def test_a_rule_that_was_not_in_force_says_so() -> None:
    old = fact("case.step-started", "2024-05-01", step="orientation")
    assert clocks.run(rule("rsa.orientation"), [old], context()) is None
    told = clocks.run(rule("rsa.orientation"), [old], context(), explain=True)
    assert told is not None
    assert (told.state, ops(told)[-1]) == (State.NOT_STARTED, "not-in-force")
    assert clocks.run(rule("rsa.orientation"), [], context()) is None


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.integers(20_000, 21_500), st.text(max_size=3),
    st.lists(st.text(max_size=2), max_size=2), st.sampled_from(["abords-mh", "erp", "electronic", "are", "aee", "months"]),
)  # fmt: skip
FIELDS = [
    "received_on",
    "due_on",
    "notified_on",
    "until",
    "cause",
    "length",
    "unit",
    "pieces",
    "complete",
    "channel",
    "kind",
    "step",
]
STEPS = st.sampled_from(["administrative-appeal", "reasons", "rapo"])
DATA = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6) | st.fixed_dictionaries({"step": STEPS})
FACTS = st.lists(
    st.builds(
        Fact,
        st.sampled_from([t.value for t in EventType]),
        st.integers(20_300, 21_000) | st.integers(),
        st.binary(max_size=3),
        DATA,
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(FACTS, st.sampled_from(sorted(library.load())))
def test_nothing_raises_and_explaining_changes_nothing(facts: list[Fact], name: str) -> None:
    ordered = sorted(facts, key=lambda f: f.date)
    plain = clocks.run(rule(name), ordered, context())
    told = clocks.run(rule(name), ordered, context(), explain=True)
    assert told is not None
    assert told == clocks.run(rule(name), ordered, context(), explain=True)
    if plain is None:
        assert told.state is State.NOT_STARTED
        return
    assert told._replace(derivation=()) == plain
    assert all(first <= last for first, last in plain.episodes)
    if plain.due_on is not None and plain.started_on is not None and rule(name).clock.back_to is None:
        assert plain.due_on >= plain.started_on
    if plain.state is State.STOPPED:
        assert plain.overdue(10**6) == plain.episodes


@pytest.mark.parametrize("name", sorted(library.load()))
def test_every_named_clock_starts_on_what_it_says(name: str) -> None:
    clock = library.load()[name]
    trigger = clock.starts[0]
    data = {field: values[0] for field, values in trigger.where.items() if values[0] is not None}
    found = run(rule(name), Fact(trigger.on, day("2026-03-02"), b"s", data))
    assert found.state is State.RUNNING
    assert found.due_on is not None
