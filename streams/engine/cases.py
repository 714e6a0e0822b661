"""One case: what the facts of one body's file say, folded in their order.

A fold looks at the facts of one case alone. It depends neither on the journey around it nor on the hour, so it is kept until
the case gets another fact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from streams.engine.facts import Claim, Copy, Fact
from streams.engine.order import Place, effective, fold_order, follows, places
from streams.engine.voices import Voices

Pair = frozenset[bytes]
Word = tuple[Place, bool]
"""A link or its undoing: its place, and whether it undoes."""


class CaseState(StrEnum):
    """Where a file stands."""

    OPEN = "open"
    WAITING = "waiting_for_person"
    SUSPENDED = "suspended"
    DECIDED = "decided"
    NOTIFIED = "notified"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


ENDED = frozenset({CaseState.WITHDRAWN, CaseState.CLOSED})


class Case:
    """The fold of one case. Dates are days since 1970-01-01."""

    def __init__(self, key: bytes, copies: Iterable[Copy]) -> None:
        self.key = key
        self.facts: list[Fact] = effective(ordered := fold_order(c.fact for c in copies))
        """The facts that take effect, in fold order."""
        first = ordered[0]
        self.body: str = first.body
        self.text: str = first.subject
        self.count: int = len(ordered)
        """Facts kept, those without effect too: a number that grows with every change."""
        self.conflicts: int = len(ordered) - len({f.identity for f in ordered})
        """Facts stated again under the same identity with another content."""
        self._unite(ordered)
        self.procedure = ""
        self.place: str | None = None
        self.visibility = "everyone"
        self.access_code: str | None = None
        self.state = CaseState.OPEN
        self.since: int = first.date
        self.started_on: int = first.date
        self.opened_on: int | None = None
        self.first_received_on: int | None = None
        """When a body seized first, though not competent, received the request (CRPA L114-3)."""
        self.outcome: str | None = None
        self.decided_on: int | None = None
        self.notified_on: int | None = None
        self.asked: list[str] = []
        self.asked_until: int | None = None
        self.steps: dict[str, dict[str, Any]] = {}
        self.statements: dict[bytes, list[Fact]] = {}
        """What this case says of each handoff, in fold order."""
        self.told: tuple[bytes, ...] = ()
        """Keys of the facts in `statements`."""
        self.acknowledgements: list[Fact] = []
        """Alerts that somebody took care of."""
        for fact in self.facts:
            self._hear(fact)

    def _hear(self, fact: Fact) -> None:
        if fact.procedure and not self.procedure:
            self.procedure = fact.procedure
        if fact.handoff is not None:
            self.statements.setdefault(fact.handoff, []).append(fact)
            self.told += (fact.key,)
        handler = _HANDLERS.get(fact.type)
        if handler:
            handler(self, fact)

    def extend(self, fact: Fact) -> bool:
        """Take one more fact, if it surely comes after all others and changes the effect of none: the same as folding all again.

        Returns False, having done nothing, if that is not sure.
        """
        facts = self.facts
        if len(facts) != self.count or fact.type in _REACHING_BACK or not follows(facts[-1], fact):
            return False
        if any(f.identity == fact.identity for f in facts):
            return False
        facts.append(fact)
        self.count += 1
        if fact.type in _LINKS:
            self._unite(facts)
        elif fact.refs or fact.to:
            self.own |= fact.own
            self.claims |= fact.claims
            self.voices.hear(fact)
            self.ties = (self.own, self.claims, self.links, self.voices.words)
        self._hear(fact)
        return True

    def _unite(self, ordered: list[Fact]) -> None:
        """What unites this case with others. Counts every kept fact, since union must never shrink; only cuts follow effect."""
        own: set[bytes] = set()
        claims: set[Claim] = set()
        self.voices = Voices()
        for fact in ordered:
            own |= fact.own
            if fact.refs:
                claims |= fact.claims
            self.voices.hear(fact)
        self.own = frozenset(own)
        self.claims = frozenset(claims)
        self.links: dict[Pair, Word] = {}
        """Its last word on each pair (case, reference) that it links or takes apart."""
        links = [fact for fact in self.facts if fact.type in _LINKS]
        if links:
            place = places(ordered)
            for fact in links:
                word = place(fact), fact.type == "correction.unlinked"
                self.links.update((frozenset((self.key, k)), word) for k, _ in fact.refs)
        self.ties = (self.own, self.claims, self.links, self.voices.words)
        """All that decides which journeys this case makes with others."""

    def move(self, state: CaseState, fact: Fact) -> None:
        """Enter a state at the date of a fact, unless already there."""
        if state is not self.state:
            self.state, self.since = state, fact.date

    def step(self, fact: Fact) -> dict[str, Any]:
        """The step that a fact is about, with the narrowest visibility that was said of it."""
        id_: str = fact.data["step"]
        step = self.steps.setdefault(id_, {"step": id_, "visibility": "everyone"})
        if fact.visibility is not None and _WIDTH[fact.visibility] < _WIDTH[step["visibility"]]:
            step["visibility"] = fact.visibility
        return step

    @property
    def ended(self) -> bool:
        """Whether nothing more is expected of this file."""
        return self.state in ENDED


_WIDTH = {"owner": 0, "person": 1, "bodies": 2, "everyone": 3}
"""How many see an element, from few to many."""

_REACHING_BACK = frozenset({"correction.retracted"})
"""Types that change what an earlier fact does."""

_LINKS = frozenset({"correction.linked", "correction.unlinked"})
_Handler = Callable[[Case, Fact], None]
_HANDLERS: dict[str, _Handler] = {}


def _on(type_: str) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        _HANDLERS[type_] = handler
        return handler

    return register


@_on("case.opened")
def _opened(case: Case, fact: Fact) -> None:
    if case.opened_on is None:
        received = fact.data["received_on"]
        case.opened_on = fact.date if received is None else received
        case.place = fact.data["place"]
        case.first_received_on = fact.data["first_received_on"]
        case.access_code = fact.data["access_code"]
        case.visibility = fact.visibility or "everyone"
        case.since = fact.date


@_on("case.pieces-requested")
def _pieces_requested(case: Case, fact: Fact) -> None:
    case.asked = [*case.asked, *(p for p in fact.data["pieces"] if p not in case.asked)]
    case.asked_until = fact.data["due_on"]
    if case.state is CaseState.OPEN:
        case.move(CaseState.WAITING, fact)


@_on("case.pieces-received")
def _pieces_received(case: Case, fact: Fact) -> None:
    received = fact.data["pieces"]
    case.asked = [] if fact.data["complete"] else [p for p in case.asked if p not in received]
    if not case.asked:
        case.asked_until = None
        if case.state is CaseState.WAITING:
            case.move(CaseState.OPEN, fact)


@_on("case.suspended")
def _suspended(case: Case, fact: Fact) -> None:
    if case.state in (CaseState.OPEN, CaseState.WAITING):
        case.move(CaseState.SUSPENDED, fact)


@_on("case.resumed")
def _resumed(case: Case, fact: Fact) -> None:
    if case.state is CaseState.SUSPENDED:
        case.move(CaseState.WAITING if case.asked else CaseState.OPEN, fact)


@_on("case.decided")
def _decided(case: Case, fact: Fact) -> None:
    case.outcome = fact.data["outcome"]
    case.decided_on = fact.date
    if not case.ended:
        case.move(CaseState.DECIDED, fact)


@_on("case.notified")
def _notified(case: Case, fact: Fact) -> None:
    case.notified_on = fact.date
    if not case.ended:
        case.move(CaseState.NOTIFIED, fact)


@_on("case.withdrawn")
def _withdrawn(case: Case, fact: Fact) -> None:
    case.move(CaseState.WITHDRAWN, fact)


@_on("case.closed")
def _closed(case: Case, fact: Fact) -> None:
    if case.state is not CaseState.WITHDRAWN:
        case.move(CaseState.CLOSED, fact)


@_on("case.reopened")
def _reopened(case: Case, fact: Fact) -> None:
    if case.state not in (CaseState.OPEN, CaseState.WAITING, CaseState.SUSPENDED):
        case.outcome = case.decided_on = case.notified_on = None
        case.move(CaseState.OPEN, fact)


@_on("case.step-started")
def _step_started(case: Case, fact: Fact) -> None:
    case.step(fact).setdefault("started_on", fact.date)


@_on("case.step-completed")
def _step_completed(case: Case, fact: Fact) -> None:
    case.step(fact)["completed_on"] = fact.date


@_on("alert.acknowledged")
def _acknowledged(case: Case, fact: Fact) -> None:
    case.acknowledgements.append(fact)
