"""Accounts of people who work here: a small file, passwords hashed (argon2id), a role for each body."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from hashlib import blake2b
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from pydantic import BaseModel, ConfigDict

MIN_PASSWORD = 12
"""Characters of a password, at least."""
MAX_PASSWORD = 200
_HASHER = PasswordHasher()


class Role(StrEnum):
    """What somebody may do for a body."""

    AGENT = "agent"
    """See, and state facts."""
    READER = "reader"
    """See."""


class Account(BaseModel):
    """One person, by a name to sign in with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    password: str
    """Hash, argon2id with its parameters."""
    roles: dict[str, Role] = {}
    """By body."""
    operator: bool = False
    """Runs the bus: sees all, takes care of alerts, puts dead letters back."""
    made_on: str
    """Day, ISO 8601."""

    @property
    def version(self) -> str:
        """Changes with the password: a session of the old one ends."""
        return blake2b(self.password.encode(), digest_size=8).hexdigest()


class Accounts(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: dict[str, Account] = {}


def hashed(password: str) -> str:
    """What is kept of a password."""
    return _HASHER.hash(password)


def account(password: str) -> Account:
    """A new account without any role."""
    return Account(password=hashed(password), made_on=datetime.now(UTC).date().isoformat())


@cache
def _nobody() -> str:
    return hashed("the password of nobody")


def check(accounts: Accounts, name: str, password: str) -> Account | None:
    """The account of a name and its password; takes the same time for a name that is not there."""
    found = accounts.people.get(name)
    try:
        _HASHER.verify(found.password if found else _nobody(), password)
    except (VerifyMismatchError, InvalidHashError):
        return None
    return found


def read(path: Path) -> Accounts:
    """The accounts of a file; none if there is no file."""
    try:
        return Accounts.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Accounts()


@contextmanager
def changing(path: Path) -> Iterator[dict[str, Account]]:
    """Change the accounts by name. One writer at a time, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        people = dict(read(path).people)
        yield people
        draft = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(Accounts(people=people).model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
