import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.commands.schemas import ChangedSchemaError, UnknownSchemaError
from schemas import evolution

RUN = CliRunner()


def test_list_tells_every_event() -> None:
    rows = json.loads(RUN.invoke(app, ["schemas", "list", "--json"]).stdout)
    assert len(rows) == 28 and {"name", "version", "fingerprint", "doc"} == set(rows[0])
    assert "handoff.sent" in RUN.invoke(app, ["schemas", "list"]).stdout


def test_show_gives_a_schema_that_stands_alone() -> None:
    shown = json.loads(RUN.invoke(app, ["schemas", "show", "case.opened"]).stdout)
    assert shown["fields"][0]["type"]["name"] == "Header"
    assert json.loads(RUN.invoke(app, ["schemas", "show", "case.opened.1"]).stdout) == shown
    unknown = RUN.invoke(app, ["schemas", "show", "case.opened.2"])
    assert isinstance(unknown.exception, UnknownSchemaError) and unknown.exception.exit_code == 2


def test_check_fails_with_the_mend_when_a_schema_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RUN.invoke(app, ["schemas", "check"]).exit_code == 0
    lock = evolution.locked()
    lock["case.opened"]["1"] = "0" * 64
    monkeypatch.setattr(evolution, "locked", lambda: lock)
    done = RUN.invoke(app, ["schemas", "check", "--json"])
    (finding,) = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (finding["fault"], finding["schema"], finding["mend"]) == (
        "changed",
        "case.opened",
        evolution.MENDS["changed"],
    )
    assert "case.opened.1: changed: a released version never changes" in RUN.invoke(app, ["schemas", "check"]).stderr
    assert isinstance(RUN.invoke(app, ["schemas", "lock"]).exception, ChangedSchemaError)


def test_lock_adds_what_is_not_released_yet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = evolution.locked()
    monkeypatch.setattr(evolution, "__file__", str(tmp_path / "evolution.py"))
    monkeypatch.setattr(evolution, "locked", lambda: {k: v for k, v in full.items() if k != "case.closed"})
    assert "1 released" in RUN.invoke(app, ["schemas", "lock"]).stdout
    assert json.loads((tmp_path / "lock.json").read_text()) == full
