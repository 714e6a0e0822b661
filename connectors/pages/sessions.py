"""Signing in and out, for agents and operators; who speaks in a request, and that the form is ours."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from connectors.gateway.problems import ProblemError, Trouble
from connectors.pages import accounts
from connectors.pages.accounts import MAX_PASSWORD, Account, Role
from connectors.pages.rendering import render
from connectors.pages.sealing import Cookie
from connectors.pages.site import Pages, Site, address_of, form_of, go

SESSION_S = 8 * 3600
_WRONG = "Le nom et le mot de passe ne vont pas ensemble."
_TOO_MANY = "Trop d'essais. Attendez une minute, puis recommencez."


@dataclass(frozen=True, slots=True)
class Worker:
    """Who is signed in."""

    name: str
    account: Account
    body: str | None
    """The body for which they work now."""
    csrf: str
    """What every form of theirs has to bring back."""

    @property
    def role(self) -> Role | None:
        """What they may do for that body."""
        return self.account.roles.get(self.body) if self.body else None


class Sessions:
    """The sign-in of a deployment."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._cookie = Cookie(site.seal, "relais_session", "/", SESSION_S, site.secure_cookies)

    def add_to(self, pages: Pages) -> None:
        """Add the routes."""
        pages.add("sign-in", "/entrer", self.form, self.enter)
        pages.add("sign-out", "/sortir", post=self.leave)
        pages.add("choose-body", "/changer", post=self.choose)

    def who(self, request: Request) -> Worker | None:
        """Who sent a request, if the account still is as it was when they signed in."""
        kept = self._cookie.read(request)
        if kept is None:
            return None
        found = accounts.read(self._site.agents_file).people.get(kept["n"])
        if found is None or found.version != kept["v"]:
            return None
        body = kept["b"] if kept["b"] in found.roles else None
        return Worker(kept["n"], found, body, self._site.seal.mark("csrf", kept["s"]))

    async def form(self, request: Request) -> Response:
        """The form."""
        return self._form(request, {}, "")

    def _form(self, request: Request, errors: dict[str, str], name: str, status: int = 200) -> Response:
        values = {"errors": errors, "name": name, "then": _then(request)}
        return render(request, "sign-in.html", values, "fr", status)

    async def enter(self, request: Request) -> Response:
        """Check name and password."""
        said = dict(await form_of(request))
        name, password = said.get("name", "").strip()[:100], said.get("password", "")[: MAX_PASSWORD + 1]
        wait = max(self._site.tries.wait(f"address {address_of(request)}"), self._site.tries.wait(f"name {name}"))
        if wait:
            return self._form(request, {"name": _TOO_MANY}, name, 429)
        found = await run_in_threadpool(accounts.check, accounts.read(self._site.agents_file), name, password)
        if found is None:
            return self._form(request, {"name": _WRONG}, name, 422)
        then = _then(request) or ("/agent" if found.roles else "/pilotage")
        answer = go(then)
        session = {"n": name, "v": found.version, "b": next(iter(found.roles), None), "s": secrets.token_hex(16)}
        self._cookie.write(answer, session)
        return answer

    async def leave(self, request: Request) -> Response:
        """Forget the session."""
        await self.checked(request)
        answer = go("/entrer")
        self._cookie.clear(answer)
        return answer

    async def choose(self, request: Request) -> Response:
        """Work for another body."""
        worker, said = await self.checked(request)
        kept: dict[str, Any] = self._cookie.read(request) or {}
        body = dict(said).get("body", "")
        if body not in worker.account.roles:
            raise ProblemError(Trouble.NOT_ALLOWED, "no role for that body")
        answer = go("/agent")
        self._cookie.write(answer, kept | {"b": body})
        return answer

    async def checked(self, request: Request) -> tuple[Worker, list[tuple[str, str]]]:
        """Who sent a form, and its fields, once it is sure that it is a form of theirs. Raises `ProblemError`."""
        worker = self.who(request)
        if worker is None:
            raise ProblemError(Trouble.UNAUTHENTICATED, "sign in")
        said = await form_of(request)
        if not compare_digest(dict(said).get("_csrf", "").encode(), worker.csrf.encode()):
            raise ProblemError(Trouble.NOT_ALLOWED, "the form is not of this session")
        return worker, [(name, value) for name, value in said if name != "_csrf"]


def _then(request: Request) -> str:
    """Where to go after signing in: a page of ours, or nothing."""
    wanted = request.query_params.get("vers", "")
    return wanted if wanted in ("/agent", "/pilotage") else ""
