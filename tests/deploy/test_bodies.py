"""`relais bodies` and the packaged territory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from connectors.gateway.access import Access, read
from deploy.cli import app
from deploy.commands.bodies import BodiesError
from deploy.rules import directory
from schemas import definitions
from schemas.directory import BodyKind


def relais(folder: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["bodies", *arguments, "--data-dir", str(folder)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output.strip()


def test_a_body_gets_a_token_that_is_kept_as_a_hash_and_can_be_revoked(tmp_path: Path) -> None:
    relais(tmp_path, "add", "viriat", "--procedure", "urbanisme.pc-maison", "--type", "handoff.*")
    token = relais(tmp_path, "token", "viriat", "--label", "ads")
    file = tmp_path / "bodies.json"
    assert token not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    access = Access(file, look_every_s=0)
    grant = access.grant(token)
    assert grant is not None
    assert grant.body == "viriat"
    assert grant.may_state("handoff.sent", "urbanisme.pc-maison")
    assert grant.may_state("handoff.sent", None)
    assert not grant.may_state("handoff.sent", "apa")
    assert not grant.may_state("case.opened", None)
    relais(tmp_path, "add", "viriat")
    assert (changed := access.grant(token)) is not None
    assert changed.may_state("case.opened", "apa")
    (row,) = json.loads(relais(tmp_path, "list", "--json"))["bodies"]
    assert row["tokens"][0]["label"] == "ads"
    assert row["tokens"][0]["id"] in relais(tmp_path, "list")
    relais(tmp_path, "revoke", row["tokens"][0]["id"])
    assert access.grant(token) is None


def test_a_body_subscribes_until_it_is_said_to_end(tmp_path: Path) -> None:
    access = Access(tmp_path / "bodies.json", look_every_s=0)
    relais(tmp_path, "add", "viriat", "--subscribe")
    relais(tmp_path, "add", "peronnas")
    assert access.subscribers() == {"viriat"}
    relais(tmp_path, "add", "viriat", "--type", "handoff.*")
    relais(tmp_path, "subscribe", "peronnas")
    assert access.subscribers() == {"viriat", "peronnas"}
    assert "inbox.peronnas" in relais(tmp_path, "list")
    relais(tmp_path, "subscribe", "peronnas", "--end")
    relais(tmp_path, "add", "viriat", "--no-subscribe")
    assert access.subscribers() == frozenset()


def test_an_operator_sees_all_and_states_nothing(tmp_path: Path) -> None:
    token = relais(tmp_path, "token", "--operator")
    grant = Access(tmp_path / "bodies.json").grant(token)
    assert grant is not None
    assert grant.body is None
    assert not grant.may_state("case.opened", None)


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "nobody"),
        ("add", "viriat", "--type", "case.eaten"),
        ("token", "viriat"),
        ("token",),
        ("revoke", "0"),
        ("subscribe", "viriat"),
    ],
)
def test_what_cannot_be_is_told_and_changes_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(BodiesError):
        relais(tmp_path, *arguments)
    assert not read(tmp_path / "bodies.json").bodies


def test_the_packaged_territory_is_sound() -> None:
    bodies = directory().by_id()
    assert {"viriat", "peronnas", "bourg-en-bresse", "grand-bourg", "departement-ain"} <= bodies.keys()
    assert {"prefecture-ain", "udap-01", "ccas-bourg-en-bresse"} <= bodies.keys()
    phones = [c.phone for b in bodies.values() for c in b.contacts.values() if c.phone]
    assert all(phone.startswith("04 00 00 00 ") for phone in phones)
    assert all(
        contact.mail.endswith(".example") for b in bodies.values() for contact in b.contacts.values() if contact.mail
    )


def test_every_kind_of_body_that_plays_a_role_can_be_in_a_directory() -> None:
    named = {kind for journey in definitions.load() for role in journey.roles for kind in role.bodies}
    assert named <= set(get_args(BodyKind))
