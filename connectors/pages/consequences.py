"""What a fact would change if it were stated: the view of the journey with it, beside the view without it. Pure but for the look."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connectors.pages import labels
from connectors.pages.site import Site
from schemas.codec import bus
from schemas.references import parse
from streams.engine.book import Book
from streams.engine.cases import Case
from streams.engine.clocktypes import ClockRun, State
from streams.engine.facts import Copy, Reader
from streams.engine.handoffs import Handoff, stated
from streams.engine.rules import ClockRule
from streams.engine.view import case_clocks, fold, view
from streams.engine.words import day_in_words, explained, summary

Cases = Mapping[bytes, Case]


@dataclass(frozen=True, slots=True)
class Consequence:
    """One thing that would change."""

    what: str
    before: str
    after: str
    why: tuple[str, ...] = ()
    """New lines of the derivation."""


def consequences(site: Site, body: str, value: bytes) -> list[Consequence]:
    """What a fact of a body, as its bytes, would change of what that body may see."""
    reader = Reader(site.events, site.keys)
    now_ms = time.time_ns() // 1_000_000
    new = reader.copy(value, now_ms)
    copies = {copy.fact.key: copy for copy in _known(site, reader, body, new)}
    before, after = fold(copies.values()), fold((copies | {new.fact.key: new}).values())
    key = new.fact.case
    found = _of_case(before.get(key), after[key], site.book) if key in after else []
    found += _of_handoffs(before, after, body, site.book)
    found += _of_alerts(before, after, body, site.book, now_ms)
    return found


def _known(site: Site, reader: Reader, body: str, new: Copy) -> list[Copy]:
    """The facts of the body's own journey, and of the handoff if the body is a party to it; of no other that it names."""
    with site.model.snapshot() as now:
        keys = [new.fact.case]
        if new.fact.handoff is not None:
            record = now.handoffs([new.fact.handoff]).get(new.fact.handoff)
            if record is not None and body in (record["from_body"], record["to"]):
                keys.append(new.fact.handoff)
        rows = {row.key: row for key in keys if (row := now.resolve(key)) is not None}
        cases = {site.keys.of(c["case"]) for row in rows.values() for c in row.datum["cases"]}
        return [reader.copy(kept["value"], kept["admitted"], kept["rank"]) for kept in now.facts_of(cases)]


def _of_case(before: Case | None, after: Case, book: Book) -> list[Consequence]:
    found = []
    states = [labels.CASE_STATES[case.state.value] if case else "—" for case in (before, after)]
    if states[0] != states[1]:
        found.append(Consequence("État du dossier", states[0], states[1]))
    old = {rule.id: run for rule, run in case_clocks(before, book, explain=True)} if before else {}
    for rule, run in case_clocks(after, book, explain=True):
        found += _of_clock(rule, old.get(rule.id), run)
    return found


def _of_clock(rule: ClockRule, before: ClockRun | None, after: ClockRun) -> list[Consequence]:
    if before is None or before.state is State.NOT_STARTED:
        if after.state is State.NOT_STARTED:
            return []
        first = "n'est pas parti"
    else:
        first = summary(before, "fr")
    last = summary(after, "fr")
    if first == last:
        return []
    if after.started_on is not None and (before is None or before.started_on != after.started_on):
        last = f"Part le {day_in_words(after.started_on, 'fr')}. {last}"
    known = set(explained(before, "fr")) if before else set()
    why = tuple(line for line in explained(after, "fr") if line not in known)
    return [Consequence(f"Délai : {rule.clock.title.fr}", first, last, why)]


def _of_handoffs(before: Cases, after: Cases, body: str, book: Book) -> list[Consequence]:
    old = {h.key: h for h in _handoffs(before.values(), body, book)}
    found = []
    for handoff in _handoffs(after.values(), body, book):
        states = [_told(h) if h else "—" for h in (old.get(handoff.key), handoff)]
        if states[0] != states[1]:
            what = f"Passage de {labels.body(book, handoff.from_body)} à {labels.body(book, handoff.to)}"
            found.append(Consequence(what, states[0], states[1]))
    return found


def _handoffs(cases: Iterable[Case], body: str, book: Book) -> list[Handoff]:
    return [Handoff(said, book) for said in stated(cases) if body in (said.sent.body, said.sent.to)]


def _told(handoff: Handoff) -> str:
    state = labels.HANDOFF_STATES[handoff.state.value]
    due = handoff.due_on
    return f"{state}, suite attendue au plus tard le {day_in_words(due, 'fr')}" if due is not None else state


def _of_alerts(before: Cases, after: Cases, body: str, book: Book, now_ms: int) -> list[Consequence]:
    old, new = (_alerts(cases, body, book, now_ms) for cases in (before, after))
    raised = [Consequence("Alerte", "—", new[key]) for key in new.keys() - old.keys()]
    ended = [Consequence("Alerte", old[key], "terminée") for key in old.keys() - new.keys()]
    return sorted(raised, key=lambda c: c.after) + sorted(ended, key=lambda c: c.before)


def _alerts(cases: Cases, body: str, book: Book, now_ms: int) -> dict[bytes, str]:
    """Alerts that last and that are for a body."""
    found = {}
    for key, output in view(cases, now_ms, book).outputs.items():
        if output.topic == "alerts":
            datum = bus().decode(output.value)[1]
            if datum["episodes"][-1]["resolved_on"] is None and body in (datum["body"], datum["other"]):
                word = " – ".join(labels.ALERTS[datum["reason"]])
                found[key] = f"{word} ({labels.number(parse(datum['case']).text)})"
    return found
