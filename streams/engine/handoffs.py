"""Handoffs: what both bodies say of one passage, joined by state, not by date: a `received` dated before its `sent` is normal."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from schemas.definitions import Handoff as Sort
from streams.engine import clocks
from streams.engine.book import Book
from streams.engine.cases import Case
from streams.engine.clocktypes import ClockContext, ClockRun
from streams.engine.facts import Fact
from streams.engine.rules import ClockRule


class HandoffState(StrEnum):
    """Where a passage stands."""

    SENT = "sent"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    RETURNED = "returned"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


ENDS = frozenset({HandoffState.REFUSED, HandoffState.RETURNED, HandoffState.COMPLETED, HandoffState.CANCELLED})
BACK = frozenset({HandoffState.REFUSED, HandoffState.RETURNED})
"""States in which the sender has the work again."""

_STAGE = {f"handoff.{s.value}": i for i, s in enumerate(HandoffState)}


class Stated(NamedTuple):
    """The statements that count for one handoff."""

    key: bytes
    sent: Fact
    sender: Case
    others: list[Fact]
    """By the addressee (and `cancelled` by the sender), by stage, then date."""
    receiver: Case | None
    """The addressee's case, if it has spoken."""

    @property
    def signature(self) -> tuple[bytes, ...]:
        """What must change for the handoff to be worked out again."""
        procedure = f"{self.sender.procedure}|{self.sender.started_on}|{self.sender.visibility}".encode()
        return (self.sent.key, *(f.key for f in self.others), self.receiver.key if self.receiver else b"", procedure)


def stated(cases: Iterable[Case]) -> list[Stated]:
    """The handoffs of a journey whose `sent` is known and comes from the body that issued the id; by date, then key."""
    sent: dict[bytes, tuple[Fact, Case]] = {}
    said: dict[bytes, list[tuple[Fact, Case]]] = {}
    for case in cases:
        for key, facts in case.statements.items():
            for fact in facts:
                if fact.type != "handoff.sent":
                    said.setdefault(key, []).append((fact, case))
                elif key in case.own and (key not in sent or _order(fact) < _order(sent[key][0])):
                    sent[key] = (fact, case)
    found: list[Stated] = []
    for key, (first, sender) in sent.items():
        others = [
            (f, c)
            for f, c in said.get(key, ())
            if f.body == (first.body if f.type == "handoff.cancelled" else first.to)
        ]
        others.sort(key=lambda x: (_STAGE.get(x[0].type, 0), *_order(x[0])))
        receiver = next((c for _, c in others if c.body == first.to), None)
        found.append(Stated(key, first, sender, [f for f, _ in others], receiver))
    found.sort(key=lambda s: (s.sent.date, s.key))
    return found


def _order(fact: Fact) -> tuple[int, int, bytes]:
    return (fact.date, fact.moment, fact.key)


class Handoff:
    """One handoff, worked out from its statements and the rules of the sender's case; nothing in it depends on the hour."""

    def __init__(self, said: Stated, book: Book) -> None:
        self.key = said.key
        self.signature = said.signature
        sent, sender = said.sent, said.sender
        self.sent = sent
        self.text: str = sent.data["handoff"]
        self.from_body, self.to = sent.body, sent.to
        self.kind: str = sent.data["kind"]
        self.procedure = sender.procedure
        self.from_case, self.to_case = sender.text, said.receiver.text if said.receiver else None
        self.visibility = sent.visibility or sender.visibility
        self.state, self.since = HandoffState.SENT, sent.date
        self.received_on: int | None = None
        self.accepted_on: int | None = None
        self.ended_on: int | None = None
        self.result: str | None = None
        self.redirect_to: str | None = None
        self._hear_all(said.others)
        rules = book.rules(self.procedure, sender.started_on)
        self.sort: Sort | None = rules.journey.handoff(self.kind, sent.data)
        self.connected = book.connected(self.to, self.procedure, sent.date)
        self.runs: list[tuple[ClockRule, ClockRun]] = []
        if self.sort is not None:
            self._run(rules.of_handoff(self.sort), [sent, *said.others], book)

    def _hear_all(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            self._hear(fact)
        if self.received_on is None:
            self.received_on = self.accepted_on  # whoever takes work has read it

    def _hear(self, fact: Fact) -> None:
        state = HandoffState(fact.type.removeprefix("handoff."))
        if state is HandoffState.RECEIVED:
            self.received_on = fact.date if self.received_on is None else self.received_on
        elif state is HandoffState.ACCEPTED:
            self.accepted_on = fact.date if self.accepted_on is None else self.accepted_on
        elif self.ended_on is None or fact.date < self.ended_on:
            self.ended_on = fact.date
            self.result = fact.data.get("result") or fact.data.get("reason")
            self.redirect_to = fact.data.get("redirect_to")
        else:
            return
        if self.state not in ENDS or state in ENDS:
            self.state, self.since = state, fact.date

    def _run(self, rules: Iterable[ClockRule], facts: list[Fact], book: Book) -> None:
        for rule in rules:
            owner = self.from_body if rule.calendar_of == "sender" else self.to
            calendar = book.calendar(owner)
            run = clocks.run(rule, facts, ClockContext(calendar, calendar.zone))
            if run is not None:
                self.runs.append((rule, run))

    @property
    def open(self) -> bool:
        """Whether something is still expected of the addressee."""
        return self.state not in ENDS

    @property
    def due_on(self) -> int | None:
        """Date by which the next thing is due: the first limit that still runs, else what the sender asked for."""
        running = [run.due_on for _, run in self.runs if run.due_on is not None and run.stopped_on is None]
        asked: int | None = self.sent.data["due_on"]
        return min(running, default=asked) if self.open else None

    def passage(self) -> dict[str, Any]:
        """The handoff in short, as a status lists it."""
        return {
            "handoff": self.key, "from_body": self.from_body, "to": self.to, "kind": self.kind, "step": self.sent.data["step"],
            "state": self.state.value, "visibility": self.visibility, "sent_on": self.sent.date, "since": self.since,
            "due_on": self.due_on,
        }  # fmt: skip

    def record(self, loops: int) -> dict[str, Any]:
        """The whole handoff, as the topic `handoffs` has it."""
        data = self.sent.data
        documents = [{k: d[k] for k in _MANIFEST} for d in data["documents"] or ()]
        return {
            "handoff": self.text, "from_body": self.from_body, "to": self.to, "kind": self.kind, "step": data["step"],
            "reason": data["reason"], "procedure": self.procedure or None, "from_case": self.from_case, "to_case": self.to_case,
            "state": self.state.value, "sent_on": self.sent.date, "received_on": self.received_on,
            "accepted_on": self.accepted_on, "ended_on": self.ended_on, "result": self.result, "redirect_to": self.redirect_to,
            "due_on": data["due_on"], "documents": documents, "loops": loops,
            "limits": [{"rule": r.id, "due_on": run.due_on, "state": run.state.value} for r, run in self.runs],
        }  # fmt: skip


_MANIFEST = ("label", "type", "size", "sha256", "location", "until")


def laps(handoffs: list[Handoff]) -> list[tuple[int, Handoff]]:
    """Each time that work came back without progress: (day, handoff), by day.

    Work comes back when it is refused or returned, or when it is passed on to a body that had itself passed it on.
    """
    found: list[tuple[int, Handoff]] = []
    passed: set[str] = set()
    for handoff in handoffs:
        if handoff.kind == "transfer":
            if handoff.to in passed:
                found.append((handoff.sent.date, handoff))
            passed.add(handoff.from_body)
        if handoff.state in BACK:
            found.append((handoff.since, handoff))
    found.sort(key=lambda x: (x[0], x[1].key))
    return found
