"""Who holds which token, and what a body may state. A small file; of a token only the SHA-256 is kept.

A token has 256 random bits, so a plain hash is enough: there is nothing to guess.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel, ConfigDict

EVERYTHING = "*"
PREFIX = "relais_"


class Token(BaseModel):
    """One token, without itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """First eight characters of the digest: names it for whoever revokes it."""
    digest: str
    """SHA-256 of the token, hexadecimal."""
    label: str = ""
    """What it is for."""
    made_on: str
    """Day, ISO 8601."""


class Member(BaseModel):
    """A body that may speak through the gateway."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    procedures: tuple[str, ...] = (EVERYTHING,)
    """Procedures about which it may state facts; `*` for all. A fact without procedure is always allowed."""
    types: tuple[str, ...] = (EVERYTHING,)
    """Kinds of fact that it may state: `case.opened`, `handoff.*`, or `*`."""
    subscribes: bool = False
    """Whether what is handed to it is also written to a topic of its own, `inbox.<body>`."""
    tokens: tuple[Token, ...] = ()


class Register(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bodies: dict[str, Member] = {}
    operators: tuple[Token, ...] = ()
    """Tokens of those who run the bus: they see all, and state nothing."""


class Grant(BaseModel):
    """What the holder of a token may do."""

    model_config = ConfigDict(frozen=True)

    body: str | None
    """The body for which it speaks; None for an operator."""
    procedures: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    def may_state(self, type_: str, procedure: str | None) -> bool:
        """Whether its body may state this kind of fact about this procedure."""
        family = f"{type_.partition('.')[0]}.*"
        return not {EVERYTHING, family, type_}.isdisjoint(self.types) and (
            procedure is None or not {EVERYTHING, procedure}.isdisjoint(self.procedures)
        )


class Access:
    """The register on disk, read again when it changes."""

    def __init__(self, path: Path, look_every_s: float = 1.0) -> None:
        self._path = path
        self._every = look_every_s
        self._looked = -1e9
        self._stamp: tuple[int, int] | None = None
        self._grants: dict[str, Grant] = {}
        self._bodies: dict[str, Grant] = {}
        self._subscribers: frozenset[str] = frozenset()

    def grant(self, token: str) -> Grant | None:
        """What a token allows; None for an unknown or revoked one."""
        self._look()
        return self._grants.get(digest_of(token))

    def may_state(self, body: str, type_: str, procedure: str | None) -> bool:
        """Whether a body may state this kind of fact about this procedure, by whatever door; one that is not listed may."""
        self._look()
        grant = self._bodies.get(body)
        return grant is None or grant.may_state(type_, procedure)

    def subscribers(self) -> frozenset[str]:
        """The bodies whose inbox is a topic too."""
        self._look()
        return self._subscribers

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < self._every:
            return
        self._looked = now
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._grants, self._bodies, self._subscribers = None, {}, {}, frozenset()
            return
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            register = read(self._path)
            self._grants, self._bodies, self._stamp = _grants(register), _bodies(register), stamp
            self._subscribers = frozenset(body for body, member in register.bodies.items() if member.subscribes)


def _bodies(register: Register) -> dict[str, Grant]:
    return {
        body: Grant(body=body, procedures=member.procedures, types=member.types)
        for body, member in register.bodies.items()
    }


def _grants(register: Register) -> dict[str, Grant]:
    bodies = _bodies(register)
    grants = {token.digest: bodies[body] for body, member in register.bodies.items() for token in member.tokens}
    return grants | {token.digest: Grant(body=None) for token in register.operators}


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return sha256(token.encode(errors="replace")).hexdigest()


def new_token(label: str = "") -> tuple[str, Token]:
    """A new token: the text, shown once, and what is kept of it."""
    text = PREFIX + secrets.token_urlsafe(32)
    digest = digest_of(text)
    return text, Token(id=digest[:8], digest=digest, label=label, made_on=datetime.now(UTC).date().isoformat())


def read(path: Path) -> Register:
    """The register of a file; an empty one if there is no file."""
    try:
        return Register.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Register()


@contextmanager
def changing(path: Path) -> Iterator[list[Register]]:
    """Change the register: put the new one in the place of the only item. One writer at a time, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = [read(path)]
        yield held
        draft = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(held[0].model_dump(mode="json"), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
