"""Who may see what: the only way out of a status, a handoff or an alert to anyone.

A body sees its own cases wholly, and those that were handed over to it by a transfer as far as bodies may; of the others of the
journey only which body has a file and whether it is still open, and the handoffs to which it is a party. A person who holds the code
sees what is meant for everyone or for the person. Operators see all. A body that is not in the journey sees nothing, and is told no more
than of an unknown reference. Nobody sees the keys of references, the hash of a code, or a journey id: whoever knows a journey id may
join the journey.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.definitions import Journey
from streams.engine.book import Book
from streams.engine.cases import ENDED
from streams.engine.handed import handed_to

Datum = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has shown the code of a case of the journey."""


@dataclass(frozen=True, slots=True)
class BodyViewer:
    """An agent or a program of a body."""

    body: str


@dataclass(frozen=True, slots=True)
class Operator:
    """Who runs the bus, or answers for it."""


Viewer = Person | BodyViewer | Operator

IN_PROGRESS = "in_progress"
ENDED_STATE = "ended"
"""The two neutral states: all that a body learns of another body's file."""

_TO_PERSON = frozenset({"everyone", "person"})
_TO_BODIES = frozenset({"everyone", "bodies"})
_JOURNEY_ID = re.compile(r"journey:[a-z0-9][a-z0-9-]{0,62}[a-z0-9]:[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class CaseView:
    """One file as a viewer sees it. `neutral`: only `body` and `state` are told; `handed`: it was handed over to the body that looks."""

    body: str
    state: str
    neutral: bool
    visibility: str
    case: str | None = None
    procedure: str | None = None
    place: str | None = None
    opened_on: int | None = None
    since: int | None = None
    outcome: str | None = None
    decided_on: int | None = None
    notified_on: int | None = None
    asked: tuple[str, ...] = ()
    asked_until: int | None = None
    steps: tuple[Datum, ...] = ()
    clocks: tuple[Datum, ...] = ()
    conflicts: int = 0
    handed: bool = False


@dataclass(frozen=True, slots=True)
class PassageView:
    """One handoff in short as a viewer sees it."""

    key: bytes
    """Key of the handoff, to look up its record; never shown."""
    from_body: str
    to: str
    kind: str
    step: str | None
    state: str
    visibility: str
    sent_on: int
    since: int
    due_on: int | None


@dataclass(frozen=True, slots=True)
class Projected:
    """A status as a viewer sees it. Dates are days since 1970-01-01."""

    door: str | None
    procedure: str | None
    opened_on: int | None
    cases: tuple[CaseView, ...]
    handoffs: tuple[PassageView, ...]
    degraded: bool


def project(status: Datum, viewer: Viewer, book: Book) -> Projected | None:
    """What a viewer sees of a status (bus record); None if it is not in the journey, or nothing is for it."""
    if isinstance(viewer, BodyViewer) and not takes_part(status, viewer.body):
        return None
    hidden = _Hidden(status, viewer, book)
    cases = tuple(seen for case in status["cases"] if (seen := _case(case, viewer, hidden)) is not None)
    handoffs = tuple(_passage(h) for h in status["handoffs"] if not hidden.passage(h) and _sees_passage(h, viewer))
    if not cases and not handoffs:
        return None
    known = {c.case for c in cases if not c.neutral}
    told = status["door"] in known
    return Projected(
        door=status["door"] if told else None,
        procedure=status["procedure"] if told else None,
        opened_on=status["opened_on"] if told else None,
        cases=cases,
        handoffs=handoffs,
        degraded=status["degraded"],
    )


def takes_part(status: Datum, body: str) -> bool:
    """Whether a body is in a journey: it has a file, or is a party to a handoff."""
    return any(c["body"] == body for c in status["cases"]) or any(
        body in (h["from_body"], h["to"]) for h in status["handoffs"]
    )


def project_handoff(record: Datum, viewer: Viewer) -> Datum | None:
    """The whole handoff record, for its parties and for operators; None for anyone else."""
    if isinstance(viewer, Operator):
        return record
    if isinstance(viewer, BodyViewer) and viewer.body in (record["from_body"], record["to"]):
        return record
    return None


def for_addressee(record: Datum, body: str) -> Datum | None:
    """A handoff record as the body gets it to which it is addressed, without journey ids; None for any other body."""
    seen = project_handoff(record, BodyViewer(body)) if record["to"] == body else None
    found: Datum | None = None if seen is None else without_journey_ids(seen)
    return found


def project_alert(alert: Datum, viewer: Viewer) -> Datum | None:
    """An alert, for the body that must act, for the other body of the handoff, and for operators."""
    if isinstance(viewer, Operator):
        return alert
    if isinstance(viewer, BodyViewer) and viewer.body in (alert["body"], alert["other"]):
        return alert
    return None


def sees_fact(body: str, visibility: str | None, viewer: Viewer, *, handed: bool = False) -> bool:
    """Whether a viewer may learn that a body stated a fact of this visibility (None: everyone). `handed`: its file was handed over."""
    if isinstance(viewer, Operator):
        return True
    if isinstance(viewer, BodyViewer):
        return viewer.body == body or (handed and (visibility or "everyone") in _TO_BODIES)
    return (visibility or "everyone") in _TO_PERSON


def without_journey_ids(value: Any) -> Any:
    """A JSON value in which every text that bears a journey id has lost it: the last gate of every output."""
    if isinstance(value, str):
        return _JOURNEY_ID.sub("journey:…", value) if "journey:" in value else value
    if isinstance(value, dict):
        return {without_journey_ids(name): without_journey_ids(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_journey_ids(item) for item in value]
    return value


class _Hidden:
    """What journey definitions hide from the roles that a viewer plays, with all that follows from it."""

    def __init__(self, status: Datum, viewer: Viewer, book: Book) -> None:
        self._viewer = viewer.body if isinstance(viewer, BodyViewer) else None
        self.handed = handed_to(status, viewer.body) if isinstance(viewer, BodyViewer) else frozenset[str]()
        """Files that were handed over to the body that looks."""
        self.steps: set[str] = set()
        """Steps that must not be shown."""
        self._passages: set[bytes] = set()
        self._bodies: set[str] = set()
        if isinstance(viewer, Operator):
            return
        journeys = {
            (journey := book.rules(c["procedure"] or "", c["opened_on"] or c["since"]).journey).digest: journey
            for c in status["cases"]
        }
        for journey in journeys.values():
            roles = self._roles(journey, viewer, book)
            steps = {step.id for step in journey.steps if roles.intersection(step.hidden_from)}
            self.steps |= steps
            for passage in status["handoffs"]:
                sort = journey.handoff(passage["kind"], passage)
                if passage["step"] in steps or (sort is not None and roles.intersection(sort.hidden_from)):
                    self._passages.add(passage["handoff"])
        if self._passages:
            self._follow(status["handoffs"])

    @staticmethod
    def _roles(journey: Journey, viewer: Viewer, book: Book) -> set[str]:
        """Roles that a viewer may play; all of them for a body of which nothing is known."""
        if not isinstance(viewer, BodyViewer):
            return {"applicant"}
        known = book.body(viewer.body)
        return {role.id for role in journey.roles if known is None or known.kind in role.bodies}

    def _follow(self, passages: Sequence[Datum]) -> None:
        """A body that was reached by hidden handoffs alone is hidden, and so is whom it alone reached."""
        while True:
            gone = {
                p["to"] for p in passages
                if p["to"] != self._viewer and p["to"] not in self._bodies
                and all(self._is_hidden(q) for q in passages if q["to"] == p["to"])
            }  # fmt: skip
            if not gone:
                return
            self._bodies |= gone

    def _is_hidden(self, passage: Datum) -> bool:
        return passage["handoff"] in self._passages or passage["from_body"] in self._bodies

    def case(self, case: Datum) -> bool:
        """Whether the existence of a file is hidden."""
        return case["body"] in self._bodies

    def passage(self, passage: Datum) -> bool:
        """Whether a handoff is hidden; never from its parties."""
        return self._viewer not in (passage["from_body"], passage["to"]) and (
            self._is_hidden(passage) or passage["to"] in self._bodies
        )


def _case(case: Datum, viewer: Viewer, hidden: _Hidden) -> CaseView | None:
    visibility = case["visibility"]
    if isinstance(viewer, Person) and (visibility not in _TO_PERSON or hidden.case(case)):
        return None
    handed = case["case"] in hidden.handed
    if isinstance(viewer, BodyViewer) and viewer.body != case["body"] and not handed:
        if visibility not in _TO_BODIES or hidden.case(case):
            return None
        state = ENDED_STATE if case["state"] in ENDED else IN_PROGRESS
        return CaseView(body=case["body"], state=state, neutral=True, visibility=visibility)
    audience = _TO_PERSON if isinstance(viewer, Person) else _TO_BODIES if handed else None
    return CaseView(
        body=case["body"],
        state=case["state"],
        neutral=False,
        visibility=visibility,
        case=case["case"],
        procedure=case["procedure"],
        place=case["place"],
        opened_on=case["opened_on"],
        since=case["since"],
        outcome=case["outcome"],
        decided_on=case["decided_on"],
        notified_on=case["notified_on"],
        asked=tuple(case["asked"]),
        asked_until=case["asked_until"],
        steps=tuple(
            s
            for s in case["steps"]
            if audience is None or (s["step"] not in hidden.steps and s["visibility"] in audience)
        ),
        clocks=tuple(case["clocks"]),
        conflicts=case["conflicts"] if audience is None else 0,
        handed=handed,
    )


def _sees_passage(passage: Datum, viewer: Viewer) -> bool:
    if isinstance(viewer, Person):
        return passage["visibility"] in _TO_PERSON
    return isinstance(viewer, Operator) or viewer.body in (passage["from_body"], passage["to"])


def _passage(passage: Datum) -> PassageView:
    return PassageView(
        key=passage["handoff"],
        from_body=passage["from_body"],
        to=passage["to"],
        kind=passage["kind"],
        step=passage["step"],
        state=passage["state"],
        visibility=passage["visibility"],
        sent_on=passage["sent_on"],
        since=passage["since"],
        due_on=passage["due_on"],
    )
