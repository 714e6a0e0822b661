"""Alerts: what a person must look at, as dated episodes that follow from facts and rules alone.

An alert's id comes from the rule, the case or handoff, and the fact that started the clock. Whether its last episode has begun is
the only thing here that depends on the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from streams.engine.book import Book
from streams.engine.cases import Case
from streams.engine.clocktypes import ClockRun
from streams.engine.facts import Fact
from streams.engine.handed import holder
from streams.engine.handoffs import Handoff, laps
from streams.engine.rules import ClockRule

MARK = b"\x10"
"""First byte of an alert's id, where references have their rank."""

TOO_MANY_LAPS = 2
"""Times that work may come back before somebody is called."""

NEVER = 2**62
"""An instant that does not come, ms."""


class Reason(StrEnum):
    """Kind of failure; also metric label and log field."""

    NOT_DELIVERED = "not-delivered"
    """Sent, and nobody read it."""
    NOT_TAKEN = "not-taken"
    """Read, neither accepted nor refused."""
    SILENT = "silent"
    """Accepted, and nothing since."""
    BREACHED = "breached"
    """A time limit of a case has passed."""
    ABOUT_TO_BREACH = "about-to-breach"
    """A time limit ends soon."""
    PING_PONG = "ping-pong"
    """The same work came back without progress."""
    CONFLICT = "conflict"
    """A source stated one fact twice with different content."""


_BY_STAGE = {"received": Reason.NOT_DELIVERED, "accepted": Reason.NOT_TAKEN, "completed": Reason.SILENT}


def alert_id(rule: str, subject: bytes, start: bytes) -> bytes:
    """Id of an alert: 16 bytes."""
    return MARK + blake2b(rule.encode() + b"\0" + subject + start, digest_size=15).digest()


def raises(rule: ClockRule, run: ClockRun) -> bool:
    """Whether a body must act when this clock runs out: not if it only ends somebody's right, or waits for the person."""
    return rule.alerts and run.waiting_for != "applicant"


class Alerts:
    """Collects the alerts of one journey at one instant, and when the next may come."""

    def __init__(self, now: int, acknowledgements: Iterable[Fact]) -> None:
        self.now = now
        self.found: dict[bytes, dict[str, Any]] = {}
        self.next_due = NEVER
        """When to look again, ms."""
        self._care: dict[str, list[Fact]] = {}
        for fact in acknowledgements:
            self._care.setdefault(fact.data["alert"], []).append(fact)

    def clock(self, rule: ClockRule, run: ClockRun, subject: bytes, record: dict[str, Any]) -> None:
        """An alert for a clock that has run out, now or once; none for a limit that only binds the person."""
        if not raises(rule, run):
            return
        if rule.warn is not None:
            self._warnings(rule, run, subject, record)
        episodes: list[dict[str, int | None]] = [{"raised_on": a, "resolved_on": b} for a, b in run.episodes]
        if run.due_at is not None and run.stopped_on is None and run.breach_on is not None:
            if run.due_at <= self.now:
                episodes.append({"raised_on": run.breach_on, "resolved_on": None})
            else:
                self.next_due = min(self.next_due, run.due_at)
        if episodes and run.start is not None:
            severity = "critical" if rule.kind == "legal" else "warning"
            self._add(
                rule.id,
                subject,
                run.start,
                {**record, "severity": severity, "due_on": run.due_on, "episodes": episodes},
            )

    def _warnings(self, rule: ClockRule, run: ClockRun, subject: bytes, record: dict[str, Any]) -> None:
        """One alert for each level of warning: it lasts from its day until the clock stops, is moved, or runs out."""
        for level, name in enumerate(rule.warn_names):
            closed = [(first, last) for at, first, last in run.warned if at == level]
            episodes: list[dict[str, int | None]] = [{"raised_on": a, "resolved_on": b} for a, b in closed]
            if run.warns and run.due_at is not None:
                day, instant = run.warns[level]
                if run.due_at <= self.now:
                    episodes.append({"raised_on": day, "resolved_on": run.breach_on})
                elif instant <= self.now:
                    episodes.append({"raised_on": day, "resolved_on": None})
                else:
                    self.next_due = min(self.next_due, instant)
            if episodes and run.start is not None:
                severity = "warning" if level == rule.last_warning else "info"
                warned = {**record, "reason": Reason.ABOUT_TO_BREACH.value, "severity": severity, "due_on": run.due_on}
                self._add(rule.id, subject, run.start, {**warned, "episodes": episodes}, name)

    def event(
        self,
        rule: Reason,
        subject: bytes,
        start: bytes,
        raised_on: int,
        resolved_on: int | None,
        record: dict[str, Any],
    ) -> None:
        """An alert for something that happened on a day."""
        episodes = [{"raised_on": raised_on, "resolved_on": resolved_on}]
        self._add(rule.value, subject, start, {**record, "severity": "warning", "due_on": None, "episodes": episodes})

    def _add(self, rule: str, subject: bytes, start: bytes, record: dict[str, Any], level: str = "") -> None:
        key = alert_id(rule + level, subject, start)
        parties = (record["body"], record["other"])
        care = [f for f in self._care.get(key.hex(), ()) if f.body in parties]
        last = max(care, key=lambda f: (f.date, f.key), default=None)
        self.found[key] = {
            **record, "alert": key, "rule": rule, "acknowledged_on": last.date if last else None,
            "silent_until": last.data["until"] if last else None,
        }  # fmt: skip


def of_case(
    alerts: Alerts, case: Case, runs: Iterable[tuple[ClockRule, ClockRun]], handoffs: Iterable[Handoff], book: Book
) -> None:
    """The alerts of one case: its time limits, which concern the body that took the request on too, and what its sources stated twice."""
    taker = holder(case.text, handoffs)
    record = {"reason": Reason.BREACHED.value, "procedure": case.procedure or None, "body": case.body,
              "other": None if taker == case.body else taker,
              "case": case.text, "handoff": None}  # fmt: skip
    if book.connected(case.body, case.procedure, case.started_on):
        for rule, run in runs:
            alerts.clock(rule, run, case.key, record)
    if case.conflicts:
        first = case.facts[0]
        stated = {**record, "reason": Reason.CONFLICT.value, "other": None}
        alerts.event(Reason.CONFLICT, case.key, case.key, first.date, None, stated)


def of_handoffs(alerts: Alerts, handoffs: list[Handoff]) -> None:
    """The alerts of handoffs: not delivered, not taken, silent, and work that goes in circles."""
    for handoff in handoffs:
        record = _about(handoff)
        if handoff.connected:
            for rule, run in handoff.runs:
                reason = _BY_STAGE.get(rule.id.rpartition(".")[2], Reason.SILENT)
                alerts.clock(rule, run, handoff.key, {**record, "reason": reason.value})
    circles = laps(handoffs)
    if len(circles) >= TOO_MANY_LAPS:
        day, handoff = circles[TOO_MANY_LAPS - 1]
        settled = min((h.since for h in handoffs if h.state == "completed" and h.since >= day), default=None)
        record = {**_about(handoff), "reason": Reason.PING_PONG.value}
        alerts.event(Reason.PING_PONG, handoff.key, handoff.sent.key, day, settled, record)


def _about(handoff: Handoff) -> dict[str, Any]:
    return {"procedure": handoff.procedure or None, "body": handoff.to, "other": handoff.from_body,
            "case": handoff.from_case, "handoff": handoff.text}  # fmt: skip
