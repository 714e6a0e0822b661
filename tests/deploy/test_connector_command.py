"""`relais connector`: what it tells without a bus, and how it refuses what cannot be used."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.kit import spec as specs
from connectors.kit.zones import Zoned
from deploy.cli import app
from deploy.commands.connector import ConnectorFileError


def _said(*arguments: str, code: int = 0) -> str:
    found = CliRunner().invoke(app, ["connector", *arguments])
    if isinstance(found.exception, ConnectorFileError):
        assert code == 2
        return str(found.exception)
    assert found.exit_code == code, found.output
    return found.output


def test_every_connector_that_is_installed_can_be_told() -> None:
    told = [json.loads(line) for line in _said("list", "--json").splitlines()]
    assert {"event-log", "sql-outbox", "files", "folder"} <= {one["name"] for one in told}
    for one in told:
        assert one["kind"] in ("source", "sink")
        assert one["about"], one["name"]
        fields = json.loads(_said("describe", one["name"], "--json"))["properties"]
        assert [name for name, field in fields.items() if not field.get("description") and "$ref" not in field] == []
        words = _said("describe", one["name"])
        assert all(name in words for name in fields)


def test_the_fields_of_a_part_are_told_too() -> None:
    told = _said("describe", "sql-poll")
    assert "  vanished (optional)\n" in told
    assert "  vanished.ledger (needed)\n      File that remembers" in told
    assert "  overlap (default 600)" in told
    told = _said("describe", "files")
    assert "  ready (default 'stable')" in told
    assert "  format[csv].delimiter (default ';')" in told
    assert "  place.sftp (needed)" in told


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "own.yaml:0: there is no such file" in _said("check", str(tmp_path / "own.yaml"), code=2)


def test_files_of_every_connector_can_be_begun_and_say_what_is_to_be_filled_in(tmp_path: Path) -> None:
    for one in (json.loads(line) for line in _said("list", "--json").splitlines()):
        _said("new", one["name"], "--connector", one["name"], "--folder", str(tmp_path / one["name"]))
        text = (tmp_path / one["name"] / f"{one['name']}.yaml").read_text()
        assert f"connector: {one['name']}" in text
    _said("new", "files", "--connector", "files", "--folder", str(tmp_path / "files"), code=2)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("every: 30s", "every: 30"), "own.yaml:7: every: write a number and ms, s, m or h, such as 30s"),
        (("body: viriat", "body: Viriat"), "own.yaml:3: body: the id of a body is"),
        (("Europe/Paris", "Europe/Bourg"), "own.yaml:5: time_zone: there is no such time zone"),
        (("own.py:Source", "nothing"), "own.yaml:2: connector: there is no connector of this name"),
        (("own.py:Source", "own.py:Sauce"), "own.yaml:2: connector: this class cannot be loaded"),
        (("file: records.txt", "files: records.txt"), "own.yaml:10: config.files: there is no such field"),
        (("mapping: own.map.yaml\n", ""), "mapping: a source needs a mapping"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_by_line_and_field(
    tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    _said("new", "own", "--folder", str(tmp_path))
    file = tmp_path / "own.yaml"
    assert change[0] in file.read_text()
    file.write_text(file.read_text().replace(*change))
    assert told in _said("check", str(file), code=2)


@pytest.mark.parametrize(
    ("connector", "config"),
    [
        ("sql-poll", '{url: "sqlite:///x", table: t, key: [n]}'), ("sql-outbox", '{url: "sqlite:///x"}'),
        ("sql-receipts", '{url: "sqlite:///x"}'), ("http-poll", '{url: "https://x.example", key: /n}'),
    ],
)  # fmt: skip
def test_the_time_zone_is_said_once_and_handed_over(tmp_path: Path, connector: str, config: str) -> None:
    _said("new", "own", "--connector", connector, "--zone", "Indian/Reunion", "--folder", str(tmp_path))
    file = tmp_path / "own.yaml"
    head, _, rest = file.read_text().partition("config:")
    assert "time_zone" not in rest
    file.write_text(f"{head}config: {config}\n")
    made = specs.load(file).config
    assert isinstance(made, Zoned)
    assert made.zone.key == "Indian/Reunion"
    file.write_text(f"{head}config: {config[:-1]}, time_zone: Europe/Paris}}\n")
    assert "config.time_zone: leave it out: time_zone at the head of the file" in _said("check", str(file), code=2)


def test_records_that_change_and_bear_no_version_are_told(tmp_path: Path) -> None:
    _said("new", "own", "--folder", str(tmp_path))
    file, code, records = tmp_path / "own.yaml", tmp_path / "own.py", tmp_path / "records.txt"
    records.write_text("A;01/03/2026\nB;01/03/2026\nA;02/03/2026\nA;01/03/2026\n")
    assert "several states" not in _said("dry-run", str(file))
    assert "version=str(at), " in code.read_text()
    code.write_text(code.read_text().replace("version=str(at), ", ""))
    assert "1 of 2 records come in several states, without a version" in _said("dry-run", str(file))
    records.write_text("A;01/03/2026\nB;01/03/2026\nA;01/03/2026\n")
    assert "several states" not in _said("dry-run", str(file)), "a repeat is a repeat"


def test_a_date_that_moves_with_any_change_is_told(tmp_path: Path) -> None:
    """It is how a sink that writes into the same rows would go in circles with the source."""
    with closing(sqlite3.connect(tmp_path / "permits.db")) as base:
        base.execute("CREATE TABLE permits (number TEXT PRIMARY KEY, received_on TEXT, touched_on TIMESTAMP)")
    _said("new", "own", "--connector", "sql-poll", "--folder", str(tmp_path))
    file, mapping = tmp_path / "own.yaml", tmp_path / "own.map.yaml"
    config = f'{{url: "sqlite:///{tmp_path}/permits.db", table: permits, key: [number], modified: touched_on}}'
    file.write_text(f"{file.read_text().partition('config:')[0]}config: {config}\n")
    assert "states it again" not in _said("check", str(file))
    mapping.write_text(mapping.read_text().replace("$date(received_on)", "$date(touched_on)"))
    assert "case.opened is dated by touched_on: any change of the record states it again" in _said("check", str(file))


def test_what_its_body_may_not_state_is_said_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the register of the gateway, which every door goes by."""
    register = tmp_path / "bodies.json"
    monkeypatch.setenv("RELAIS_BODIES_FILE", str(register))
    _said("new", "own", "--folder", str(tmp_path))
    (tmp_path / "records.txt").write_text("A;01/03/2026\n")
    _said("check", str(tmp_path / "own.yaml"))
    register.write_text('{"bodies": {"viriat": {"types": ["handoff.*"]}}}')
    told = _said("check", str(tmp_path / "own.yaml"), code=1)
    assert "NOT viriat may not state case.opened about urbanisme.pc-maison" in told
    assert "not-allowed" in _said("dry-run", str(tmp_path / "own.yaml"), code=1)


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (("case: number", "case: numero"), 1, "own.map.yaml:3: case: numero gives nothing for this record"),
        (("$date(received_on)", "$date(recu_le)"), 1, "own.map.yaml:9: events.0.on: $date(recu_le) gives nothing for this record"),
        (("$date(received_on)", "$date(received_on"), 2, "own.map.yaml:9: events.0.on: JSONata error S0203 at character 17: Expected )"),
        (("case.opened", "case.open"), 2, "events.0.states: there is no such event"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_mapping_is_told(tmp_path: Path, change: tuple[str, str], code: int, told: str) -> None:
    _said("new", "own", "--folder", str(tmp_path))
    (tmp_path / "records.txt").write_text("A;01/03/2026\n")
    mapping = tmp_path / "own.map.yaml"
    mapping.write_text(mapping.read_text().replace(*change, 1))
    said = _said("dry-run", str(tmp_path / "own.yaml"), code=code)
    assert told in said
    assert code == 2 or "its fields: number, received_on" in said


def test_a_table_of_labels_that_is_not_there_is_told(tmp_path: Path) -> None:
    _said("new", "own", "--folder", str(tmp_path))
    mapping = tmp_path / "own.map.yaml"
    (tmp_path / "records.txt").touch()
    mapping.write_text(mapping.read_text().replace("# when: $label('state'", "when: $label('stat'"))
    assert "labels has no table stat: every record with such a label waits" in _said(
        "check", str(tmp_path / "own.yaml")
    )


def test_what_is_to_be_filled_in_is_told_by_field(tmp_path: Path) -> None:
    _said("new", "own", "--connector", "sql-poll", "--folder", str(tmp_path))
    file = tmp_path / "own.yaml"
    said = _said("check", str(file), code=2)
    assert "config.url: fill this in. Address in SQLAlchemy's form" in said
    assert "config.key: fill this in. Columns that together name one record" in said
    file.write_text(
        file.read_text().replace("url: TO-FILL-IN", "url: sqlite:///x").replace("key: TO-FILL-IN", "key: numero")
    )
    assert "config.key: write a list: [one, another]." in _said("check", str(file), code=2)


def test_fields_that_take_several_forms_are_told_in_the_words_of_the_file(tmp_path: Path) -> None:
    for name in ("http-poll", "files"):
        _said("new", name, "--connector", name, "--folder", str(tmp_path))
    api, files = tmp_path / "http-poll.yaml", tmp_path / "files.yaml"
    head = api.read_text().partition("config:")[0]
    api.write_text(f"{head}config: {{url: 'https://x.example', key: id}}\n")
    said = _said("check", str(api), code=2)
    assert "config.key: a JSON pointer begins with a slash, such as /id" in said
    assert "[" not in said.partition("Where a record's own key")[0]
    head = files.read_text().partition("config:")[0]
    files.write_text(f"{head}config: {{place: {{folder: x}}, key: [a], format: {{kind: xls}}}}\n")
    assert "config.format: write one of 'csv', 'jsonl', 'json', 'xml' as 'kind'" in _said("check", str(files), code=2)


def test_advice_is_shown_where_all_is_well_and_a_mend_where_it_is_not(tmp_path: Path) -> None:
    _said("new", "own", "--folder", str(tmp_path))
    assert "correct config.file" in _said("check", str(tmp_path / "own.yaml"), code=1)
    (tmp_path / "records.txt").touch()
    said = _said("check", str(tmp_path / "own.yaml"))
    assert "the file is there" in said
    assert "correct config.file" not in said
    assert "add the body to the directory" not in said


def test_a_number_of_a_person_is_told(tmp_path: Path) -> None:
    _said("new", "own", "--folder", str(tmp_path))
    (tmp_path / "records.txt").write_text("A;01/03/2026\nA;02/03/2026\n")
    mapping = tmp_path / "own.map.yaml"
    shared = _said("dry-run", str(tmp_path / "own.yaml"))
    mapping.write_text(mapping.read_text().replace("case: number", "case: num_allocataire"))
    assert "seems to name a person or a household" in _said("check", str(tmp_path / "own.yaml"), code=1)
    assert "1 of 1 cases are opened by several records" not in shared, "one record in two states"
