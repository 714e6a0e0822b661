"""Every example beside the schemas is what its name says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas import catalog, codec
from schemas.canonical import day_of, digest
from schemas.checks import problems
from schemas.cloudevents import outer_field, parse, render
from schemas.models import MODELS, from_datum
from schemas.problems import ProblemCode, UnsoundEventError
from schemas.references import ReferenceFormatError
from schemas.references import parse as parse_reference

FOLDER = Path(catalog.__file__).parent / "examples"
FILES = sorted(FOLDER.rglob("*.json"))
PASS = [f for f in FILES if f.name.endswith(".pass.json")]
FAIL = [f for f in FILES if f.name.endswith(".fail.json")]
TODAY = day_of("2026-11-23")
WITHOUT_EXAMPLE = {ProblemCode.TOO_LARGE}
"""Too large for a file that people read; see test_checks."""


def name(file: Path) -> str:
    return str(file.relative_to(FOLDER)).removesuffix(".json")


def event_of(file: Path) -> str:
    return f"{file.parent.name}.{file.name.split('.')[0]}"


def speaker(message: dict[str, Any]) -> str | None:
    """Examples are spoken by the body that owns the subject, and by the source where that is the point."""
    try:
        return parse_reference(message["subject"]).issuer
    except (KeyError, ReferenceFormatError):
        return None


@pytest.mark.parametrize("file", PASS, ids=name)
def test_a_sound_example_is_taken(file: Path) -> None:
    message = json.loads(file.read_text())
    event = parse(message)
    assert event.type == event_of(file) == message["type"].removeprefix("fr.relais.")
    value = codec.events().encode(event.type, event.to_datum())
    schema, datum = codec.events().decode(value)
    assert problems(schema, datum, speaker=speaker(message), today=TODAY, size=len(value)) == []
    again = from_datum(schema.name, datum)
    assert again == event
    assert digest(schema, parse(render(again)).to_datum()) == digest(schema, datum)


@pytest.mark.parametrize("file", FAIL, ids=name)
def test_an_unsound_example_is_refused_for_its_reason(file: Path) -> None:
    message = json.loads(file.read_text())
    expected = ProblemCode(file.name.split(".")[2])
    try:
        event = parse(message)
    except UnsoundEventError as error:
        found = error.problems
    else:
        schema = codec.events().latest(event.type)
        found = problems(schema, event.to_datum(), speaker=speaker(message), today=TODAY)
    assert expected in {p.code for p in found}
    assert all(p.mend and p.mend[0] == p.mend[0].lower() for p in found)
    assert all(p.field == "" or outer_field(p.field) for p in found)


def test_every_event_has_both_and_every_problem_its_example() -> None:
    assert {event_of(f) for f in PASS} == {event_of(f) for f in FAIL} == set(MODELS)
    assert {f.name.split(".")[2] for f in FAIL} == {c.value for c in ProblemCode} - {c.value for c in WITHOUT_EXAMPLE}
    assert len(PASS) + len(FAIL) == len(FILES)
