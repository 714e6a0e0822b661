"""From a log to facts, and through the plain computation to the report, against a script that shares no code."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connectors.eventlog import facts, mapping
from connectors.eventlog.facts import Stated, arrange, iter_facts
from connectors.eventlog.log import LogError
from connectors.eventlog.report import Report, report
from schemas import codec, definitions
from schemas.definitions import Definitions
from schemas.directory import Directory
from streams.engine.book import Book
from streams.engine.facts import Copy, Reader
from streams.engine.view import fold, view
from tests.support.books import _calendars
from tests.support.facts import KEYS

HERE = Path(__file__).parent
BPIC15 = mapping.load(Path(mapping.__file__).parent / "maps" / "bpic15.yaml")
REAL = HERE.parents[3] / "shared" / "data" / "BPIC15_1.xes.gz"
READER = Reader(codec.events(), KEYS)


def write_xes(path: Path, traces: list[tuple[str, list[dict[str, str]]]]) -> Path:
    def cells(row: dict[str, str]) -> str:
        return "".join(f'<string key="{k}" value="{v}"/>' for k, v in row.items())

    body = "".join(
        f"<trace>{cells({'concept:name': n})}{''.join(f'<event>{cells(r)}</event>' for r in rows)}</trace>"
        for n, rows in traces
    )
    path.write_text(f"<log>{body}</log>")
    return path


def row(day: str, desk: str, what: str, question: str = "EMPTY") -> dict[str, str]:
    return {"time:timestamp": day, "org:resource": desk, "concept:name": what, "question": question}


def story(path: Path) -> Path:
    """Desk 1 opens and asks, desk 2 receives what desk 1 asked for, desk 1 ends."""
    rows = [
        row("2014-01-06T00:00:00+01:00", "1", "first"),
        row("2014-01-07T09:30:00+01:00", "3", "did not happen", "False"),
        row("2014-01-07T09:30:00+01:00", "1", "08_AWB45_020_2"),
        row("2014-02-10T00:00:00+01:00", "2", "08_AWB45_030"),
        row("2014-02-11T00:00:00+01:00", "2", "08_AWB45_030"),
        row("2014-03-03T00:00:00+01:00", "1", "last"),
    ]
    return write_xes(path, [("77", rows)])


def test_the_facts_of_a_log(tmp_path: Path) -> None:
    found = list(iter_facts(story(tmp_path / "log.xes"), BPIC15))
    told = [
        (f.event.type, f.event.header.subject, f.event.header.sequence, f.event.header.occurred_on.isoformat())
        for f in found
    ]
    one, two = "case:desk-1/77", "case:desk-2/77"
    assert told == [
        ("case.opened", one, 0, "2014-01-06"),
        ("case.step-completed", one, 0, "2014-01-06"),
        ("case.pieces-requested", one, 1, "2014-01-07"),
        ("handoff.sent", one, 1, "2014-01-07"),
        ("handoff.received", two, 2, "2014-02-10"),
        ("case.opened", two, 2, "2014-02-10"),
        ("handoff.accepted", two, 2, "2014-02-10"),
        ("case.pieces-received", one, 2, "2014-02-10"),
        ("case.step-completed", two, 2, "2014-02-10"),
        ("case.step-completed", two, 3, "2014-02-11"),
        ("handoff.sent", two, 3, "2014-02-11"),
        ("handoff.received", one, 4, "2014-03-03"),
        ("handoff.accepted", one, 4, "2014-03-03"),
        ("case.step-completed", one, 4, "2014-03-03"),
    ]
    assert {f.event.header.occurred_at for f in found} == {None, "2014-01-07T09:30:00+01:00"}
    assert all(f.event.header.source == f.event.header.subject[5:11] + "/log" for f in found)
    assert len({(f.event.header.subject, f.event.header.id) for f in found}) == len(found)
    assert {f.event.header.procedure for f in found if f.event.type == "case.opened"} == {"replay.bpic15"}


def test_sending_may_be_dated_by_the_new_row(tmp_path: Path) -> None:
    at_once = BPIC15.model_copy(update={"handoffs": mapping.Handoffs(sent_on="new-row")})
    sent = [f for f in iter_facts(story(tmp_path / "log.xes"), at_once) if f.event.type == "handoff.sent"]
    assert [f.event.header.occurred_on for f in sent] == [date(2014, 2, 10), date(2014, 3, 3)]
    assert [(f.event.header.sequence, f.event.header.subject) for f in sent] == [
        (2, "case:desk-1/77"),
        (4, "case:desk-2/77"),
    ]


def test_names_that_are_no_ids_become_some(tmp_path: Path) -> None:
    rows = [row("2014-01-06", "Jeanne Martin", "a"), row("2014-01-06", "6", "b")]
    named = BPIC15.model_copy(update={"bodies": mapping.Bodies(names={"6": "urbanisme"})})
    found = list(iter_facts(write_xes(tmp_path / "log.xes", [("dossier n° 1", rows)]), named))
    subjects = {f.event.header.subject for f in found}
    assert {s.partition("/")[0].partition("-")[0] for s in subjects} == {"case:desk", "case:urbanisme"}
    assert "Jeanne" not in repr(found) and "n°" not in repr(found)


@pytest.mark.parametrize(
    ("traces", "mend"),
    [
        ([("1", [row("2014-01-06", "1", "a"), row("6-1-2014", "1", "a")])], "trace 1, row 2: time:timestamp is no ISO"),
        ([("1", [row("2014-01-06", "", "a")])], "trace 1, row 1: org:resource is empty"),
        ([("1", [row("2014-01-06", "1", "")])], "trace 1, row 1: case.step-completed, step: write something"),
        ([("1", [row("2014-01-06", "1", "2 69 05 49 588 157 80")])], "remove the national identity number"),
        ([("", [row("2014-01-06", "1", "a")])], "trace 1 has no number"),
        ([("1", [row("2014-01-06", "1", "a")])] * 2, "trace 2 bears the number"),
    ],
)
def test_a_row_that_cannot_be_a_fact_is_named_and_not_repeated(tmp_path: Path, traces: Any, mend: str) -> None:
    with pytest.raises(LogError, match=mend) as caught:
        list(iter_facts(write_xes(tmp_path / "log.xes", traces), BPIC15))
    assert "588" not in str(caught.value)


def test_csv_gives_the_same_facts_as_xes(tmp_path: Path) -> None:
    table = tmp_path / "log.csv"
    lines = ["trace,time:timestamp,org:resource,concept:name,question"]
    lines += [f"77,{r['time:timestamp']},{r['org:resource']},{r['concept:name']},{r['question']}" for t in
              facts.traces(story(tmp_path / "log.xes"), BPIC15) for r in t.rows]  # fmt: skip
    table.write_text("\n".join(lines) + "\n")
    of_table = BPIC15.model_copy(update={"columns": BPIC15.columns.model_copy(update={"trace": "trace"})})
    assert list(iter_facts(table, of_table)) == list(iter_facts(tmp_path / "log.xes", BPIC15))


def test_doubling_and_shuffling_lose_and_add_nothing(tmp_path: Path) -> None:
    found = list(iter_facts(story(tmp_path / "log.xes"), BPIC15))
    assert arrange(found) == found
    mixed = arrange(found, shuffle=7, double=True)
    assert mixed == arrange(found, shuffle=7, double=True) != arrange(found, shuffle=8, double=True)
    assert sorted(map(repr, mixed)) == sorted(map(repr, [*found, *found]))


@cache
def book() -> Book:
    return Book(
        Definitions([*definitions.load(), BPIC15.journey()]), Directory(bodies=(), conventions=()), _calendars()
    )


def computed(stated: list[Stated]) -> Report:
    """The report of the plain computation: one view of all facts at the end."""
    copies: dict[bytes, Copy] = {}
    kept: dict[bytes, tuple[str, dict[str, Any]]] = {}
    for fact in stated:
        datum = fact.event.to_datum()
        copy = READER.copy(codec.events().encode(fact.event.type, datum), 0)
        copies[copy.fact.key] = copy
        kept[copy.fact.key] = (fact.event.type, datum)
    until = BPIC15.end(max(f.on for f in stated))
    rows: dict[str, list[dict[str, Any]]] = {"statuses": [], "handoffs": [], "alerts": []}
    for out in view(fold(copies.values()), (until + 1) * 86_400_000, book()).outputs.values():
        rows[out.topic].append(codec.bus().decode(out.value)[1])
    limits = [limit.id for limit in BPIC15.limits]
    return report(rows["statuses"], rows["handoffs"], rows["alerts"], kept.values(), limits=limits, until=until)


def independent(log: Path) -> dict[str, Any]:
    command = [sys.executable, "-I", str(HERE / "independent.py"), str(log)]
    done: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return done


def told(found: Report) -> dict[str, Any]:
    return found.model_dump(mode="json", by_alias=True)


def invent(path: Path, seed: int) -> Path:
    """A log with all that the mapping looks at: ties, desks that come back, pieces asked, received, unasked, never received."""
    chance = random.Random(seed)
    traces = []
    for number in range(1, 40):
        day = date(2012, 1, 1) + timedelta(days=chance.randrange(900))
        rows, desk = [], "1"
        for _ in range(chance.randrange(1, 25)):
            day += timedelta(days=chance.choice([0, 0, 0, 1, 5, 14, 15, 40]))
            desk = chance.choice([desk, desk, *"1234"])
            what = chance.choice(["a", "b", "c", "08_AWB45_020_2", "08_AWB45_030", "08_AWB45_030"])
            hour = chance.choice(["00:00:00", "00:00:00", "15:10:02"])
            rows.append(row(f"{day}T{hour}+01:00", desk, what, chance.choice(["EMPTY", "True", "False"])))
        rows.append(row(f"{day}T00:00:00+01:00", desk, "a"))
        traces.append((f"{number:04}", rows))
    chance.shuffle(traces)
    return write_xes(path, traces)


@pytest.mark.parametrize("seed", range(5))
def test_the_report_equals_the_independent_one(tmp_path: Path, seed: int) -> None:
    log = invent(tmp_path / "log.xes", seed)
    stated = list(iter_facts(log, BPIC15))
    expected = independent(log)
    assert told(computed(stated)) == expected
    assert told(computed(arrange(stated, shuffle=seed, double=True))) == expected
    assert expected["pauses"]["ended"] and expected["alerts"][0]["raised"] and expected["alerts"][1]["open"]


def test_the_report_of_a_real_town_equals_the_independent_one(tmp_path: Path) -> None:
    """On the log of a real town where it is at hand (it is not part of the project), else on another invented one."""
    log = REAL if REAL.exists() else invent(tmp_path / "log.xes", 99)
    found = told(computed(list(iter_facts(log, BPIC15))))
    assert found == independent(log)
    assert log is not REAL or (found["journeys"], found["cases"], found["handoffs"]) == (1199, 3166, 3089)
