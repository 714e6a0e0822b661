"""What is remembered between two views of the same root: files, groupings and handoffs that have not changed.

Everything here follows from facts and rules alone. A view with an empty memo gives the same as one with a full one; only slower.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from schemas.codec import bus
from streams.engine import claims, clocks
from streams.engine.alerts import NEVER, raises
from streams.engine.book import Book
from streams.engine.cases import Case
from streams.engine.claims import Journey
from streams.engine.clocktypes import ClockContext, ClockRun
from streams.engine.handoffs import Handoff, laps, stated
from streams.engine.rules import ClockRule
from streams.engine.status import case_record, writer

Runs = list[tuple[ClockRule, ClockRun]]


class Output(NamedTuple):
    """One output value."""

    topic: str
    """statuses, handoffs or alerts."""
    value: bytes
    digest: bytes
    """Digest of the content, 8 bytes."""


def output(topic: str, value: bytes) -> Output:
    """An output of encoded content."""
    return Output(topic, value, blake2b(value, digest_size=8).digest())


def next_due(runs: Runs) -> int:
    """First instant at which one of these clocks warns or runs out, ms; 0 if one is known to have done so before."""
    acting = [run for rule, run in runs if raises(rule, run)]
    if any(run.episodes or run.warned for run in acting):
        return 0
    first = NEVER
    for run in acting:
        if run.due_at is not None and run.stopped_on is None:
            first = min(first, run.due_at, *(instant for _, instant in run.warns))
    return first


class File:
    """One case with what follows from it alone."""

    __slots__ = ("_by_rule", "_rules", "case", "count", "due", "purge_at", "runs", "told", "written")

    def __init__(self, case: Case, book: Book, before: File | None) -> None:
        """`before`: the same case some facts ago; clocks that do not look at the facts since are not run again."""
        self.case = case
        self.count = case.count
        self._rules = book.rules(case.procedure, case.started_on)
        calendar = book.calendar(case.body)
        context = ClockContext(calendar, calendar.zone, case.first_received_on)
        if before is not None and before.case is case and before._rules is self._rules:
            self._by_rule: ByRule = dict(before._by_rule)
            for type_ in {f.type for f in case.facts[before.count :]}:
                for rule in self._rules.concerned.get(type_, ()):
                    self._by_rule[rule.id] = (rule, clocks.run(rule, case.facts, context))
        else:
            self._by_rule = _run_all(case, self._rules.case, context)
        self.runs: Runs = [(rule, run) for rule, run in self._by_rule.values() if run is not None]
        self.written: bytes = writer().case(case_record(case, self.runs))
        speaks = book.connected(case.body, case.procedure, case.started_on)
        self.due: int = 0 if case.conflicts else next_due(self.runs) if speaks else NEVER
        """Before this instant (ms) there is no alert about it."""
        days = self._rules.journey.retention_days
        self.purge_at: int = NEVER if days is None or not case.ended else (case.since + days + 1) * 86_400_000
        """Instant at which its facts are to be dropped, ms."""
        self.told = (case.told, case.procedure, case.started_on, case.visibility) if case.told else None
        """All that handoffs depend on."""


ByRule = dict[str, tuple[ClockRule, ClockRun | None]]


def _run_all(case: Case, rules: Iterable[ClockRule], context: ClockContext) -> ByRule:
    """Each clock of a case, by rule; None for one that nothing starts."""
    types = {f.type for f in case.facts}
    return {
        rule.id: (rule, None if rule.begins.isdisjoint(types) else clocks.run(rule, case.facts, context))
        for rule in rules
    }


class Passage:
    """One handoff as it is written."""

    __slots__ = ("due", "handoff", "loops", "output", "written")

    def __init__(self, handoff: Handoff, loops: int) -> None:
        self.handoff = handoff
        self.loops = loops
        self.written: bytes = writer().passage(handoff.passage())
        self.output = output("handoffs", bus().encode("handoff", handoff.record(loops)))
        self.due: int = next_due(handoff.runs) if handoff.connected else NEVER


class Passages:
    """The handoffs of one journey with what follows from them alone."""

    __slots__ = ("_by_key", "due", "handoffs", "outputs", "told", "written")

    def __init__(self, files: list[File], book: Book, before: Passages | None) -> None:
        self.told = [f.told for f in files]
        known = before._by_key if before else {}
        self.handoffs: list[Handoff] = []
        for said in stated(f.case for f in files):
            old = known.get(said.key)
            same = old is not None and old.handoff.signature == said.signature
            self.handoffs.append(old.handoff if same and old else Handoff(said, book))
        circles = laps(self.handoffs)
        self._by_key: dict[bytes, Passage] = {}
        for handoff in self.handoffs:
            loops = sum(1 for day, h in circles if h.to == handoff.to and day <= handoff.sent.date)
            old = known.get(handoff.key)
            same = old is not None and old.handoff is handoff and old.loops == loops
            self._by_key[handoff.key] = old if same and old else Passage(handoff, loops)
        passages = self._by_key.values()
        self.written: list[bytes] = [p.written for p in passages]
        self.outputs: dict[bytes, Output] = {key: p.output for key, p in self._by_key.items()}
        self.due: int = 0 if circles else min((p.due for p in passages), default=NEVER)
        """Before this instant (ms) there is no alert about them."""


class Memo:
    """The memory of one root under one rule book."""

    __slots__ = ("_files", "_groups", "_passages", "_seen", "book")

    def __init__(self, book: Book) -> None:
        self.book = book
        self._files: dict[bytes, File] = {}
        self._groups: tuple[int, dict[bytes, Any], list[tuple[list[bytes], list[bytes]]]] | None = None
        self._passages: dict[bytes, Passages] = {}
        self._seen: dict[bytes, tuple[dict[str, Any], Output]] = {}

    def journeys(self, cases: Mapping[bytes, Case], inert: Collection[bytes]) -> list[Journey]:
        """The journeys that the cases make; worked out again only if something that unites has changed."""
        known = self._groups
        if known is not None and known[0] == len(inert) and len(known[1]) == len(cases):
            ties = known[1]
            if all(ties.get(key) == case.ties for key, case in cases.items()):
                return [Journey([cases[k] for k in keys], references) for keys, references in known[2]]
        found = claims.journeys(cases.values(), inert, self.book.convention)
        groups = [([c.key for c in j.cases], j.references) for j in found]
        self._groups = (len(inert), {k: c.ties for k, c in cases.items()}, groups)
        return found

    def file(self, case: Case) -> File:
        """A case with what follows from it."""
        known = self._files.get(case.key)
        if known is None or known.case is not case or known.count != case.count:
            known = self._files[case.key] = File(case, self.book, known)
        return known

    def passages(self, key: bytes, files: list[File]) -> Passages:
        """The handoffs of the journey whose first case is `key`."""
        known = self._passages.get(key)
        if known is None or known.told != [f.told for f in files]:
            known = self._passages[key] = Passages(files, self.book, known)
        return known

    def alert(self, key: bytes, datum: dict[str, Any]) -> Output:
        """An alert, encoded again only if it differs."""
        known = self._seen.get(key)
        if known is None or known[0] != datum:
            known = self._seen[key] = (datum, output("alerts", bus().encode("alert", datum)))
        return known[1]


def case_clocks(case: Case, book: Book, explain: bool = False) -> Runs:
    """The time limits of one case, by its own procedure and the rules in force when it began."""
    calendar = book.calendar(case.body)
    context = ClockContext(calendar, calendar.zone, case.first_received_on)
    rules = book.rules(case.procedure, case.started_on).case
    runs = ((rule, clocks.run(rule, case.facts, context, explain)) for rule in rules)
    return [(rule, run) for rule, run in runs if run is not None]
