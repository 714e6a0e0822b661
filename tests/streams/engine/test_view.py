"""The view: pure, equal with and without memory, never an exception, and each output for itself."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import bus
from schemas.directory import Body
from streams.engine.alerts import NEVER, Reason
from streams.engine.book import Book
from streams.engine.cases import Case
from streams.engine.facts import Copy
from streams.engine.view import Memo, View, fold, view
from tests.support.books import book
from tests.support.facts import KEYS, case, event, handoff
from tests.support.garbage import Garbage
from tests.support.scenario import CONVENTIONS, PROCEDURE, Scenario
from tests.support.world import DAY, READER

A, B, C, X = case("alpha", 101), case("bravo", 202), case("charlie", 303), case("xray", 404)
H = handoff("alpha", 1)
INSTANTS = (0, 5 * DAY, 40 * DAY, 20_000 * DAY, 2**53)


@cache
def rules(retention: int | None = None) -> Book:
    return book(conventions=CONVENTIONS, retention=retention)


def least(values: Iterable[bytes]) -> list[Copy]:
    found: dict[bytes, Copy] = {}
    for value in values:
        copy = READER.copy(value, 0)
        kept = found.get(copy.fact.key)
        found[copy.fact.key] = copy if kept is None or copy < kept else kept
    return list(found.values())


def content(seen: View) -> dict[bytes, tuple[str, bytes]]:
    return {k: (o.topic, o.value) for k, o in seen.outputs.items()}


def everything(seen: View) -> tuple[Any, ...]:
    rows = {k: ([c.key for c in j.cases], j.references) for k, j in seen.rows.items()}
    return content(seen), {k: o.digest for k, o in seen.outputs.items()}, rows, seen.next_due, seen.purge_at


def grow(memo: Memo, cases: dict[bytes, Case], copies: dict[bytes, dict[bytes, Copy]], copy: Copy) -> None:
    """One more fact: only its case is folded again, as a root does it."""
    copies.setdefault(copy.fact.case, {})[copy.fact.key] = copy
    cases[copy.fact.case] = Case(copy.fact.case, copies[copy.fact.case].values())


@pytest.mark.parametrize("portion", range(4))
def test_a_view_with_memory_equals_a_fresh_one(portion: int) -> None:
    for seed in range(portion * 12, portion * 12 + 12):
        r, rule = random.Random(seed), rules(10 if seed % 3 == 2 else None)
        memo, cases, copies = Memo(rule), {}, {}  # type: ignore[var-annotated]
        arrivals = Scenario(seed, seed % 3 == 2).arrivals()
        for arrival in arrivals:
            grow(memo, cases, copies, READER.copy(arrival.value, 0))
            if r.random() < 0.4:
                now = r.randint(0, 80) * DAY
                fresh = fold(c for kept in copies.values() for c in kept.values())
                assert everything(view(cases, now, rule, (), memo)) == everything(view(fresh, now, rule))


def test_nothing_changes_before_the_next_due_instant() -> None:
    moved = 0
    for seed in range(40):
        r, rule = random.Random(seed), rules(10 if seed % 3 == 2 else None)
        cases = fold(least(a.value for a in Scenario(seed, seed % 3 == 2).arrivals()))
        for _ in range(6):
            now = r.randint(-1, 60 * DAY)
            seen = view(cases, now, rule)
            assert seen.next_due > now
            until = min(seen.next_due, now + 500 * DAY) - 1
            for later in (until, r.randint(now, until)):
                assert content(view(cases, later, rule)) == content(seen)
            moved += seen.next_due != NEVER and content(view(cases, seen.next_due, rule)) != content(seen)
    assert moved > 40


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.integers(1, 20))
def test_no_fact_makes_a_view_fail_and_order_does_not_matter(seed: int, n: int) -> None:
    garbage = Garbage(r := random.Random(seed))
    values = [garbage.value() for _ in range(n)]
    again = least(r.sample(values, n))
    for now in INSTANTS:
        seen = view(fold(least(values)), now, rules(10))
        assert everything(view(fold(again), now, rules(10))) == everything(seen)
        assert seen.next_due > now
        for out in seen.outputs.values():
            bus().decode(out.value)


def test_a_memory_survives_garbage() -> None:
    for seed in range(25):
        r = random.Random(seed)
        garbage, memo, cases, copies = Garbage(r), Memo(rules()), {}, {}  # type: ignore[var-annotated]
        for _ in range(25):
            grow(memo, cases, copies, READER.copy(garbage.value(), 0))
            now = r.choice(INSTANTS)
            fresh = fold(c for kept in copies.values() for c in kept.values())
            assert everything(view(cases, now, rules(), (), memo)) == everything(view(fresh, now, rules()))


# -- each output for itself
def shown(topic: str, values: Iterable[bytes], now: int = 0, rule: Book | None = None) -> list[dict[str, Any]]:
    """Outputs of a topic, decoded."""
    seen = view(fold(least(values)), now * DAY, rule or rules())
    return [bus().decode(o.value)[1] for _, o in sorted(seen.outputs.items()) if o.topic == topic]


def say(type_: str, subject: str, on: int, id_: object, **kw: Any) -> bytes:
    return event(type_, subject, on, id_, procedure=PROCEDURE, **kw)


SENT = say("handoff.sent", A, 0, 1, handoff=H, to="bravo")


def took(what: str, on: int, id_: object = 1, subject: str = B) -> bytes:
    return say(f"handoff.{what}", subject, on, id_, handoff=H)


def reasons(values: Iterable[bytes], now: int, rule: Book | None = None) -> list[str]:
    return sorted(a["reason"] for a in shown("alerts", values, now, rule))


def test_a_link_undone_and_said_again() -> None:
    named, opened = say("case.opened", B, 0, 1, refs=(A,)), say("case.opened", A, 0, 1)
    words = [say(f"correction.{w}", A, n, 10 + n, refs=(B,)) for n, w in enumerate(("linked", "unlinked", "linked"))]
    sizes = [sorted(len(s["cases"]) for s in shown("statuses", [named, opened, *words[:n]])) for n in range(4)]
    assert sizes == [[1, 1], [2], [1, 1], [2]]


def test_two_contents_under_one_identity_are_shown_as_a_conflict() -> None:
    values = [say("case.decided", A, 3, 1, outcome="refused"), say("case.decided", A, 5, 1, outcome="granted")]
    (status,) = shown("statuses", values)
    assert [(c["conflicts"], c["outcome"], c["decided_on"]) for c in status["cases"]] == [(1, "refused", 3)]
    assert reasons(values, 0) == ["conflict"]
    assert reasons(values[:1], 0) == []


def test_a_fact_taken_back_has_no_effect() -> None:
    values = [say("case.opened", A, 0, 1), say("case.decided", A, 3, 2), say("correction.retracted", A, 4, 3, fact="2")]
    assert [c["state"] for c in shown("statuses", values)[0]["cases"]] == ["open"]
    assert [c["state"] for c in shown("statuses", values[:2])[0]["cases"]] == ["decided"]


def test_three_failures_of_a_handoff_are_told_apart() -> None:
    assert reasons([SENT], 3) == []
    assert reasons([SENT], 4) == ["not-delivered"]
    assert "not-taken" in reasons([SENT, took("received", 2)], 12)
    assert "not-delivered" not in reasons([SENT, took("received", 2)], 12)
    assert reasons([SENT, took("received", 2), took("accepted", 3, 2)], 10) == []
    assert reasons([SENT, took("received", 2), took("accepted", 3, 2)], 60) == ["silent"]
    assert reasons([SENT, took("received", 2), took("accepted", 3, 2), took("completed", 9, 3)], 60) == []


def test_a_receipt_before_its_sending_is_normal() -> None:
    (early,) = shown("handoffs", [SENT, took("received", -2)])
    assert (early["state"], early["received_on"], early["sent_on"]) == ("received", -2, 0)


def test_who_takes_has_read() -> None:
    (taken,) = shown("handoffs", [SENT, took("accepted", 2)])
    assert (taken["received_on"], taken["accepted_on"]) == (2, 2)
    assert "not-delivered" not in reasons([SENT, took("accepted", 2)], 60)


def test_only_the_addressee_speaks_for_a_handoff_and_only_the_sender_cancels() -> None:
    linked = say("correction.linked", A, 0, 9, refs=(X,))
    stranger = [
        linked,
        say("handoff.accepted", X, 1, 1, handoff=H, refs=(A,)),
        say("handoff.cancelled", X, 1, 2, handoff=H),
    ]
    (sent,) = shown("handoffs", [SENT, *stranger])
    assert sent["state"] == "sent"
    assert [s["state"] for s in shown("handoffs", [SENT, took("cancelled", 1)])] == ["sent"]
    assert [s["state"] for s in shown("handoffs", [SENT, took("cancelled", 1, 5, A)])] == ["cancelled"]


def test_a_time_limit_missed_then_met_leaves_its_episode() -> None:
    opened, decided = say("case.opened", A, 0, 1), say("case.decided", A, 15, 2)
    assert reasons([opened], 10) == []
    (late,) = shown("alerts", [opened], 12)
    assert (late["reason"], late["episodes"]) == ("breached", [{"raised_on": 11, "resolved_on": None}])
    (over,) = shown("alerts", [opened, decided], 12)
    assert over["alert"] == late["alert"]
    assert over["episodes"] == [{"raised_on": 11, "resolved_on": 15}]
    assert shown("alerts", [opened, say("case.decided", A, 9, 2)], 99) == []


def test_an_alert_on_a_limit_tells_who_took_the_request_on() -> None:
    opened, on = say("case.opened", A, 0, 9), handoff("bravo", 2)

    def told(*values: bytes) -> list[tuple[str, str | None]]:
        return [(a["body"], a["other"]) for a in shown("alerts", [opened, *values], 12) if a["reason"] == "breached"]

    assert told() == [("alpha", None)]
    assert told(SENT) == [("alpha", "bravo")]
    assert told(SENT, took("refused", 1)) == [("alpha", None)]
    passed = [SENT, took("accepted", 1), say("handoff.sent", B, 2, 2, handoff=on, to="charlie")]
    assert told(*passed) == [("alpha", "charlie")]
    back = say("handoff.sent", B, 3, 3, handoff=handoff("bravo", 3), to="alpha")
    assert told(*passed[:2], back) == [("alpha", None)]


def test_work_that_goes_in_circles_is_told_once() -> None:
    values, at = [], [A, B]
    for n in range(1, 6):
        giver, taker = at[(n + 1) % 2], at[n % 2]
        h = handoff(giver.split(":")[1].split("/")[0], n)
        values.append(say("handoff.sent", giver, n, f"s{n}", handoff=h, to=taker.split(":")[1].split("/")[0]))
        values.append(say("handoff.accepted", taker, n, f"a{n}", handoff=h))
    assert "ping-pong" not in reasons(values[:4], 5)
    (told,) = [a for a in shown("alerts", values, 6) if a["reason"] == "ping-pong"]
    (later,) = [a for a in shown("alerts", values[:8], 6) if a["reason"] == "ping-pong"]
    assert told["alert"] == later["alert"]


def test_a_body_that_is_not_connected_raises_no_alert() -> None:
    quiet = book(bodies=(Body(id=b, name=b, kind="commune", connected=()) for b in ("alpha", "bravo")))
    silent = [SENT, say("case.opened", A, 0, 2), took("accepted", 1)]
    assert reasons(silent, 90) != []
    assert reasons(silent, 90, quiet) == []


def test_ids_of_alerts_do_not_move() -> None:
    first = [a["alert"] for a in shown("alerts", [SENT], 60)]
    more = [
        SENT,
        say("case.opened", C, 0, 1, refs=(A,)),
        say("correction.linked", A, 5, 5, refs=(C,)),
        say("case.step-started", A, 1, 7),
    ]
    assert set(first) <= {a["alert"] for a in shown("alerts", more, 60)}
    assert len(first) == 1


def acknowledged(values: list[bytes], by: str, **kw: Any) -> dict[str, Any]:
    (alert,) = [a for a in shown("alerts", values, 9) if a["reason"] == Reason.NOT_DELIVERED]
    care = event("alert.acknowledged", by, 8, "care", alert=alert["alert"].hex(), until=20, **kw)
    (after,) = [a for a in shown("alerts", [*values, care], 9) if a["reason"] == Reason.NOT_DELIVERED]
    return after


def test_who_is_concerned_may_take_care_of_an_alert_and_nobody_else() -> None:
    assert acknowledged([SENT], A)["acknowledged_on"] == 8
    assert acknowledged([SENT], A)["silent_until"] == 20
    assert acknowledged([SENT], X, refs=(A, H))["acknowledged_on"] is None
    inside = [SENT, say("case.opened", C, 0, 1, refs=(A,)), say("correction.linked", A, 1, 9, refs=(C,))]
    assert len(shown("statuses", inside)) == 1
    assert acknowledged(inside, C)["acknowledged_on"] is None


def test_an_ended_journey_is_kept_until_its_last_case_has_passed_its_retention() -> None:
    closed = [say("case.opened", A, 0, 1), say("case.closed", A, 5, 2)]
    assert view(fold(least(closed)), 0, rules(10)).purge_at == 16 * DAY
    joined = [*closed, say("case.opened", B, 0, 1, refs=(A,)), say("correction.linked", A, 1, 9, refs=(B,))]
    assert view(fold(least(joined)), 0, rules(10)).purge_at == NEVER
    assert view(fold(least([*joined, say("case.closed", B, 9, 2)])), 0, rules(10)).purge_at == 20 * DAY
    assert view({}, 0, rules(10)) == View({}, {}, NEVER, NEVER)


def test_the_key_of_a_status_is_a_case_that_has_spoken() -> None:
    ghosts = [case("alpha", n) for n in range(500, 520)]
    values = [
        say("case.opened", A, 0, 1, refs=tuple(ghosts[:10])),
        say("case.opened", A, 0, 2, refs=tuple(ghosts[10:])),
    ]
    seen = view(fold(least(values)), 0, rules())
    assert list(seen.rows) == [KEYS.of(A)]
    assert min(KEYS.of(g) for g in ghosts) < KEYS.of(A)
    assert len(seen.rows[KEYS.of(A)].references) == 21
