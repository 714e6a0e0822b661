"""Trying a connector out with no Kafka at all: what would be published, and why what is refused is refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, NamedTuple

from connectors.gateway.access import Access
from connectors.kit.contract import Closing, Finding, Record, Rejected, Report
from connectors.kit.intake import Intake, Outcome, Told
from connectors.kit.mapper import Mapper, MappingFailedError, NothingError, Said
from connectors.kit.mapping import Example
from connectors.kit.runner import mapper_of
from connectors.kit.spec import Spec
from connectors.kit.stating import UNSOUND, May, Stating
from connectors.kit.tools import UnknownLabelError
from schemas import cloudevents, codec
from schemas.problems import UnsoundEventError
from schemas.references import Keys
from streams.runtime.store import MemoryStore

_NO_KEY = bytes(16)
"""A trial writes nowhere, so that the key of references does not matter."""
_LABEL = re.compile(r"""\$label\(\s*["']([^"']+)["']""")
_FIELD = re.compile(r"\s*\w+\s*")
_OF_A_PERSON = re.compile(
    r"(^|_)(nir|nss|usagers?|allocataires?|foyers?|menages?|familles?|personnes?|individus?|demandeurs?|administres?|beneficiaires?"
    r"|habitants?|matricule|person|household|citizen)(_|$)",
    re.IGNORECASE,
)


class Suspicion(NamedTuple):
    """Something about the mapping that a person has to look at."""

    where: str
    mend: str


def stating(spec: Spec, bodies: Collection[str] | None, access: Access | None = None) -> Stating:
    """What states for a trial, by the policies of `access`."""
    file, may = spec.file, _may(spec, access)
    return Stating(file.body, file.system, codec.events(), Keys(_NO_KEY), 1, bodies, may)


def _may(spec: Spec, access: Access | None) -> May:
    return lambda type_, procedure: access is None or access.may_state(spec.file.body, type_, procedure)


async def dry_run(
    spec: Spec, bodies: Collection[str] | None, limit: int, access: Access | None = None
) -> AsyncIterator[Told]:
    """What would become of the first records of a source. Nothing is acknowledged, nothing is written."""
    topics = ("", "state", "dead-letters")
    intake = Intake(topics, mapper_of(spec), stating(spec, bodies, access), MemoryStore())
    source = spec.make()
    left = limit
    try:
        async with aclosing(source.read(None)) as reading:  # type: ignore[union-attr,type-var]
            async for batch in reading:
                records = batch.records[:left]
                left -= len(records)
                step = intake.take(records, None, move=False)
                intake._store.write(step.effects.state, 0)
                for told in step.told:
                    yield told
                if left <= 0:
                    return
    finally:
        if isinstance(source, Closing):
            await source.close()


async def check(spec: Spec, bodies: Collection[str], access: Access | None = None) -> Report:
    """The connector's own check, with what the kit can see."""
    findings = [
        Finding(
            spec.file.body in bodies,
            f"the directory has the body {spec.file.body}",
            "add the body to the directory, or name another --directory",
        )
    ]
    now = datetime.now(UTC).astimezone(spec.file.zone)
    findings.append(Finding(True, f"it is {now:%Y-%m-%d %H:%M} in {spec.file.time_zone}, by this machine's clock"))
    if not spec.is_sink:
        findings += [Finding(False, s.where, s.mend) for s in suspicions(mapper_of(spec))]
        findings += map(_without_labels, sorted(tables_without_labels(mapper_of(spec))))
        findings += [Finding(True, s.where, advice=s.mend) for s in circling(mapper_of(spec), spec.config.restless)]
    findings += [Finding(spec.is_sink, s.where, s.mend, s.mend) for s in forbidden(spec, _may(spec, access))]
    connector = spec.make()
    try:
        return Report([*findings, *(await connector.check()).findings])
    finally:
        if isinstance(connector, Closing):
            await connector.close()


def forbidden(spec: Spec, may: May) -> Iterator[Suspicion]:
    """What the connector is to state, as far as its file tells, and its body may not: each would be a dead letter.

    Of a sink nobody knows beforehand whether its receiver gives receipts.
    """
    kinds = {("handoff.received", None)} if spec.is_sink else {
        (one.states, one.constants.get("procedure")) for one in mapper_of(spec).mapping.events
    }  # fmt: skip
    for type_, procedure in sorted(kinds, key=str):
        if not may(type_, procedure):
            about = f" about {procedure}" if procedure else ""
            mend = "ask those who run the bus (relais bodies), or leave it out of the mapping"
            yield Suspicion(f"{spec.file.body} may not state {type_}{about}", mend)


def circling(made: Mapper, restless: Sequence[str]) -> Iterator[Suspicion]:
    """Dates that move whenever anything of the record changes, by a sink that writes into the same system, too."""
    for one in made.mapping.events:
        for name in restless:
            if any(re.search(rf"\b{re.escape(name)}\b", text) for text in (one.on or "", one.at or "")):
                mend = (
                    "take the day of the event itself if the system keeps one; and if a sink writes back into this system, "
                    "let it write where that does not count as a change (a table of its own), or the two go in circles"
                )
                yield Suspicion(f"{one.states} is dated by {name}: any change of the record states it again", mend)


def suspicions(made: Mapper) -> Iterator[Suspicion]:
    """Numbers of cases that seem to be of a person or a household."""
    mapping = made.mapping
    alone = mapping.case is not None and _FIELD.fullmatch(mapping.case) is not None
    mend = "compose the number with what tells requests apart, such as numero & '-' & dispositif & '-' & demande"
    if alone and mapping.identifies != "request":
        yield Suspicion(f"case: {mapping.case} names a {mapping.identifies}, not one request", mend)
    elif alone and _OF_A_PERSON.search(str(mapping.case).strip()):
        yield Suspicion(f"case: {mapping.case} seems to name a person or a household, not one request", mend)


def tables_without_labels(made: Mapper) -> set[str]:
    """Tables that expressions ask for a label and that the mapping does not have: each record waits until one is mapped."""
    mapping = made.mapping
    texts = [mapping.case, *(t for s in mapping.events for t in (s.when, s.on, s.at, *s.expressions.values()))]
    return {name for text in texts if text for name in _LABEL.findall(text)} - set(mapping.labels)


def _without_labels(table: str) -> Finding:
    advice = "correct its name, or map its labels under `labels`, or as they come: relais connector labels"
    return Finding(True, f"labels has no table {table}: every record with such a label waits", advice=advice)


class Shared:
    """Notices a case that several records open: its number then names more than one request."""

    def __init__(self) -> None:
        self._openings: Counter[str] = Counter()
        self._keys: set[tuple[str, str]] = set()

    def add(self, told: Told) -> None:
        """One record of a dry run."""
        for fact in told.facts:
            one = (fact.subject, told.record.key) if isinstance(told.record, Record) else None
            if fact.type == "case.opened" and one is not None and one not in self._keys:
                self._keys.add(one)
                self._openings[fact.subject] += 1

    def suspicion(self) -> Suspicion | None:
        """What to look at, if anything."""
        shared = sum(count > 1 for count in self._openings.values())
        if not shared:
            return None
        mend = "if they are several requests of one person or household, compose the number with what tells them apart"
        return Suspicion(f"{shared} of {len(self._openings)} cases are opened by several records", mend)


class Changing:
    """Notices records that come in several states and bear no version: read from the beginning again, they cannot be told from changes."""

    def __init__(self) -> None:
        self._states: Counter[str] = Counter()

    def add(self, told: Told) -> None:
        """One record of a dry run."""
        if isinstance(told.record, Record) and told.record.version is None and told.outcome is not Outcome.DUPLICATE:
            self._states[told.record.key] += 1

    def suspicion(self) -> Suspicion | None:
        """What to look at, if anything."""
        changing = sum(count > 1 for count in self._states.values())
        if not changing:
            return None
        mend = (
            "name what numbers them in `version` (a transition, a line of the log, the instant of the change), or make it part of the key; "
            "without, `offsets reset` states these again"
        )
        return Suspicion(f"{changing} of {len(self._states)} records come in several states, without a version", mend)


def told_json(told: Told, number: int) -> dict[str, Any]:
    """What became of a record, for programs."""
    refusal = told.refusal
    return {
        "record": number,
        "place": told.record.place or None,
        "outcome": told.outcome.value,
        "events": [cloudevents.render(fact.event) for fact in told.facts],
        "refusal": refusal and {"reason": refusal.reason.value, "field": refusal.field, "detail": refusal.detail},
        "label": told.label and {"table": told.label[0], "label": told.label[1]},
    }


def test(made: Mapper, stating: Stating) -> Iterator[tuple[str, str]]:
    """Run the mapping's own tests: the name of each, and what is wrong with it, empty if nothing."""
    for number, example in enumerate(made.mapping.tests, 1):
        yield example.name or f"test {number}", _tested(example, made, stating)


def _tested(example: Example, made: Mapper, stating: Stating) -> str:
    try:
        said = made.said(example.record)
        facts = [stating.fact(one, f"test-{i}", i) for i, one in enumerate(said)]
    except UnknownLabelError as error:
        return "" if example.waits == error.table else f"it waits for a label of {error.table}"
    except (Rejected, NothingError, *UNSOUND) as error:
        return "" if example.refused else f"it is refused: {_why(error)}"
    except MappingFailedError as error:
        return str(error)
    if example.events is None:
        return "it states events" if facts else "it states nothing"
    given = [{**one, "type": fact.type, "subject": fact.subject} for one, fact in zip(said, facts, strict=True)]
    return _compared(example.events, given)


def _compared(wanted: list[Said], given: list[Said]) -> str:
    if [one.get("type") for one in wanted] != [one["type"] for one in given]:
        return f"it states {', '.join(str(one['type']) for one in given) or 'nothing'}"
    for number, (one, other) in enumerate(zip(wanted, given, strict=True), 1):
        for name, value in one.items():
            if other.get(name) != value:
                return f"event {number}: {name} is {other.get(name)!r}, not {value!r}"
    return ""


def _why(error: Exception) -> str:
    if isinstance(error, UnsoundEventError):
        return "; ".join(f"{p.field}: {p.mend}" for p in error.problems)
    return str(error)
