"""Established time: a moment W before which nothing is under way any more, agreed on by all partitions.

Every message of the keyed topics carries a stamp: of a fact its admission, of whatever a message causes the stamp of
its cause. Timers may fire at W when every message stamped before W has been processed and nothing that it caused is
still on its way. This module is the part without Kafka: what the coordinator decides from what participants report.

A *round* is opened; each participant (a partition of a topic that takes part) notes the end of its log after it has
seen the opening, processes to there, and reports the least stamp that it sent *since its previous report*, or that it
is *dirty*: taken over or rebuilt since the round was opened. A round is clean for a bound if nobody is dirty and nobody
sent a stamp below the bound. Then:

- quiet: with cand = the least progress of all, measured before, rounds until one is clean for cand;
- settle: rounds until one is clean for a bound above every clock at the time when the first of them was opened. A
  second copy of a fact may have overtaken the first: what the first would have caused goes on under a later stamp;
- then W = cand.

Progress of a participant is a time before which it has processed everything that its log will ever hold: on the wall
clock the append time of the opening less a margin (it has processed all that was appended before the opening, and
what comes later bears a later time, but for the difference between two brokers' clocks); led: the last tick read.

Why counting since the previous report is enough. Take a message sent after a participant's report of a clean round: it
was caused by one that was read after that report, hence beyond the noted end, hence appended after the opening. Either
it was sent by a participant before *its* report of the round, and was counted there, if not before the opening; or
after it, and the argument begins again one message earlier; or it came from outside, with an admission after the
opening. A message sent before a previous report was appended before the opening, so it lies before the noted end and
was processed within the round. And what a former owner of a partition sent without reporting it was sent before it was
fenced: a round opened after that has it before its noted ends; any earlier round is reported dirty by the new owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple

from streams.runtime.config import Clock


class Participant(NamedTuple):
    """A partition of a topic that takes part in established time."""

    topic: str
    partition: int


class Step(IntEnum):
    """What a round is for."""

    COLLECT = 0
    """Learn the progress of everybody."""
    QUIET = 1
    """Nothing stamped before the candidate is under way."""
    SETTLE = 2
    """Nothing that was under way when that was seen is under way any more."""


class Word(NamedTuple):
    """What one participant reports in a round."""

    dirty: bool
    least: int | None
    """Least stamp (ms) sent since the previous report."""
    progress: int | None
    """Last tick read (ms); not used on the wall clock."""


class Open(NamedTuple):
    """A round to be opened."""

    round: int
    step: Step
    bound: int | None


class Established(NamedTuple):
    """Time to be made known."""

    at: int


class Outcome(StrEnum):
    """How a round ended."""

    CLEAN = "clean"
    DIRTY = "dirty"


class EstablishedTime:
    """What the coordinator knows and decides. A new coordinator starts anew, from the last W and the last round."""

    def __init__(self, clock: Clock, margin: int, last: int | None = None, round_: int = 0) -> None:
        self.last = last
        """W (ms); None if never established."""
        self.round = round_
        self.step = Step.COLLECT
        self.outcome: Outcome | None = None
        """How the last round ended."""
        self.retrying = False
        """Whether the next round repeats one that was dirty."""
        self._clock = clock
        self._margin = margin
        self._expected: frozenset[Participant] = frozenset()
        self._changed = True
        self._candidate: int | None = None
        self._bound: int | None = None
        self._opened: int | None = None
        self._words: dict[Participant, Word] = {}

    @property
    def running(self) -> bool:
        """Whether a round is open and not everybody has reported."""
        return self._opened is not None

    def expect(self, participants: Iterable[Participant]) -> None:
        """Say who takes part. A change makes the round that is open dirty, and progress unknown."""
        expected = frozenset(participants)
        if expected != self._expected:
            self._expected, self._changed = expected, True

    def missing(self) -> frozenset[Participant]:
        """Participants that have not reported in the open round."""
        return self._expected - self._words.keys() if self.running else frozenset()

    def next(self) -> Open | None:
        """Return the next round to open, or None while one runs."""
        if self.running or not self._expected:
            return None
        bound = {Step.COLLECT: None, Step.QUIET: self._candidate, Step.SETTLE: self._bound}[self.step]
        return Open(self.round + 1, self.step, bound)

    def opened(self, round_: int, timestamp: int) -> None:
        """Take note that a round was opened, at this append time (ms)."""
        self.round, self._opened = round_, timestamp
        self._words = {}

    def report(self, round_: int, words: Mapping[Participant, Word]) -> Established | None:
        """Take a report. Returns the time to make known when it completed the last round."""
        if not self.running or round_ != self.round:
            return None
        for participant, word in words.items():
            if participant in self._expected:
                before = self._words.get(participant)
                self._words[participant] = word if before is None else _both(before, word)
        return None if self.missing() else self._complete()

    def abandon(self) -> None:
        """Forget the round that runs and what was found in this cycle.

        Its number is never used again: its opening may yet appear, and reports of it must not pass for others.
        """
        self.round += 1
        self._restart()

    def _restart(self) -> None:
        self._opened, self.step, self._candidate, self._bound = None, Step.COLLECT, None, None
        self.retrying = False

    def _complete(self) -> Established | None:
        low, high = self._measure()
        self._opened = None
        if self._changed:
            # Somebody came who was not asked before: begin again, this round told nothing about it.
            self._changed = False
            self._restart()
        if self.step is Step.SETTLE and self._bound is None:
            self._bound = None if high is None else high + 1
        bound = self._bound if self.step is Step.SETTLE else self._candidate
        clean = self._clean(bound)
        self.outcome = Outcome.CLEAN if clean else Outcome.DIRTY
        self.retrying = not clean and self.step is not Step.COLLECT
        if self.step is Step.COLLECT:
            self._propose(low)
        elif clean and self.step is Step.QUIET:
            self.step, self._bound = Step.SETTLE, None
        elif clean:
            assert self._candidate is not None
            self.last = self._candidate
            self._propose(low)
            return Established(self.last)
        return None

    def _propose(self, low: int | None) -> None:
        """Begin the next cycle with a progress that everybody had before its first round is opened."""
        self.step, self._candidate, self._bound, self.retrying = Step.COLLECT, None, None, False
        if low is not None and (self.last is None or low > self.last):
            self.step, self._candidate = Step.QUIET, low

    def _measure(self) -> tuple[int | None, int | None]:
        """Least progress of all, and a time that no clock had passed when the round was opened."""
        assert self._opened is not None
        if self._clock is Clock.WALL:
            return self._opened - self._margin, self._opened + self._margin
        ticks = [word.progress for word in self._words.values() if word.progress is not None]
        low = min(ticks) if len(ticks) == len(self._words) and ticks else None
        return low, max(ticks, default=None)

    def _clean(self, bound: int | None) -> bool:
        return bound is not None and not any(
            word.dirty or (word.least is not None and word.least < bound) for word in self._words.values()
        )


def _both(a: Word, b: Word) -> Word:
    least = [x for x in (a.least, b.least) if x is not None]
    ticks = [x for x in (a.progress, b.progress) if x is not None]
    return Word(a.dirty or b.dirty, min(least, default=None), min(ticks, default=None))
