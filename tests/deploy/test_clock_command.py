"""`relais clock`: one question explained, many computed in order."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.errors import Exit

RUN = CliRunner()
QUESTION = """\
rule: crpa.refusal
territory: "75056"
facts:
  - {type: case.opened, date: 2026-03-02}
  - {type: case.pieces-requested, date: 2026-03-16, due_on: 2026-04-16, pieces: [a]}
"""


def test_explain_tells_the_date_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "question.yaml"
    path.write_text(QUESTION)
    done = RUN.invoke(app, ["clock", "explain", str(path)])
    assert done.exit_code == 0
    assert done.stdout.startswith(
        "Dernier jour : mardi 2 juin 2026, jusqu'à minuit. Ensuite, la demande est rejetée.\n"
    )
    assert "Du lundi 16 mars 2026 au jeudi 16 avril 2026, le délai n'a pas couru" in done.stdout
    assert "[CRPA L114-5]" in done.stdout
    english = RUN.invoke(app, ["clock", "explain", "-", "--lang", "en"], input=QUESTION)
    assert english.stdout.startswith("Last day: Tuesday 2 June 2026")


def test_explain_answers_programs(tmp_path: Path) -> None:
    done = RUN.invoke(app, ["clock", "explain", "-", "--json"], input=QUESTION)
    answer = json.loads(done.stdout)
    assert answer["due_on"] == "2026-06-02"
    assert answer["derivation"][0]["op"] == "started"


def test_a_question_with_an_error_tells_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("rule: crpa.refusal\nfacts: [\n")
    done = RUN.invoke(app, ["clock", "explain", str(path)])
    assert "broken.yaml:3" in str(done.exception)
    missing = RUN.invoke(app, ["clock", "explain", str(tmp_path / "none.yaml")])
    assert "none.yaml cannot be read" in str(missing.exception)
    wrong = RUN.invoke(app, ["clock", "explain", "-"], input="rule: nothing\nfacts: []\n")
    assert "there is no clock named 'nothing'" in str(wrong.exception)


def test_compute_answers_in_order_and_goes_on_after_an_error() -> None:
    dates = ["2026-05-13", "2026-10-31"]
    lines = [
        json.dumps({"id": d, "rule": "cja.appeal", "facts": [{"type": "case.notified", "date": d}]}) for d in dates
    ]
    done = RUN.invoke(app, ["clock", "compute"], input="\n".join([lines[0], "not json", "", "[]", lines[1]]) + "\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == Exit.FAILED
    assert [answer.get("due_on") for answer in answers] == ["2026-07-15", None, None, "2027-01-04"]
    assert answers[0]["id"] == "2026-05-13"
    assert "derivation" not in answers[0]
    assert answers[1] == {"error": ["the line is not JSON in UTF-8"]}
    told = RUN.invoke(app, ["clock", "compute", "--explain"], input=lines[0] + "\n")
    assert told.exit_code == 0
    assert json.loads(told.stdout)["derivation"]


def test_the_named_rules_are_listed_with_their_basis() -> None:
    done = RUN.invoke(app, ["clock", "rules", "--lang", "en"])
    assert "urb.dia\t2 months\twaived\tDeclaration of intent to sell\tC. urb. L213-2, C. urb. R213-7" in done.stdout
    assert "(old)" in done.stdout


def test_compute_survives_whatever_a_line_holds() -> None:
    """Each line has its answer, with its `id` if it has one; none ends the others."""
    good = {"rule": "cja.appeal", "facts": [{"type": "case.notified", "date": "2026-05-13"}]}
    lines = [
        b'{"id":"\\ud800",' + json.dumps(good).encode()[1:],
        b"\xff\xfe",
        b'{"rule":"a","rule":"b","facts":[]}',
        b"[" * 100_000,
        json.dumps({**good, "id": 7}).encode(),
        json.dumps({"id": "bad", "rule": "nothing", "facts": []}).encode(),
    ]
    done = RUN.invoke(app, ["clock", "compute"], input=b"\n".join(lines))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("due_on") for answer in answers] == ["2026-07-15", None, None, None, "2026-07-15", None]
    assert [answer.get("id") for answer in answers] == ["\ud800", None, None, None, 7, "bad"]
    assert answers[2]["error"] == ["the key 'rule' is there twice"]


@pytest.mark.parametrize(
    "text",
    [
        "rule: &a [*a]",
        "a: &a {b: *a}",
        "[" * 80 + "]" * 80,
        "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]),
    ],
)
def test_a_file_that_never_ends_is_refused(text: str) -> None:
    done = RUN.invoke(app, ["clock", "explain", "-"], input=text)
    assert "nested too deeply, too large, or referring to itself" in str(done.exception)


def test_explain_says_how_surely_each_article_was_read() -> None:
    question = "rule: apa.decision\nfacts: [{type: case.acknowledged, date: 2026-01-14, complete: true}]\n"
    french, english = (
        RUN.invoke(app, ["clock", "explain", "-", "--lang", lang], input=question).stdout for lang in ("fr", "en")
    )
    assert "CASF L232-14 (lu dans une version ancienne, dimanche 22 mars 2015)" in french
    assert "CASF L232-14 (read in an older version, Sunday 22 March 2015)" in english


def test_an_end_of_rights_is_not_dated_as_a_decision() -> None:
    question = "rule: cja.appeal\nfacts: [{type: case.notified, date: 2026-10-31}]\n"
    told = RUN.invoke(app, ["clock", "explain", "-"], input=question).stdout
    assert "du vendredi 1er janvier 2027 (jour férié), il est prolongé au lundi 4 janvier 2027." in told
    assert "avant la fin du lundi 4 janvier 2027, il n'est plus possible d'agir." in told
    assert "la loi date" not in told
