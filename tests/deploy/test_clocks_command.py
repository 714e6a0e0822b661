"""`relais clocks impact`: from lines, and from the read model of a bus that runs."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.gateway.bus import Order
from deploy.cli import app
from deploy.errors import Exit
from tests.support.facts import SECRET, event
from tests.support.loop import Town

RUN = CliRunner()
NEW = """\
procedure: {procedure}
title: {{fr: Essai, en: Trial}}
valid_from: {since}
roles:
  - {{id: mairie, title: {{fr: Mairie, en: Town hall}}, bodies: [commune]}}
steps: []
clocks:
  - id: decision
    title: {{fr: Réponse, en: Answer}}
    articles: ["Essai 1 [unverified]"]
    starts: [case.opened]
    stops: [case.notified]
    length: {length}
    effect: granted
    birth: next-day
"""
LINE = {
    "case": "case:viriat/1",
    "procedure": "test.permit",
    "territory": "01451",
    "facts": [{"type": "case.opened", "date": "2026-03-02"}],
}


def written(folder: Path, name: str, length: str, since: str = "2020-01-01", procedure: str = "test.permit") -> Path:
    path = folder / name
    path.write_text(NEW.format(length=length, since=since, procedure=procedure), "utf-8")
    return path


def lines(folder: Path, *cases: dict[str, Any]) -> Path:
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps(case) + "\n" for case in cases), "utf-8")
    return path


def asked(*arguments: object, code: int = Exit.DONE, given: str | None = None) -> str:
    done = RUN.invoke(app, ["clocks", "impact", *map(str, arguments)], input=given)
    assert done.exit_code == code, done.output
    return done.stdout


def test_dates_and_silence_before_and_after(tmp_path: Path) -> None:
    old, new = written(tmp_path, "old.yaml", "2 months"), written(tmp_path, "new.yaml", "3 months")
    told = asked(new, "--before", old, "--cases", lines(tmp_path, LINE), "--on", "2026-05-10")
    assert told.startswith("case:viriat/1 – Réponse [decision] : +31 j\n  avant : Dernier jour : samedi 2 mai 2026")
    assert "    silence le dimanche 3 mai 2026 : la demande est acceptée\n" in told
    assert (
        "3 mois à compter du lundi 2 mars 2026 : dernier jour le mardi 2 juin 2026, jusqu'à minuit. [Essai 1]" in told
    )
    assert told.endswith("1 dossier(s) sur 1 changeraient, 1 délai(s).\n")


def test_programs_read_one_object_per_difference(tmp_path: Path) -> None:
    old, new = written(tmp_path, "old.yaml", "2 months"), written(tmp_path, "new.yaml", "3 months")
    answer = json.loads(
        asked(new, "--before", old, "--cases", "-", "--on", "2026-05-10", "--json", given=json.dumps(LINE))
    )
    assert (answer["rule"], answer["shift_days"]) == ("decision", 31)
    assert answer["before"]["silence"] == {"effect": "granted", "on": "2026-05-03"}
    assert answer["after"]["silence"] is None
    assert [line["op"] for line in answer["after"]["derivation"]][:2] == ["started", "due"]


def test_what_starts_before_the_new_version_is_left_alone(tmp_path: Path) -> None:
    old, new = written(tmp_path, "old.yaml", "2 months"), written(tmp_path, "new.yaml", "3 months", since="2027-01-01")
    told = asked(new, "--before", old, "--cases", lines(tmp_path, LINE), "--lang", "en")
    assert told == "0 of 1 cases would change, 0 time limits.\n"


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    new = written(tmp_path, "new.yaml", "3 months")
    bad = lines(tmp_path, LINE, {**LINE, "procedure": 7, "facts": []})
    refused = RUN.invoke(app, ["clocks", "impact", str(new), "--cases", str(bad)])
    assert str(refused.exception) == "line 2: `procedure` is a text"
    broken = written(tmp_path, "broken.yaml", "some time")
    refused = RUN.invoke(app, ["clocks", "impact", str(broken), "--cases", str(bad)])
    assert "broken.yaml:13" in str(refused.exception)


def test_the_read_model_holds_the_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = written(tmp_path, "new.yaml", "9 months", procedure="association.subvention")
    monkeypatch.setenv("RELAIS_READ_MODEL", f"sqlite:///{tmp_path / 'read.db'}")
    monkeypatch.setenv("RELAIS_REFERENCE_KEY", SECRET.hex())
    nothing = RUN.invoke(app, ["clocks", "impact", str(new)])
    assert "the read model is empty" in str(nothing.exception)
    town = Town(tmp_path)

    async def state(*facts: bytes) -> None:
        await town.bus.write([Order("case-events", 0, b"", fact) for fact in facts])

    grant = "association.subvention"
    asyncio.run(
        state(
            event("case.opened", "case:viriat/S1", 20_000, 1, procedure=grant),
            event("case.opened", "case:viriat/S2", 20_000, 1, procedure=grant),
            event("case.closed", "case:viriat/S2", 20_001, 2),
            event("case.opened", "case:viriat/S3", 20_000, 1, procedure="test.simple"),
        )
    )
    town.database.close()
    told = asked(new, "--lang", "en", "--on", "2024-10-20")
    assert told.startswith("case:viriat/S1 – Answer [decision]: +212 d\n  before : Last day: Wednesday 4 December 2024")
    assert "\n  after : no time limit\n" in told
    assert told.endswith("1 of 1 cases would change, 2 time limits.\n")
