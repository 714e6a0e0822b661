"""What programs and people of the example open doors with, kept in `data_dir/tokens`, a file each that only its owner reads.

The registers themselves keep hashes alone, so what is in these files is made anew where a file or its entry is missing.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.gateway import access
from connectors.gateway.access import Member, digest_of, new_token
from connectors.pages import accounts
from connectors.pages.accounts import Accounts, Role

if TYPE_CHECKING:
    from deploy.settings import Settings

OPERATOR = "operator"
"""Name of the file of the operator's token."""
PERSON = "exemple"
"""Name of the account, and of the file of its password."""


def ensure_tokens(settings: Settings, bodies: Sequence[str]) -> tuple[dict[str, str], int]:
    """A token for each body and for an operator, that of the last start where it still opens; and how many are new."""
    found: dict[str, str] = {}
    fresh = 0
    with access.changing(settings.bodies_path) as held:
        for name in (*bodies, OPERATOR):
            register, path = held[0], _file(settings, name)
            member = register.bodies.get(name, Member())
            known = register.operators if name == OPERATOR else member.tokens
            text = _kept(path)
            if digest_of(text) not in {t.digest for t in known}:
                text, token = new_token("example")
                fresh += 1
                _keep(path, text)
                grown = (*known, token)
                update: dict[str, object] = (
                    {"operators": grown}
                    if name == OPERATOR
                    else {"bodies": {**register.bodies, name: member.model_copy(update={"tokens": grown})}}
                )
                held[0] = register.model_copy(update=update)
            found[name] = text
    return found, fresh


def ensure_person(settings: Settings, bodies: Sequence[str]) -> None:
    """An account that works for each of these bodies and may use the page of operations."""
    path = _file(settings, PERSON)
    with accounts.changing(settings.agents_path) as people:
        made = accounts.check(Accounts(people=people), PERSON, _kept(path))
        if made is None:
            password = secrets.token_urlsafe(15)
            _keep(path, password)
            made = accounts.account(password)
        people[PERSON] = made.model_copy(update={"roles": dict.fromkeys(bodies, Role.AGENT), "operator": True})


def _file(settings: Settings, name: str) -> Path:
    folder = settings.data_dir / "tokens"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / name


def _kept(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _keep(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text + "\n")
