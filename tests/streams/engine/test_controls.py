"""Negative controls: each rule of the core taken away must be seen by the checks of a world, or these checks prove nothing.

What no world shows in few runs has a check of its own: fold order in `test_order`, last words and purge marks of heads in `test_uniting`.
That a clock looks at one case alone (not at the journey) is in the shape of `Case`, which is given no other facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import pytest
import structlog

from tests.streams.engine.test_founding import rules
from tests.support import world
from tests.support.broken import CONTROLS, Control, OneStage, timed
from tests.support.facts import KEYS, case, event, handoff
from tests.support.reading import ViolationError
from tests.support.scenario import PROCEDURE, Scenario
from tests.support.world import DAY, READER, Log, World

MORE = 150
"""Scenarios tried after those that are known to catch a control."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Broken variants fail in many ways; their logs tell nothing."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


def breach(control: Control, seed: int) -> str | None:
    """The invariant that a broken variant breaks in one scenario, if any."""
    ends = seed % 3 == 2
    for schedule in range(2):
        with pytest.MonkeyPatch.context() as patch:
            timed(patch)
            control.change(patch)
            broken = world.World(Scenario(seed, ends).arrivals(), seed * 1000 + schedule, rules(ends))
            try:
                broken.run()
            except ViolationError as error:
                return str(error.args[0])
    return None


@pytest.mark.parametrize("name", CONTROLS)
def test_a_rule_taken_away_is_seen(name: str) -> None:
    control = CONTROLS[name]
    assert any(breach(control, seed) for seed in chain(control.seeds, range(MORE)))


def test_nothing_taken_away_is_not_seen() -> None:
    tried = {seed for control in CONTROLS.values() for seed in control.seeds}
    assert len(tried) > 10
    assert not any(breach(Control(lambda patch: None), seed) for seed in tried)


@pytest.mark.long
@pytest.mark.parametrize("name", CONTROLS)
def test_a_rule_taken_away_is_seen_elsewhere_too(name: str) -> None:
    seen = (seed for seed in range(20_000, 20_600) if breach(CONTROLS[name], seed))
    assert len(list(islice(seen, 2))) == 2


def arrive(at: World, log: Log, value: bytes) -> None:
    at.copies.append(READER.copy(value, at.clock(log.no)))
    log.append(value)


def settle(at: World) -> None:
    while any(log.pos < len(log.records) for log in at.logs):
        for log in at.logs:
            if log.pos < len(log.records):
                log.step(100, crash=False)


def overtaken(kind: type[World]) -> None:
    """Of two copies of a `received` the first admitted comes second; the claim of the other is still under way when time is asked for."""
    sent = event("handoff.sent", case("alpha", 101), 0, 1, handoff=handoff("alpha", 1), to="bravo", procedure=PROCEDURE)
    apart = ((case("bravo", n), n) for n in range(100, 200))
    took = [event("handoff.received", c, 2, 2, handoff=handoff("alpha", 1), procedure=PROCEDURE) for c, _ in apart]
    at = next(w for w in (kind([], seed, rules()) for seed in range(100)) if w.partitions == 6 and not w.plan.led)
    at.skew, at.last = [0] * len(at.logs), 30
    keys = (KEYS.of(case("alpha", 101)), KEYS.of(handoff("alpha", 1)))
    alpha, meeting = (at.logs[world.partition_of(k, 6)] for k in keys)
    word = next(v for v in took if at.home(v) not in (alpha, meeting))
    bravo, admit = at.home(word), at.logs[-1]
    assert alpha is not meeting
    at.legal = world.legal_groups([READER.copy(sent, 0), READER.copy(word, 0)], at.book)
    arrive(at, alpha, sent)
    settle(at)
    at.now = 4
    arrive(at, admit, word)
    at.now = 6
    arrive(at, bravo, word)
    bravo.step(1, crash=False)
    admit.step(1, crash=False)
    bravo.step(1, crash=False)
    at.now = 7
    assert meeting.pos < len(meeting.records)
    for _ in range(20):
        at.advance()
        for log in at.logs:
            if at.stage and log.end is None:
                log.end = len(log.records)
        for log in at.logs:
            if log.end is not None and log.pos < log.end:
                log.step(log.end - log.pos, crash=False)
        if at.established == 6 * DAY:
            break
    assert at.established == 6 * DAY
    alpha.timers()


def test_established_time_takes_two_stages() -> None:
    overtaken(World)
    with pytest.raises(ViolationError, match="false alert"):
        overtaken(OneStage)
