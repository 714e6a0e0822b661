"""`relais journeys`: definitions listed, shown and checked."""

import json
from pathlib import Path

from typer.testing import CliRunner

from deploy.cli import app
from deploy.errors import Exit

RUN = CliRunner()


def test_the_built_in_definitions_are_checked_and_listed() -> None:
    done = RUN.invoke(app, ["journeys", "check"])
    assert (done.exit_code, done.stdout) == (0, "13 definitions are sound.\n")
    rows = json.loads(RUN.invoke(app, ["journeys", "list", "--json"]).stdout)
    assert len(rows) == 13
    assert (
        "voirie.signalement\t2015-01-01\tStreet report" in RUN.invoke(app, ["journeys", "list", "--lang", "en"]).stdout
    )


def test_every_problem_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("procedure: a\ntitle: {fr: A}\n")
    (tmp_path / "b.yaml").write_text("[\n")
    done = RUN.invoke(app, ["journeys", "check", str(tmp_path)])
    assert done.exit_code == Exit.FAILED
    assert "a.yaml:2: title.en: Field required" in done.stdout
    assert "b.yaml:2" in done.stdout
    found = json.loads(RUN.invoke(app, ["journeys", "check", str(tmp_path), "--json"]).stdout)
    assert found["sound"] == []
    assert len(found["problems"]) >= 3
    assert "is not a folder" in str(RUN.invoke(app, ["journeys", "check", str(tmp_path / "none")]).exception)


def test_a_definition_is_shown_with_what_is_not_verified() -> None:
    done = RUN.invoke(app, ["journeys", "show", "social.apa-domicile"])
    assert "? Aide d'urgence [departement] (La situation est urgente)" in done.stdout
    assert "CASF L232-14 (old)" in done.stdout
    whole = json.loads(RUN.invoke(app, ["journeys", "show", "social.rsa", "--on", "2026-01-01", "--json"]).stdout)
    assert whole["procedure"] == "social.rsa"
    assert "no definition of 'social.rsa'" in str(
        RUN.invoke(app, ["journeys", "show", "social.rsa", "--on", "2024-01-01"]).exception
    )
    assert "a day reads" in str(RUN.invoke(app, ["journeys", "show", "social.rsa", "--on", "x"]).exception)
