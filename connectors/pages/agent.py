"""/agent: for a body without software of its own: what is to be done, and every fact that it states, as a form."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from connectors.gateway import access
from connectors.gateway.access import Grant
from connectors.gateway.codes import opens
from connectors.gateway.problems import ProblemError, Trouble
from connectors.pages import desk, facts, labels, papers
from connectors.pages.accounts import Role
from connectors.pages.citizen import full, short
from connectors.pages.consequences import consequences
from connectors.pages.drafts import Draft, draft, message
from connectors.pages.forms import Input, Said, errors_of
from connectors.pages.rendering import render
from connectors.pages.sending import send
from connectors.pages.sessions import Sessions, Worker
from connectors.pages.site import Pages, Site, go
from streams.engine.counting import to_day
from streams.engine.words import day_in_words

_SAID = {"fait": "C'est enregistré.", "bientot": "C'est enregistré ; l'affichage suivra dans quelques secondes."}
_TROUBLE = {
    "mort": "Ce document n'est plus là, ou le droit de le prendre a été retiré : demandez-le à l'expéditeur.",
    "perime": "Le droit de prendre ce document est passé : demandez à l'expéditeur de le transmettre de nouveau.",
    "attente": "Ce document ne peut pas être pris pour l'instant : réessayez dans quelques minutes.",
}


class Agent:
    """The pages of an agent."""

    def __init__(self, site: Site, sessions: Sessions) -> None:
        self._site = site
        self._sessions = sessions

    def add_to(self, pages: Pages) -> None:
        """Add the routes."""
        pages.add("agent", "/agent", self.cases)
        pages.add("agent-inbox", "/agent/recus", self.items)
        pages.add("agent-item", "/agent/recu", self.item)
        pages.add("agent-document", "/agent/document", self.document)
        pages.add("agent-case", "/agent/dossier", self.case)
        pages.add("agent-links", "/agent/liens", self.links)
        pages.add("agent-fact", "/agent/fait", self.form, self.said)

    async def _page(self, request: Request, template: str, look: Callable[[str], dict[str, Any] | None]) -> Response:
        worker = self._sessions.who(request)
        if worker is None:
            return go("/entrer?vers=/agent")
        if worker.body is None:
            raise ProblemError(Trouble.NOT_ALLOWED, "no role for any body")
        values = await run_in_threadpool(look, worker.body)
        if values is None:
            raise ProblemError(Trouble.NOT_FOUND, "the body has no such case")
        return await self._render(request, worker, template, values)

    async def _render(
        self, request: Request, worker: Worker, template: str, values: dict[str, Any], status: int = 200
    ) -> Response:
        body = worker.body or ""
        base = {
            "worker": worker, "body": labels.body(self._site.book, body), "may": worker.role is Role.AGENT,
            "bodies": [(b, labels.body(self._site.book, b)) for b in sorted(worker.account.roles)], "groups": facts.GROUPS,
            "titles": facts.TITLES, "states": labels.CASE_STATES, "said": _SAID.get(request.query_params.get("dit", "")),
            "trouble": _TROUBLE.get(request.query_params.get("dit", "")),
            "waiting": await run_in_threadpool(desk.waiting, self._site, body), "today": self._site.today(body).isoformat(),
            "handoff_states": labels.HANDOFF_STATES, "choices": facts.CHOICES,
        }  # fmt: skip
        return render(request, template, base | values, "fr", status)

    # -- looking
    async def cases(self, request: Request) -> Response:
        """Cases by legal date."""
        state, page = request.query_params.get("etat", ""), _page_of(request)

        def look(body: str) -> dict[str, Any]:
            rows, more = desk.cases(self._site, body, state, page)
            return {"rows": rows, "more": more, "page": page, "state": state}

        return await self._page(request, "agent-cases.html", look)

    async def items(self, request: Request) -> Response:
        """What other bodies have handed over."""
        page = _page_of(request)

        def look(body: str) -> dict[str, Any]:
            rows, more = desk.items(self._site, body, page)
            return {"rows": rows, "more": more, "page": page}

        return await self._page(request, "agent-items.html", look)

    async def item(self, request: Request) -> Response:
        """One item."""
        handoff = request.query_params.get("passage", "")
        return await self._page(request, "agent-item.html", lambda body: {"item": desk.item(self._site, body, handoff)})

    async def document(self, request: Request) -> Response:
        """A document of an item."""
        worker = self._sessions.who(request)
        if worker is None:
            return go("/entrer?vers=/agent")
        if worker.body is None:
            raise ProblemError(Trouble.NOT_ALLOWED, "no role for any body")
        asked = request.query_params
        item = await run_in_threadpool(self._site.gateway.inbox.shown, worker.body, asked.get("passage", ""))
        return await papers.fetched(self._site, item, asked.get("n", ""), worker.body)

    async def case(self, request: Request) -> Response:
        """One case."""
        case = request.query_params.get("dossier", "")

        def look(body: str) -> dict[str, Any] | None:
            found = desk.journey(self._site, body, case)
            return None if found is None else {"journey": found, "number": labels.number(case)}

        return await self._page(request, "agent-case.html", look)

    async def links(self, request: Request) -> Response:
        """Links that wait for the body's word."""
        return await self._page(request, "agent-links.html", lambda body: {"rows": desk.links(self._site, body)})

    # -- stating
    async def form(self, request: Request) -> Response:
        """The form of a kind of fact."""
        worker = self._sessions.who(request)
        if worker is None:
            return go("/entrer?vers=/agent")
        body = _speaks(worker)
        made = await run_in_threadpool(draft, self._site, body, dict(request.query_params))
        said = made.initial | {"id": secrets.token_hex(16), "_handoff": made.handoff}
        return await self._form(request, worker, made, said, {})

    async def _form(
        self, request: Request, worker: Worker, made: Draft, said: Said, errors: dict[str, str]
    ) -> Response:
        labelled = {f.name: f"{f.label} : {errors[f.name]}" for f in made.fields if f.name in errors}
        address = _address(request)
        values = {"draft": made, "values": said, "errors": errors, "labelled": labelled, "address": address}
        return await self._render(request, worker, "agent-form.html", values, 422 if errors else 200)

    async def said(self, request: Request) -> Response:
        """What was typed: mend it, see what it would change, or state it."""
        worker, pairs = await self._sessions.checked(request)
        body, said = _speaks(worker), dict(pairs)
        made = await run_in_threadpool(draft, self._site, body, dict(request.query_params))
        if not said.get("id", "").isalnum() or len(said["id"]) > 64:
            raise ProblemError(Trouble.MALFORMED_REQUEST, "the form has lost its id")
        if said.get("etape") == "corriger":
            return await self._form(request, worker, made, said, {})
        grant = self._grant(body)
        try:
            journey = await self._joined(said)
            event = await run_in_threadpool(message, self._site, made, said, journey)
            if said.get("etape") == "envoyer":
                return await self._send(request, worker, made, event, grant)
            if made.type_ == "case.opened" and await run_in_threadpool(
                desk.has_case, self._site, body, event["subject"]
            ):
                return await self._form(request, worker, made, said, {"number": "Ce numéro est déjà pris."})
            take = partial(self._site.gateway.door.take, [event], grant, batch=False, codes=False)
            (taken,) = await run_in_threadpool(take)
        except _CodeError:
            return await self._form(
                request, worker, made, said, {"code": "La référence et le code ne vont pas ensemble."}
            )
        except ProblemError as error:
            if not error.flaws:
                raise
            return await self._form(request, worker, made, said, errors_of(error.flaws, made.fields))
        found = await run_in_threadpool(consequences, self._site, body, taken.value)
        told = [
            (f.label, _told(f, said[f.name].strip()))
            for f in made.fields
            if f.name != "code" and said.get(f.name, "").strip()
        ]
        values = {"draft": made, "values": said, "found": found, "told": told, "address": _address(request)}
        return await self._render(request, worker, "agent-check.html", values)

    async def _send(
        self, request: Request, worker: Worker, made: Draft, event: dict[str, Any], grant: Grant
    ) -> Response:
        taken, shown = await send(self._site, event, grant, codes=made.type_ == "case.opened")
        if made.type_ == "case.opened":
            values = {"reference": short(taken.subject), "case": taken.subject, "code": taken.code}
            return await self._render(request, worker, "agent-ticket.html", values)
        query = {"passage": made.handoff} if made.type_ in facts.ITEM else {"dossier": taken.subject}
        path = "/agent/recu" if made.type_ in facts.ITEM else "/agent/dossier"
        return go(f"{path}?{urlencode(query | {'dit': 'fait' if shown else 'bientot'})}")

    def _grant(self, body: str) -> Grant:
        """What the body may state: its policy, or everything if none was made for it."""
        member = access.read(self._site.bodies_file).bodies.get(body, access.Member())
        return Grant(body=body, procedures=member.procedures, types=member.types)

    async def _joined(self, said: Said) -> str | None:
        """The journey id for which a person's reference and code are exchanged at the counter."""
        known, code = said.get("known", "").strip(), said.get("code", "").strip()
        if not known and not code:
            return None
        gateway, whole = self._site.gateway, full(known)
        if gateway.tries.wait(f"reference {whole[:200]}"):
            raise ProblemError(Trouble.TOO_MANY_REQUESTS, "too many codes were tried")
        hashes = await run_in_threadpool(gateway.asking.access_codes, whole)
        if not await run_in_threadpool(opens, code, hashes):
            raise _CodeError
        return await run_in_threadpool(gateway.asking.journey_id, whole)


class _CodeError(Exception):
    """A reference and a code that do not match."""


def _speaks(worker: Worker) -> str:
    """The body for which somebody may state facts."""
    if worker.body is None or worker.role is not Role.AGENT:
        raise ProblemError(Trouble.NOT_ALLOWED, "agents only")
    return worker.body


def _address(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}"


def _told(field: Input, value: str) -> str:
    if field.kind == "day":
        return day_in_words(to_day(date.fromisoformat(value)), "fr")
    return str(dict(field.options).get(value, value)) if field.kind == "choice" else value


def _page_of(request: Request) -> int:
    text = request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 5 else 1
