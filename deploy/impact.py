"""Cases under way, from the read model or from lines, for `relais clocks impact`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from connectors.status.model import PAGE, ReadModel, Snapshot
from deploy.errors import DeployError, Exit
from schemas import definitions, yamltext
from schemas.codec import Codec, DecodeError
from schemas.references import Keys
from streams.engine.cases import ENDED, CaseState
from streams.engine.counting import to_date
from streams.engine.facts import Reader
from streams.engine.handoffs import stated
from streams.engine.impact import Difference, Passing, Subject
from streams.engine.questions import Desk, QuestionError, line_as_data
from streams.engine.view import fold
from streams.engine.words import day_in_words, effect_in_words, explained, summary

if TYPE_CHECKING:
    from streams.engine.book import Book
    from streams.engine.consequences import Standing

UNDER_WAY = [state.value for state in CaseState if state not in ENDED]


class ImpactError(DeployError):
    """Definitions or cases that cannot be compared."""

    exit_code = Exit.USAGE


def journeys(path: Path) -> list[definitions.Journey]:
    """The definitions of a file or a folder; all problems at once."""
    if path.is_dir():
        loaded, problems = definitions.load_checked(path)
        found = list(loaded)
    else:
        document, problems = yamltext.read(path)
        found = []
        if document is not None:
            journey, more = definitions.check(document)
            problems = problems + more
            found = [journey] if journey is not None else []
    if problems:
        raise ImpactError("\n".join(map(str, problems)))
    if not found:
        raise ImpactError(f"there is no definition in {path.name}")
    return found


def of_lines(lines: Iterable[str], desk: Desk) -> Iterator[Subject]:
    """Cases written as one JSON object per line. Raises `ImpactError` at the first that is not one."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield desk.subject(json.loads(line))
        except QuestionError as error:
            raise ImpactError("\n".join(f"line {number}: {problem}" for problem in error.problems)) from None
        except (ValueError, RecursionError):
            raise ImpactError(f"line {number}: the line is not JSON") from None


def of_model(
    model: ReadModel, keys: Keys, events: Codec, book: Book, procedures: Collection[str] | None
) -> Iterator[Subject]:
    """Every case under way of these procedures (None: of any) that the read model holds, in one look."""
    reader = Reader(events, keys)
    with model.snapshot() as now:
        wanted = sorted(
            (row, text) for row, text, procedure in _under_way(now) if procedures is None or procedure in procedures
        )
        for _, group in groupby(wanted, key=lambda item: item[0]):
            yield from _of_row(now, {text for _, text in group}, keys, reader, book)


def _under_way(now: Snapshot) -> Iterator[tuple[bytes, str, str | None]]:
    offset = 0
    while rows := now.worklist(None, states=UNDER_WAY, offset=offset):
        yield from ((row[0], row[1], row[2]) for row in rows)
        if len(rows) < PAGE:
            return
        offset += PAGE


def _of_row(now: Snapshot, wanted: set[str], keys: Keys, reader: Reader, book: Book) -> Iterator[Subject]:
    row = now.resolve(keys.of(min(wanted)))
    if row is None:
        return
    copies = []
    for kept in now.facts_of([keys.of(case["case"]) for case in row.datum["cases"]]):
        try:
            copies.append(reader.copy(kept["value"], kept["admitted"], kept["rank"]))
        except DecodeError:
            continue
    cases = fold(copies)
    passings: dict[str, list[Passing]] = {}
    for said in stated(cases.values()):
        facts = [said.sent, *said.others]
        sender, addressee = book.calendar(said.sent.body), book.calendar(said.sent.to)
        passing = Passing(said.sent.data["handoff"], said.sent.data["kind"], facts, sender, addressee)
        passings.setdefault(said.sender.text, []).append(passing)
    for case in cases.values():
        if case.text in wanted and not case.ended:
            yield Subject(
                case.text,
                case.procedure,
                case.started_on,
                case.facts,
                book.calendar(case.body),
                case.first_received_on,
                None,
                passings.get(case.text, []),
            )


def as_data(found: Difference) -> dict[str, Any]:
    """One difference as plain data."""
    return {
        "case": found.case,
        "handoff": found.handoff,
        "rule": found.rule,
        "shift_days": found.shift,
        "before": _side(found.before),
        "after": _side(found.after),
    }


def _side(one: Standing | None) -> dict[str, Any] | None:
    if one is None:
        return None
    run, silence = one.run, one.silence
    return {
        "title": {"fr": one.rule.clock.title.fr, "en": one.rule.clock.title.en},
        "state": run.state.value,
        "started_on": _iso(run.started_on),
        "due_on": _iso(run.due_on),
        "effect": run.effect.value,
        "born_on": _iso(run.born_on),
        "stopped_on": _iso(run.stopped_on),
        "follows": one.follows,
        "silence": {"effect": silence.data["effect"], "on": _iso(silence.date)} if silence else None,
        "summary": {"fr": summary(run, "fr"), "en": summary(run, "en")},
        "derivation": [{**line_as_data(line), "fact": None} for line in run.derivation],
    }


def told(found: Difference, language: Literal["fr", "en"]) -> list[str]:
    """One difference in words: what there was, what there would be, and why."""
    french = language == "fr"
    one = found.after or found.before
    assert one is not None
    place = f" ({found.handoff})" if found.handoff else ""
    move = "" if not found.shift else (f" : {found.shift:+d} j" if french else f": {found.shift:+d} d")
    lines = [f"{found.case}{place} – {getattr(one.rule.clock.title, language)} [{found.rule}]{move}"]
    labels = ("avant", "après") if french else ("before", "after")
    for label, side in zip(labels, (found.before, found.after), strict=True):
        if side is None:
            lines.append(f"  {label} : " + ("pas de délai" if french else "no time limit"))
            continue
        lines.append(f"  {label} : {summary(side.run, language)}")
        if side.silence is not None:
            words = effect_in_words(str(side.silence.data["effect"]), language)
            day = day_in_words(side.silence.date, language)
            lines.append(f"    silence le {day} : {words}" if french else f"    silence on {day}: {words}")
        lines += [f"    {line}" for line in explained(side.run, language)]
    return lines


def _iso(day: int | None) -> str | None:
    return None if day is None else to_date(day).isoformat()
