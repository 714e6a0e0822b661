"""The mapping file: what it says, and errors with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.eventlog import mapping
from schemas.yamltext import InvalidFilesError

MAPS = Path(mapping.__file__).parent / "maps"
HEAD = "procedure: replay.x\ntitle: {fr: Essai, en: Trial}\n"
LIMIT = "  - {id: a.b, title: {fr: x, en: x}, starts: STARTS, stops: [STOPS], days: 3}\n"


def load(tmp_path: Path, text: str) -> mapping.Mapping:
    path = tmp_path / "map.yaml"
    path.write_text(HEAD + text)
    return mapping.load(path)


def limits(*pairs: tuple[str, str]) -> str:
    return "limits:\n" + "".join(LIMIT.replace("STARTS", a).replace("STOPS", b) for a, b in pairs)


@pytest.mark.parametrize(
    ("text", "line", "where", "message"),
    [
        ("colums: {}\n", 3, "colums", "Extra inputs"),
        ("rows:\n  - when: {a: [b]}\n    states: case.opened\n", 5, "rows.0.states", "a row states a fact of a case"),
        ("rows:\n  - when: {a: [b]}\n    states: case.closed\n", 4, "rows.0", "needs reason"),
        ("otherwise:\n  states: case.withdrawn\n  with: {why: x}\n", 3, "otherwise", "has the fields none"),
        ("rows:\n  - when: {}\n    states: case.withdrawn\n", 4, "rows.0.when", "at least 1"),
        ("bodies: {names: {'6': Desk 6}}\n", 3, "bodies", "the id of a body"),
        (limits(("handoff.sent", "handoff.recieved")), 4, "limits.0", "name events"),
        (limits(("handoff.sent", "case.closed")), 4, "limits.0", "of one family"),
        (limits(("handoff.sent", "handoff.received"), ("case.opened", "case.closed")), 1, "", "the same id"),
        ("drop:\n  - {question: no}\n", 4, "drop.0.question", "tuple"),
    ],
)
def test_an_error_says_its_line_and_field(tmp_path: Path, text: str, line: int, where: str, message: str) -> None:
    with pytest.raises(InvalidFilesError) as caught:
        load(tmp_path, text)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.where) == ("map.yaml", line, where)
    assert message in problem.message


def test_a_file_that_is_no_yaml_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidFilesError, match=r"map\.yaml:4"):
        load(tmp_path, "rows: [\n")
    with pytest.raises(InvalidFilesError, match="there is no such file"):
        mapping.load(tmp_path / "absent.yaml")


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidFilesError) as caught:
        load(tmp_path, "rwos: []\nhandoffs: {kind: other}\n")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("path", sorted(MAPS.glob("*.yaml")), ids=lambda p: p.stem)
def test_the_ready_maps_stand(path: Path) -> None:
    found = mapping.load(path)
    journey = found.journey()
    assert list(journey.problems()) == []
    assert [clock.id for clock in journey.clocks] == [limit.id for limit in found.limits]
    assert found.end(100) == 102 + max(limit.days for limit in found.limits)
