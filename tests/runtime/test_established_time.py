"""Established time against a simulation: random logs, owners that change, late reports, clocks that differ.

At each W that is made known, nothing stamped before W may be under way, then or later, and nothing that was under way
when the quiet stage ended. Rules taken away one by one show that the simulation can tell.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from streams.runtime import timelog
from streams.runtime.config import Clock
from streams.runtime.partition import Heat
from streams.runtime.time import Established, EstablishedTime, Open, Outcome, Participant, Step, Word

MARGIN = 3


class WrongError(Exception):
    """What must not be."""


@dataclass
class Message:
    stamp: int
    born: int
    """When the fact that began it all was admitted, by a clock that nobody in the simulation has."""
    hops: int
    tick: int | None = None


@dataclass
class Owner:
    heat: Heat = field(default_factory=Heat)
    at: int = 0
    """Position in the time log."""
    round: tuple[int, int] | None = None
    """(round, offset of its opening)"""
    noted: int | None = None
    reported: bool = False


class World:
    def __init__(self, seed: int, clock: Clock, broken: str = "") -> None:
        r = self.r = random.Random(seed)
        self.clock, self.broken = clock, broken
        self.parts = [Participant("in", p) for p in range(r.randint(1, 5))]
        self.logs: dict[Participant, list[Message]] = {p: [] for p in self.parts}
        self.done = dict.fromkeys(self.parts, 0)
        self.owner = {p: Owner() for p in self.parts}
        self.skew = {p: r.randint(0, MARGIN) for p in self.parts}
        self.tick = dict.fromkeys(self.parts, 0)
        self.seen_tick: dict[Participant, int | None] = dict.fromkeys(self.parts)
        self.late: list[tuple[int, dict[Participant, Word]]] = []
        self.time: list[tuple[int, Any]] = []
        self.now, self.w, self.quiet_at = 10, -1, 0
        self.established: list[int] = []
        self.crash = r.choice((0, 0.1, 0.3))
        self.move = r.choice((0, 0, 0.02, 0.1))
        self.slow = {p: r.choice((0.9, 0.5, 0.05)) for p in self.parts}
        self.coordinate()

    def coordinate(self) -> None:
        last = self.established[-1] if self.established else None
        rounds = [entry.round for _, entry in self.time if isinstance(entry, Open)]
        margin = -50 if self.broken == "margin" else MARGIN
        self.machine = EstablishedTime(self.clock, margin, last, max(rounds, default=0))
        self.machine.expect(self.parts)
        self.read = len(self.time)
        self.opening: int | None = None

    def log_clock(self, p: Participant) -> int:
        return self.tick[p] if self.clock is Clock.LED else self.now + self.skew[p]

    def append(self, p: Participant, message: Message) -> None:
        if self.established and message.tick is None and message.stamp < self.established[-1]:
            raise WrongError(f"stamp {message.stamp} sent after {self.established[-1]} was made known")
        self.logs[p].append(message)

    def step(self) -> None:
        r = self.r
        self.now += r.randint(0, 2)
        if r.random() < 0.4:
            p = r.choice(self.parts)
            self.append(p, Message(self.log_clock(p), self.now, r.randint(0, 4)))
        if self.clock is Clock.LED and r.random() < 0.4:
            p = r.choice(self.parts)
            self.tick[p] += r.randint(1, 10)
            self.append(p, Message(self.tick[p], self.now, 0, tick=self.tick[p]))
        for p in r.sample(self.parts, len(self.parts)):
            if r.random() < self.move:
                self.take_over(p)
            if r.random() < self.slow[p]:
                self.work(p)
            self.follow(p)
        if self.late and r.random() < 0.3:
            self.time.append((self.now, self.late.pop(r.randrange(len(self.late)))))
        if r.random() < 0.01:
            self.coordinate()
        self.lead()

    def take_over(self, p: Participant) -> None:
        since = 0 if self.broken == "takeover" else len(self.time)
        self.owner[p] = Owner(Heat(since=since), at=self.r.randint(0, len(self.time)))

    def work(self, p: Participant) -> None:
        batch = self.logs[p][self.done[p] : self.done[p] + self.r.randint(1, 4)]
        if not batch:
            return
        out = [
            (self.r.choice(self.parts), Message(m.stamp, m.born, m.hops - 1))
            for m in batch
            if m.hops
            for _ in range(self.r.randint(0, 2))
        ]
        if self.broken != "least":
            self.owner[p].heat.note(min((m.stamp for _, m in out), default=None))
        if self.r.random() < self.crash:
            if self.r.random() < 0.5:
                self.take_over(p)
            return
        for to, message in out:
            self.append(to, message)
        self.done[p] += len(batch)
        for m in batch:
            self.seen_tick[p] = m.tick if m.tick is not None else self.seen_tick[p]

    def follow(self, p: Participant) -> None:
        owner = self.owner[p]
        while owner.at < len(self.time) and self.r.random() < 0.8:
            entry = self.time[owner.at][1]
            if isinstance(entry, Open):
                owner.round, owner.noted, owner.reported = (entry.round, owner.at), None, False
                if self.broken == "noted":
                    owner.noted = self.done[p]
            owner.at += 1
        if owner.round is None or owner.reported:
            return
        if owner.noted is None:
            owner.noted = len(self.logs[p])
        if self.done[p] >= owner.noted and self.r.random() < 0.7:
            word = Word(owner.round[1] < owner.heat.since, owner.heat.take(), self.seen_tick[p])
            owner.reported = True
            self.late.append((owner.round[0], {p: word}))

    def lead(self) -> None:
        while self.read < len(self.time):
            stamp, entry = self.time[self.read]
            self.read += 1
            if isinstance(entry, Open) and entry.round == self.opening:
                self.machine.opened(entry.round, stamp)
                self.opening = None
            elif isinstance(entry, tuple) and not isinstance(entry, Open):
                step = self.machine.step
                found = self.machine.report(*entry)
                if step is Step.QUIET and self.machine.step is Step.SETTLE:
                    self.quiet_at = self.now
                    if self.broken == "settle":
                        found = Established(self.machine._candidate or 0)
                        self.machine.last = found.at
                        self.machine._propose(None)
                if found is not None:
                    self.establish(found.at)
        opening = self.machine.next()
        if opening is not None and self.opening is None and self.r.random() < 0.5:
            self.opening = opening.round
            self.time.append((self.now + self.r.randint(0, 1), opening))

    def establish(self, at: int) -> None:
        if self.established and at <= self.established[-1]:
            raise WrongError(f"{at} after {self.established[-1]}")
        for p in self.parts:
            for m in self.logs[p][self.done[p] :]:
                if m.tick is None and m.stamp < at:
                    raise WrongError(f"stamp {m.stamp} under way at {at}")
                if m.tick is None and m.born < self.quiet_at:
                    raise WrongError("under way when it was quiet, and still")
        self.established.append(at)


def run(seed: int, clock: Clock, broken: str = "") -> World:
    world = World(seed, clock, broken)
    for _ in range(1000):
        world.step()
    return world


@pytest.mark.parametrize("clock", list(Clock))
def test_nothing_is_under_way_at_established_time(clock: Clock) -> None:
    moved = sum(len(run(seed, clock).established) for seed in range(200))
    assert moved > 250


@pytest.mark.parametrize("broken", ["least", "settle", "noted", "takeover", "margin"])
def test_a_rule_taken_away_is_noticed(broken: str) -> None:
    with pytest.raises(WrongError):
        for seed in range(1000):
            run(seed, Clock.WALL, broken)


def words(parts: list[Participant], **kw: Any) -> dict[Participant, Word]:
    return {p: Word(kw.get("dirty", False), kw.get("least"), kw.get("progress")) for p in parts}


def test_a_cycle_when_nothing_happens() -> None:
    parts = [Participant("in", 0), Participant("in", 1)]
    machine = EstablishedTime(Clock.WALL, 10)
    assert machine.next() is None
    machine.expect(parts)
    for step, stamp in ((Step.COLLECT, 1000), (Step.QUIET, 1100)):
        assert machine.next() == Open(machine.round + 1, step, 990 if step is Step.QUIET else None)
        machine.opened(machine.round + 1, stamp)
        assert machine.next() is None
        assert machine.report(machine.round, words(parts[:1])) is None
        assert machine.missing() == {parts[1]}
        assert machine.report(machine.round, words(parts[1:])) is None
    machine.opened(3, 1200)
    assert machine.report(3, words(parts)) == Established(990)
    assert machine.next() == Open(4, Step.QUIET, 1190)
    assert machine.outcome is Outcome.CLEAN
    assert not machine.retrying


def test_a_newcomer_is_asked_before_time_moves() -> None:
    parts = [Participant("in", 0), Participant("new", 0)]
    machine = EstablishedTime(Clock.WALL, 0)
    machine.expect(parts[:1])
    machine.opened(1, 100)
    machine.report(1, words(parts[:1]))
    machine.opened(2, 110)
    machine.expect(parts)
    assert machine.report(2, words(parts[:1])) is None
    assert machine.missing() == {parts[1]}
    assert machine.report(2, words(parts[1:])) is None
    assert machine.next() == Open(3, Step.QUIET, 110)


def test_the_number_of_an_abandoned_round_is_not_used_again() -> None:
    machine = EstablishedTime(Clock.WALL, 0, 50, 7)
    machine.expect([Participant("in", 0)])
    assert machine.next() == Open(8, Step.COLLECT, None)
    machine.abandon()
    assert machine.next() == Open(9, Step.COLLECT, None)


def test_led_time_waits_for_the_first_tick_of_everybody() -> None:
    parts = [Participant("in", 0), Participant("in", 1)]
    machine = EstablishedTime(Clock.LED, 0)
    machine.expect(parts)
    machine.opened(1, 0)
    machine.report(1, {parts[0]: Word(False, None, 5), parts[1]: Word(False, None, None)})
    assert machine.step is Step.COLLECT
    machine.opened(2, 0)
    machine.report(2, {parts[0]: Word(False, None, 5), parts[1]: Word(False, None, 4)})
    assert machine.next() == Open(3, Step.QUIET, 4)


def test_what_is_written_is_what_is_read() -> None:
    at = {Participant("in", 0): Word(True, None, None), Participant("in", 1): Word(False, 5, 7)}
    assert timelog.load_report(timelog.dump_report(3, at)) == (3, at)
    assert timelog.load_open(timelog.dump_open(Open(1, Step.QUIET, 5))) == Open(1, Step.QUIET, 5)
    assert timelog.load_established(timelog.dump_established(Established(9))) == Established(9)
    with pytest.raises((ValueError, KeyError, TypeError)):
        timelog.load_open(b"[]")
