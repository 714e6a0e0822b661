"""Answers to questions about a journey: what its status says, projected for who asks, with clocks derived anew from facts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import structlog

from connectors.gateway import words
from connectors.gateway.words import Json
from connectors.status.model import ReadModel, Row, Snapshot
from schemas.codec import Codec, DecodeError
from schemas.references import Keys, ReferenceFormatError, parse
from streams.engine.book import Book
from streams.engine.cases import ENDED, Case
from streams.engine.clocktypes import ClockContext
from streams.engine.consequences import Standing, appeal, standing
from streams.engine.counting import local_day
from streams.engine.facts import Copy, Fact, Reader
from streams.engine.handoffs import Handoff, stated
from streams.engine.steps import steps
from streams.engine.view import fold
from streams.engine.visibility import (
    BodyViewer,
    CaseView,
    Operator,
    Person,
    Projected,
    Viewer,
    project,
    project_alert,
    project_handoff,
    sees_fact,
    without_journey_ids,
)

log = structlog.get_logger()


def wall_clock() -> int:
    """The wall clock, ms since the epoch."""
    return time.time_ns() // 1_000_000


class Asking:
    """Answers about journeys. Synchronous."""

    def __init__(
        self, model: ReadModel, keys: Keys, events: Codec, book: Book, now: Callable[[], int] = wall_clock
    ) -> None:
        """`now`: ms since the epoch; what silence has done by then is told."""
        self._model = model
        self._now = now
        self._keys = keys
        self._reader = Reader(events, keys)
        self.book = book

    def journey(self, reference: str, viewer: Viewer) -> Json | None:
        """The journey of any reference (text) as a viewer sees it; None if it sees nothing.

        Raises `ReferenceFormatError`, `NotReadyError`.
        """
        key = self._keys.of(parse(reference).text)
        with self._model.snapshot() as now:
            row = now.resolve(key)
            if row is None:
                return None
            seen = project(row.datum, viewer, self.book)
            if seen is None:
                return None
            answer: Json = without_journey_ids(self._answer(now, row, seen, viewer))
            return {"reference": reference} | answer

    def access_codes(self, reference: str) -> list[str]:
        """Salted hashes of the codes that open the journey of a reference; empty for an unknown one."""
        try:
            key = self._keys.of(parse(reference).text)
        except ReferenceFormatError:
            return []
        with self._model.snapshot() as now:
            row = now.resolve(key)
            return [c["access_code"] for c in row.datum["cases"] if c["access_code"]] if row else []

    def journey_id(self, reference: str) -> str | None:
        """A journey id of the journey of a reference: a secret that lets its holder join. For an exchange against the code."""
        with self._model.snapshot() as now:
            row = now.resolve(self._keys.of(parse(reference).text))
            facts = self._facts(now, row) if row else []
        found = {
            text
            for fact in facts
            for text in fact.fact.references
            if text.startswith("journey:") and parse(text).issuer == fact.fact.body
        }
        return min(found, default=None)

    def shows(self, facts: Mapping[bytes, str]) -> bool:
        """Whether all these facts (key -> subject) are in their journeys, and statuses list their subjects."""
        with self._model.snapshot() as now:
            return now.has_facts(list(facts)) and all(
                now.resolve(self._keys.of(subject)) is not None for subject in set(facts.values())
            )

    def ready(self) -> None:
        """Raises `NotReadyError` while there is nothing to read."""
        self._model.pulse()

    def _facts(self, now: Snapshot, row: Row) -> list[Copy]:
        found = []
        for kept in now.facts_of([self._keys.of(case["case"]) for case in row.datum["cases"]]):
            try:
                found.append(self._reader.copy(kept["value"], kept["admitted"], kept["rank"]))
            except DecodeError:
                log.warning("a fact is not readable by this version")
        return found

    def _answer(self, now: Snapshot, row: Row, seen: Projected, viewer: Viewer) -> Json:
        copies = self._facts(now, row)
        cases, admitted = fold(copies), {copy.fact.key: copy.admitted for copy in copies}
        handoffs = now.handoffs([h.key for h in seen.handoffs])
        shown = {case.case: case for case in seen.cases if case.case is not None}
        alerts = now.alerts_of([self._keys.of(case["case"]) for case in row.datum["cases"]])
        facts = [
            fact for case in cases.values() if case.text in shown for fact in _shown(case, viewer, shown[case.text])
        ]
        body = viewer.body if isinstance(viewer, BodyViewer) else None
        explained = self._handoff_clocks(cases, admitted, viewer)
        return {
            "door": seen.door,
            "procedure": self._procedure(seen.procedure, seen.opened_on),
            "opened_on": words.day(seen.opened_on),
            "settling": not row.live,
            "degraded": seen.degraded,
            "cases": [self._case(case, cases, admitted, viewer) for case in seen.cases],
            "steps": self._steps(seen, facts, viewer),
            "handoffs": [
                {
                    "from": words.body(self.book, h.from_body),
                    "to": words.body(self.book, h.to),
                    "kind": h.kind,
                    "step": h.step,
                    "state": h.state,
                    "sent_on": words.day(h.sent_on),
                    "since": words.day(h.since),
                    "due_on": words.day(h.due_on),
                    "record": words.handoff(record, body, self.book)
                    if (record := handoffs.get(h.key)) is not None and project_handoff(record, viewer) is not None
                    else None,
                    "clocks": explained.get(h.key, []) if not isinstance(viewer, Person) else [],
                }
                for h in seen.handoffs
            ],
            "alerts": [words.alert(a, self.book) for a in alerts if project_alert(a, viewer) is not None],
        }

    def _procedure(self, procedure: str | None, opened_on: int | None) -> Json | None:
        if procedure is None:
            return None
        journey = self.book.rules(procedure, opened_on or 0).journey
        return {"id": procedure, "title": words.text(journey.title) if journey.procedure == procedure else None}

    def _case(self, seen: CaseView, cases: Mapping[bytes, Case], admitted: Mapping[bytes, int], viewer: Viewer) -> Json:
        shown: Json = {"body": words.body(self.book, seen.body), "state": seen.state, "neutral": seen.neutral}
        if seen.neutral or seen.case is None:
            return shown
        kept = cases.get(self._keys.of(seen.case))
        standings = self._standings(kept)
        return shown | {
            "case": seen.case,
            "handed": seen.handed,
            "procedure": seen.procedure,
            "place": seen.place,
            "opened_on": words.day(seen.opened_on),
            "since": words.day(seen.since),
            "outcome": seen.outcome,
            "decided_on": words.day(seen.decided_on),
            "notified_on": words.day(seen.notified_on),
            "asked": list(seen.asked),
            "asked_until": words.day(seen.asked_until),
            "steps": [
                {
                    "step": s["step"],
                    "started_on": words.day(s["started_on"]),
                    "completed_on": words.day(s["completed_on"]),
                }
                for s in seen.steps
            ],
            "clocks": self._clocks(seen, kept, standings, admitted, viewer),
            "opposability": words.opposability(appeal(standings, _shown(kept, viewer, seen))),
            "conflicts": seen.conflicts,
            "contact": words.contact(self.book, seen.body, seen.procedure),
        }

    def _standings(self, case: Case | None) -> list[Standing]:
        """The clocks of a case as they stand now, those that silence started included."""
        if case is None:
            return []
        rules = self.book.rules(case.procedure, case.started_on).case
        calendar = self.book.calendar(case.body)
        context = ClockContext(calendar, calendar.zone, case.first_received_on)
        return standing(rules, case.facts, context, local_day(self._now(), context.zone), explain=True)

    def _clocks(
        self,
        seen: CaseView,
        case: Case | None,
        standings: list[Standing],
        admitted: Mapping[bytes, int],
        viewer: Viewer,
    ) -> list[Json]:
        """The limits that the status lists, and those that silence started; without derivation while facts are on their way."""
        shown = {fact.key for fact in _shown(case, viewer, seen)}
        hidden = [fact.key for fact in case.facts if fact.key not in shown] if case is not None else []
        derived = {one.rule.id: words.clock(one, standings, admitted, hidden) for one in standings}
        listed = {c["rule"] for c in seen.clocks}
        return [
            *(
                derived.get(c["rule"])
                or {"rule": c["rule"], "state": c["state"], "due_on": words.day(c["due_on"]), "derivation": []}
                for c in seen.clocks
            ),
            *(derived[one.rule.id] for one in standings if one.follows and one.rule.id not in listed),
        ]

    def _handoff_clocks(
        self, cases: Mapping[bytes, Case], admitted: Mapping[bytes, int], viewer: Viewer
    ) -> dict[bytes, list[Json]]:
        """The limits of the handoffs to which a viewer is a party, derived anew."""
        found: dict[bytes, list[Json]] = {}
        for said in stated(cases.values()):
            if isinstance(viewer, BodyViewer) and viewer.body not in (said.sent.body, said.sent.to):
                continue
            made = Handoff(said, self.book)
            facts = [said.sent, *said.others]
            for rule, _ in made.runs:
                calendar = self.book.calendar(made.from_body if rule.calendar_of == "sender" else made.to)
                context = ClockContext(calendar, calendar.zone)
                for one in standing([rule], facts, context, local_day(self._now(), context.zone), explain=True):
                    found.setdefault(said.key, []).append(words.clock(one, (), admitted))
        return found

    def _steps(self, seen: Projected, facts: list[Fact], viewer: Viewer) -> list[Json]:
        """Steps of the definition by what the viewer may know; none for a body that has no file of that procedure."""
        first = next(iter(sorted((c for c in seen.cases if not c.neutral), key=lambda c: c.handed)), None)
        if first is None:
            return []
        journey = self.book.rules(first.procedure or "", first.opened_on or first.since or 0).journey
        roles = {"applicant"}
        if isinstance(viewer, BodyViewer):
            known = self.book.body(viewer.body)
            roles = {role.id for role in journey.roles if known is None or known.kind in role.bodies}
        ended = all(c.state in ENDED or c.state == "ended" for c in seen.cases)
        return [
            {
                "step": view.step.id,
                "title": words.text(view.step.title),
                "state": view.state.value,
                "since": words.day(view.since),
                "role": view.step.role,
                "trigger": words.text(view.step.trigger),
                "citizen": words.text(view.step.citizen),
                "articles": [article.ref for article in view.step.articles],
            }
            for view in steps(journey, facts, ended)
            if isinstance(viewer, Operator) or not roles.intersection(view.step.hidden_from)
        ]


def _shown(case: Case | None, viewer: Viewer, seen: CaseView) -> list[Fact]:
    """The facts of a case that a viewer may know."""
    if case is None:
        return []
    told = ((fact, fact.visibility or case.visibility) for fact in case.facts)
    return [fact for fact, visibility in told if sees_fact(case.body, visibility, viewer, handed=seen.handed)]
