"""`relais agents`: accounts from the command line; a password is shown once and never kept."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from connectors.pages.accounts import check, read
from deploy.cli import app


def run(tmp_path: Path, *args: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["agents", *args, "--data-dir", str(tmp_path)], input=text)


def test_an_account_from_made_to_removed(tmp_path: Path) -> None:
    made = run(tmp_path, "add", "viriat", "agnes")
    password, file = made.stdout.strip(), tmp_path / "agents.json"
    assert made.exit_code == 0
    assert password not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    again = run(tmp_path, "add", "grand-bourg", "agnes", "--reader")
    assert (again.exit_code, again.stdout) == (0, "")
    assert run(tmp_path, "operator", "camille", "--password-stdin", text="a long password\n").exit_code == 0
    listed = run(tmp_path, "list").stdout
    assert listed == "agnes: reader of grand-bourg, agent of viriat\ncamille: operator\n"
    assert check(read(file), "agnes", password) is not None
    assert check(read(file), "camille", "a long password") is not None
    changed = run(tmp_path, "password", "agnes").stdout.strip()
    assert check(read(file), "agnes", password) is None
    assert check(read(file), "agnes", changed) is not None
    assert run(tmp_path, "remove", "agnes").exit_code == 0
    assert list(read(file).people) == ["camille"]


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("add", "nowhere", "agnes"), None),
        (("add", "viriat", "Agnès !"), None),
        (("add", "viriat", "agnes", "--password-stdin"), "short\n"),
        (("password", "nobody"), None),
        (("remove", "nobody"), None),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, args: tuple[str, ...], text: str | None) -> None:
    answer = run(tmp_path, *args, text=text)
    assert answer.exit_code != 0
    assert type(answer.exception).__name__ == "AgentsError"
    assert not read(tmp_path / "agents.json").people
