"""What the door refuses, at its bounds."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import catalog, codec, envelope, identity_numbers
from schemas.canonical import day_of
from schemas.checks import MAX_BYTES, problems
from schemas.cloudevents import parse
from schemas.field_checks import BY_NAME, MAX_PROBLEMS, MAX_TEXT, plan
from schemas.problems import Problem, ProblemCode, UnsoundEventError

TODAY = day_of("2026-11-23")
CODEC = codec.events()
FOLDER = Path(catalog.__file__).parent / "examples"
PASS = sorted(FOLDER.rglob("*.pass.json"))


def example(path: str) -> tuple[catalog.Schema, dict[str, Any]]:
    event = parse(json.loads((FOLDER / f"{path}.pass.json").read_text()))
    return CODEC.latest(event.type), event.to_datum()


def found(path: str, speaker: str | None = None, size: int | None = None, **changes: Any) -> list[Problem]:
    """Problems of an example with some fields changed (`header__id` for those of the header)."""
    schema, datum = example(path)
    for name, value in changes.items():
        part, _, field = name.rpartition("__")
        (datum[part] if part else datum)[field] = value
    return problems(schema, datum, speaker=speaker, today=TODAY, size=size)


def codes(path: str, **changes: Any) -> list[ProblemCode]:
    return [p.code for p in found(path, **changes)]


def test_a_body_speaks_for_itself_only() -> None:
    assert codes("case/opened.1.minimal", speaker="ville-brignais") == []
    assert codes("case/opened.1.minimal", speaker="ville-oullins") == [ProblemCode.FOREIGN_SOURCE]


def test_a_value_has_at_most_64_kib() -> None:
    assert codes("case/opened.1.minimal", size=MAX_BYTES) == []
    assert codes("case/opened.1.minimal", size=MAX_BYTES + 1) == [ProblemCode.TOO_LARGE]


@pytest.mark.parametrize(
    ("day", "code"),
    [
        ("1900-01-01", None),
        ("1899-12-31", ProblemCode.IMPOSSIBLE_DATE),
        ("2026-11-24", None),
        ("2026-11-25", ProblemCode.FUTURE_DATE),
    ],
)
def test_a_fact_happened_between_1900_and_tomorrow(day: str, code: ProblemCode | None) -> None:
    assert codes("case/opened.1.minimal", header__occurred_on=day_of(day)) == ([code] if code else [])


def test_a_day_out_of_any_calendar_is_a_problem_not_an_exception() -> None:
    for day in (-(2**31), 2**31 - 1):
        assert codes("case/pieces-requested.1.listed", due_on=day, header__occurred_on=day)


def test_a_limit_is_not_before_the_fact() -> None:
    day = day_of("2026-03-02")
    assert codes("handoff/sent.1.minimal", due_on=day) == []
    assert codes("handoff/sent.1.minimal", due_on=day - 1) == [ProblemCode.DUE_BEFORE]
    assert codes("handoff/sent.1.minimal", due_on=day_of("2200-01-02")) == [ProblemCode.IMPOSSIBLE_DATE]


def test_sixteen_references_are_taken() -> None:
    texts = [f"case:ville-brignais/DP-{i}" for i in range(16)]
    assert codes("case/opened.1.minimal", header__references=texts) == []
    assert codes("case/opened.1.minimal", header__references=[*texts, "case:ville-brignais/DP-16"]) == [
        ProblemCode.TOO_MANY_REFERENCES
    ]


@pytest.mark.parametrize(("length", "sound"), [(0, False), (1, True), (128, True), (129, False)])
def test_an_id_has_1_to_128_characters(length: int, sound: bool) -> None:
    assert codes("case/opened.1.minimal", header__id="a" * length) == ([] if sound else [ProblemCode.MALFORMED_ID])


def test_a_text_has_at_most_500_characters() -> None:
    assert codes("case/step-started.1.instruction", step="é" * MAX_TEXT) == []
    assert codes("case/step-started.1.instruction", step="é" * (MAX_TEXT + 1)) == [ProblemCode.TOO_LONG]


def test_problems_of_one_event_are_listed_up_to_a_bound() -> None:
    assert len(found("case/pieces-requested.1.listed", pieces=[""] * 50)) == MAX_PROBLEMS


def test_an_identity_number_is_placed_and_never_repeated() -> None:
    text = "NIR 2 69 05 49 588 157 80 (copie)"
    (problem,) = found("handoff/cancelled.1.no-longer-needed", reason=text)
    assert (problem.code, problem.field) == (ProblemCode.NATIONAL_IDENTITY_NUMBER, "reason")
    assert problem.start is not None and problem.length is not None
    assert text[problem.start : problem.start + problem.length] == "2 69 05 49 588 157 80"
    assert "269" not in repr(problem)


@pytest.mark.parametrize("file", PASS, ids=lambda f: f.name)
def test_every_text_of_every_event_is_searched(file: Path) -> None:
    """Whatever field a person may write in, the number is found there."""
    event = parse(json.loads(file.read_text()))
    schema, datum = CODEC.latest(event.type), event.to_datum()
    for name, rule in plan(schema):
        free = BY_NAME.get(name) is None and isinstance(datum[name], (str, list))
        if free and datum[name] and rule is not None:
            changed = copy.deepcopy(datum)
            changed[name] = "269054958815780" if isinstance(datum[name], str) else ["269054958815780"]
            result = problems(schema, changed, speaker=None, today=TODAY)
            assert [p.code for p in result] == [ProblemCode.NATIONAL_IDENTITY_NUMBER]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("269054958815780", (0, 15)),
        ("269054958815781", None),
        ("269054958815780.", (0, 15)),
        ("2690549588157", (0, 13)),
        ("2.69.05.49.588.157", (0, 18)),
        ("n° 1 85 05 2A 006 084 06", (3, 21)),
        ("n° 185052b006084", (3, 13)),
        ("2690549588157 99", (0, 16)),
        ("12690549588157", None),
        ("SIRET 21690027200014", None),
        ("PC 069 027 26 00014", None),
        ("2026-03-02 09:14", None),
        ("9690549588157", None),
        ("2691349588157", None),
        ("2690500588157", None),
    ],
)
def test_identity_numbers_by_structure(text: str, place: tuple[int, int] | None) -> None:
    assert identity_numbers.find(text) == place


@given(
    sex=st.sampled_from("12"),
    year=st.integers(0, 99),
    month=st.integers(1, 12),
    department=st.sampled_from(["01", "69", "75", "2A", "2B", "97", "99"]),
    rest=st.integers(1_001, 990_999),
    gap=st.sampled_from(["", " ", ".", "-", "\u00a0", "\u202f"]),
)
def test_a_right_key_is_recognised_and_a_wrong_one_is_not(
    sex: str, year: int, month: int, department: str, rest: int, gap: str
) -> None:
    number = f"{sex}{year:02}{month:02}{department}{rest:06}"
    key = 97 - int(number.replace("2A", "19", 1) if department == "2A" else number.replace("2B", "18", 1)) % 97
    parts = [sex, f"{year:02}", f"{month:02}", department, f"{rest:06}"[:3], f"{rest:06}"[3:], f"{key:02}"]
    assert identity_numbers.find("x " + gap.join(parts)) == (2, 15 + 6 * len(gap))
    assert identity_numbers.find(number + f"{key % 97 + 1:02}") is None


@given(data=st.data())
def test_nothing_of_any_shape_raises(data: st.DataObject) -> None:
    """Decoded values of the right types, whatever they say, give problems and no exception."""
    path = data.draw(st.sampled_from([str(f.relative_to(FOLDER)).removesuffix(".pass.json") for f in PASS]))
    schema, datum = example(path)
    part = data.draw(st.sampled_from(["header", ""]))
    target = datum["header"] if part else datum
    field = data.draw(st.sampled_from(sorted(k for k, v in target.items() if isinstance(v, (str, int))) or ["id"]))
    if field in target and isinstance(target[field], str):
        target[field] = data.draw(st.text())
    elif field in target and not isinstance(target[field], bool):
        target[field] = data.draw(st.integers(-(2**31), 2**31 - 1))
    for problem in problems(schema, datum, speaker="ville-brignais", today=TODAY):
        assert isinstance(problem.code, ProblemCode) and problem.mend


def test_commitments() -> None:
    salt = bytes(range(16))
    given_ = envelope.commitment(salt, "été")
    assert envelope.commits_to(given_, salt, "été") and not envelope.commits_to(given_, salt, "ete")
    assert list(envelope.faults({"key_id": "k1", "ciphertext": "A" * 24, "commitment": given_})) == []
    wrong = {"key_id": "", "ciphertext": "A" * 25, "commitment": given_.upper()}
    assert [f for f, _ in envelope.faults(wrong)] == ["key_id", "ciphertext", "commitment"]
    with pytest.raises(ValueError, match="16 bytes"):
        envelope.commitment(b"", "x")


@pytest.mark.parametrize(
    "change",
    [
        {"id": 5},
        {"id": "\ud800"},
        {"data": []},
        {"data": {"header": {}}},
        {"data": {"type": "x"}},
        {"time": 20_000},
        {"data": {"occurred_on": 20_000}},
        {"data": {"occurred_on": "20260302"}},
        {"data": {"occurred_on": "2026-02-30"}},
        {"data": {"occurred_on": "2026-03-02", "sequence": 1.0}},
        {"data": {"occurred_on": "2026-03-02", "sequence": 2**63}},
        {"data": {"occurred_on": "2026-03-02", "references": None}},
        {"data": {"occurred_on": "2026-03-02", "complete": 1}},
        {"extra": 1},
        {"datacontenttype": "text/plain"},
        {"data": {"attested_by": "body", "occurred_on": "2026-03-02"}},
        {"time": "2026-03-02T09:00:00Z", "data": {}},
    ],
)
def test_a_wrong_form_is_refused_with_its_field(change: dict[str, Any]) -> None:
    message = json.loads((FOLDER / "case/opened.1.minimal.pass.json").read_text()) | change
    with pytest.raises(UnsoundEventError) as caught:
        parse(message)
    assert all(p.mend and p.field for p in caught.value.problems)


def test_the_date_comes_from_a_local_time() -> None:
    message = json.loads((FOLDER / "case/opened.1.minimal.pass.json").read_text())
    message |= {"time": "2026-03-02T23:59:59+04:00", "data": {}}
    assert parse(message).header.occurred_on.isoformat() == "2026-03-02"
