"""/suivi: a person follows a request with a reference and a secret code, and nothing else.

Neither of the two is ever in an address. The cookie holds the reference, signed, for half an hour.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from connectors.gateway.codes import opens
from connectors.pages.rendering import render
from connectors.pages.sealing import Cookie
from connectors.pages.site import Pages, Site, address_of, form_of, go
from connectors.pages.standing import stand
from connectors.pages.telling import tell
from connectors.pages.texts import TEXTS, language_of, pick
from schemas.references import MAX_LENGTH, Kind
from streams.engine.visibility import Person

SESSION_S = 30 * 60
_KINDS = tuple(f"{kind.name.lower()}:" for kind in Kind)


def full(reference: str) -> str:
    """A reference as people write it (`viriat/PC-1`) in its whole form."""
    text = reference.strip()
    return text if text.startswith(_KINDS) or "/" not in text else f"case:{text}"


def short(reference: str) -> str:
    """A reference as people read it."""
    return reference.removeprefix("case:")


class Citizen:
    """The pages of a person."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._cookie = Cookie(site.seal, "relais_suivi", "/suivi", SESSION_S, site.secure_cookies)

    def add_to(self, pages: Pages) -> None:
        """Add the routes."""
        pages.add("citizen-form", "/suivi", self.form, self.enter)
        pages.add("citizen-status", "/suivi/demande", self.status)
        pages.add("citizen-leave", "/suivi/fermer", post=self.leave)

    async def form(self, request: Request) -> Response:
        """The form."""
        return self._form(request, {}, "", late="fin" in request.query_params)

    def _form(
        self, request: Request, errors: dict[str, str], reference: str, status: int = 200, late: bool = False
    ) -> Response:
        values = {"errors": errors, "reference": reference, "late": late}
        return render(request, "citizen-form.html", values, language_of(request), status)

    async def enter(self, request: Request) -> Response:
        """Check reference and code: one answer for all that is wrong."""
        said = dict(await form_of(request))
        reference, code = said.get("reference", "")[: 2 * MAX_LENGTH], said.get("code", "")[:100]
        language = language_of(request)
        missing = {
            name: pick(TEXTS[f"no-{name}"], language)
            for name, value in (("reference", reference), ("code", code))
            if not value.strip()
        }
        if missing:
            return self._form(request, missing, reference, 422)
        whole = full(reference)
        wait = max(
            self._site.tries.wait(f"address {address_of(request)}"),
            self._site.gateway.tries.wait(f"reference {whole[:200]}"),
        )
        if wait:
            text = pick(TEXTS["too-many"], language).format(minutes=int(wait // 60) + 1)
            found = self._form(request, {"reference": text}, reference, 429)
            found.headers["Retry-After"] = str(int(wait) + 1)
            return found
        hashes = await run_in_threadpool(self._site.gateway.asking.access_codes, whole)
        if not await run_in_threadpool(opens, code, hashes):
            return self._form(request, {"reference": pick(TEXTS["wrong"], language)}, reference, 422)
        answer = go(_at("/suivi/demande", language))
        self._cookie.write(answer, {"r": whole})
        return answer

    async def status(self, request: Request) -> Response:
        """Where the request stands."""
        language = language_of(request)
        kept = self._cookie.read(request)
        if kept is None:
            return go(_at("/suivi?fin", language))
        journey = await run_in_threadpool(self._site.gateway.asking.journey, kept["r"], Person())
        if journey is None:
            answer = go(_at("/suivi?fin", language))
            self._cookie.clear(answer)
            return answer
        book = self._site.book
        today = self._site.today()
        found = stand(journey, book, today)
        told = tell(journey, found, book, language, today)
        values = {"told": told, "journey": journey, "reference": short(kept["r"])}
        return render(request, "citizen-status.html", values, language)

    async def leave(self, request: Request) -> Response:
        """Forget the session."""
        answer = go(_at("/suivi", language_of(request)))
        self._cookie.clear(answer)
        return answer


def _at(path: str, language: str) -> str:
    return path if language == "fr" else f"{path}{'&' if '?' in path else '?'}lang=en"
