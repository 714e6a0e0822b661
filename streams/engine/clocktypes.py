"""What goes into a clock and what comes out: facts, context, run, derivation. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from schemas.rules import Effect
from streams.engine.calendars import Calendar


class ClockFact(Protocol):
    """What a clock reads of a fact. Facts come in fold order, those of one case or one handoff, effective ones only."""

    @property
    def type(self) -> str:
        """Event type, such as `case.opened`."""

    @property
    def date(self) -> int:
        """Legal date, days since 1970-01-01."""

    @property
    def key(self) -> bytes:
        """Identity and digest."""

    @property
    def data(self) -> Mapping[str, Any]:
        """Payload; dates in it are days since 1970-01-01."""

    @property
    def body(self) -> str:
        """The stating body."""


class ClockContext(NamedTuple):
    """What a clock needs beside its facts: whose calendar counts, and receipts that only the journey knows."""

    calendar: Calendar
    zone: str
    """IANA zone of the body whose calendar counts."""
    received_first: int | None = None
    """Day on which the first body seized received the request (CRPA L114-3)."""
    received_competent: int | None = None
    """Day on which the competent body received it."""


class State(StrEnum):
    """Where a clock is, from facts alone."""

    NOT_STARTED = "not-started"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    STOPPED = "stopped"


class Op(StrEnum):
    """What one line of a derivation says."""

    STARTED = "started"
    STARTED_ELSEWHERE = "started-elsewhere"
    COUNTED = "counted"
    COUNTED_BACK = "counted-back"
    FRANC = "franc"
    ROLLED = "rolled"
    CAPPED = "capped"
    MIN_REMAINING = "min-remaining"
    PAUSE_COUNTED = "pause-counted"
    DUE = "due"
    BIRTH = "birth"
    ASKED = "asked"
    ASKED_LATE = "asked-late"
    ASKED_UNLISTED = "asked-unlisted"
    ASKED_WITHOUT_LIMIT = "asked-without-limit"
    LIMIT_BEFORE_REQUEST = "limit-before-request"
    SUPPLIED = "supplied"
    SUPPLIED_UNASKED = "supplied-unasked"
    SUPPLIED_LATE = "supplied-late"
    SUSPENDED = "suspended"
    SUSPENDED_AGAIN = "suspended-again"
    SUSPENDED_ONCE_ONLY = "suspended-once-only"
    RESUMED = "resumed"
    RESUMED_PARTLY = "resumed-partly"
    RESUMED_UNSUSPENDED = "resumed-unsuspended"
    EXTENDED = "extended"
    EXTENDED_LATE = "extended-late"
    EXTENDED_SHORTER = "extended-shorter"
    CAUSE_UNKNOWN = "cause-unknown"
    EFFECT_CHANGED = "effect-changed"
    REPLACED = "replaced"
    REPLACED_LATE = "replaced-late"
    INTERRUPTED = "interrupted"
    INTERRUPTS_NOT = "interrupts-not"
    RESTARTED = "restarted"
    STOPPED = "stopped"
    STOPPED_LATE = "stopped-late"
    STOPPED_BEFORE_START = "stopped-before-start"
    REOPENED = "reopened"
    AFTER_END = "after-end"
    AFTER_STOP = "after-stop"
    BEFORE_START = "before-start"
    ALREADY_STARTED = "already-started"
    DATE_ABSURD = "date-absurd"
    ENDS_BEFORE_START = "ends-before-start"
    NOT_IN_FORCE = "not-in-force"


class Line(NamedTuple):
    """One line of a derivation: on the fact `key` of `date`, by `articles`, operator `op` with `params` (sorted)."""

    op: Op
    date: int | None
    key: bytes | None
    articles: tuple[str, ...]
    params: tuple[tuple[str, Any], ...]


class ClockRun(NamedTuple):
    """One clock of one case or handoff as its facts leave it; nothing here depends on the present."""

    rule: str
    start: bytes | None
    """Key of the fact that first started it: with the case and the rule, its identity."""
    origin_on: int | None
    """Day of the first start."""
    started_on: int | None
    """Day of the present start (later than `origin_on` after a restart)."""
    due_on: int | None
    """Last day, which ends at 24:00 local; `None` while paused, waiting without limit, or not started."""
    due_at: int | None
    """Instant (ms) at which it has run out: the local midnight that begins `breach_on`."""
    breach_on: int | None
    """First day on which it has run out, if no fact changes it."""
    state: State
    waiting_for: str | None
    """`applicant` if the person must act for it to go on."""
    effect: Effect
    """What it means if it runs out."""
    born_on: int | None
    """Day that the law names for this effect, if it comes."""
    took_effect: Effect | None
    """The effect that silence had before a later fact stopped the clock; a later decision does not undo it."""
    took_on: int | None
    stopped_on: int | None
    stop: bytes | None
    """Key of the fact that stopped it."""
    pauses: tuple[tuple[int, int | None], ...]
    episodes: tuple[tuple[int, int], ...]
    """Times when it was overdue, from facts alone: first day overdue, day of the fact that ended that."""
    derivation: tuple[Line, ...]
    """Empty unless asked for."""
    warned: tuple[tuple[int, int, int], ...] = ()
    """Times when a warning was due, from facts alone: level, first day, day of the fact (or of the end) that ended it."""
    warns: tuple[tuple[int, int], ...] = ()
    """For each level, the day and the instant (ms) from which to warn of the end that counts now; empty if it does not run."""

    def overdue(self, today: int) -> tuple[tuple[int, int | None], ...]:
        """All overdue episodes as known on `today`: the closed ones, and the open one if the clock has run out."""
        waits = self.waiting_for is not None or self.stopped_on is not None
        if self.breach_on is not None and not waits and today >= self.breach_on:
            return (*self.episodes, (self.breach_on, None))
        return self.episodes

    def silence(self, today: int) -> tuple[Effect, int] | None:
        """The effect that silence has had by `today`, and the day that the law names for it."""
        if self.took_effect is not None and self.took_on is not None:
            return self.took_effect, self.took_on
        if (
            self.stopped_on is None
            and self.breach_on is not None
            and self.born_on is not None
            and today >= self.breach_on
        ):
            return self.effect, self.born_on
        return None

    def paused(self, today: int) -> bool:
        """Whether the clock stands still on `today`."""
        return any(first <= today and (last is None or today < last) for first, last in self.pauses)
