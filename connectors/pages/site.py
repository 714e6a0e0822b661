"""What the pages are made of, and how each is answered: errors as pages, headers that let nothing in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib import resources
from pathlib import Path
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import structlog
from prometheus_client import Counter
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.gateway import requests
from connectors.gateway.app import Gateway
from connectors.gateway.codes import Limiter
from connectors.gateway.problems import ProblemError, Trouble
from connectors.pages.rendering import render
from connectors.pages.sealing import Seal
from connectors.pages.texts import language_of
from connectors.status.model import NotReadyError, ReadModel
from connectors.status.sources import Sources
from schemas.codec import Codec
from schemas.references import Keys
from streams.engine.book import Book

log = structlog.get_logger()

ANSWERS = Counter("relais_pages_answers_total", "Answers of the pages.", ["page", "status"])
FORM_BYTES = 64 * 1024
FORM_FIELDS = 200
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True, kw_only=True)
class Site:
    """What the pages are made of; whoever runs them puts it together."""

    gateway: Gateway
    """Takes facts and answers questions; pages call it, they do not go round it."""
    model: ReadModel
    keys: Keys
    events: Codec
    secret: bytes
    """Secret of the deployment, from which the signature of cookies is derived."""
    agents_file: Path
    """Accounts, kept by `relais agents`."""
    bodies_file: Path
    """Policies of bodies, kept by `relais bodies`."""
    workers: tuple[str, ...] = ()
    """Addresses of the workers' probes, `http://host:port`."""
    sources: Sources | None = None
    """Which software of bodies was heard last."""
    secure_cookies: bool = False
    """Send cookies by HTTPS alone: to be set wherever the pages are served by HTTPS."""
    seal: Seal = field(init=False)
    tries: Limiter = field(init=False)
    """Tries of a code or a password, for each address."""

    def __post_init__(self) -> None:
        self.seal = Seal(self.secret)
        self.tries = Limiter(per_minute=20, burst=20)

    @property
    def book(self) -> Book:
        """The rule book."""
        return self.gateway.asking.book

    def today(self, body: str | None = None) -> date:
        """Today, in the legal time of a body."""
        known = self.book.body(body) if body else None
        return datetime.now(ZoneInfo(known.zone if known else "Europe/Paris")).date()


class Pages:
    """Collects routes."""

    def __init__(self) -> None:
        self.routes: list[BaseRoute] = []

    def add(self, name: str, path: str, get: Handler | None = None, post: Handler | None = None) -> None:
        """Answer an address."""

        async def answer(request: Request) -> Response:
            call = post if request.method == "POST" else get
            assert call is not None
            try:
                if request.method == "POST" and request.headers.get("sec-fetch-site", "same-origin") == "cross-site":
                    raise ProblemError(Trouble.NOT_ALLOWED, "another site sent this form")
                found = await call(request)
            except ProblemError as error:
                found = failure(request, error.status, error.headers)
            except NotReadyError:
                found = failure(request, 503, {"Retry-After": "2"})
            except DBAPIError as error:
                log.warning("the read model does not answer", error=type(error).__name__)
                found = failure(request, 503, {"Retry-After": "2"})
            except Exception as error:  # noqa: BLE001 - a person gets a page, whatever happens; the log has the reason
                log.error("a page failed", page=name, error=type(error).__name__)
                found = failure(request, 500, {})
            ANSWERS.labels(name, str(found.status_code)).inc()
            return found

        methods = [*(["GET"] if get else []), *(["POST"] if post else [])]
        self.routes.append(Route(path, answer, methods=methods, name=name))


def failure(request: Request, status: int, headers: dict[str, str]) -> Response:
    """A page that says what went wrong and what to do."""
    kind = str(status) if status in (401, 403, 404, 409, 413, 429, 503) else "400" if status < 500 else "500"
    return render(request, "failure.html", {"kind": kind}, language_of(request), status, headers)


async def form_of(request: Request) -> list[tuple[str, str]]:
    """The fields of a form, in their order. Raises `ProblemError`."""
    if requests.media_type(request) != "application/x-www-form-urlencoded":
        raise ProblemError(Trouble.UNSUPPORTED_MEDIA_TYPE, "send a form")
    raw = await requests.content(request, FORM_BYTES)
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=FORM_FIELDS)
    except ValueError:
        raise ProblemError(Trouble.MALFORMED_REQUEST, "the form cannot be read") from None


def go(path: str) -> Response:
    """Go on by a GET."""
    return RedirectResponse(path, 303)


def address_of(request: Request) -> str:
    """From where a request comes; behind a proxy, what the server was told to believe of it."""
    return request.client.host if request.client else "unknown"


async def asset(request: Request) -> Response:
    """The style sheet and the icon: nothing else lies in that folder."""
    name = request.path_params["name"]
    if name not in _ASSETS:
        raise ProblemError(Trouble.NOT_FOUND, "there is no such file")
    content = (resources.files("connectors.pages") / "static" / name).read_bytes()
    return Response(content, headers={"Cache-Control": "public, max-age=86400"}, media_type=_ASSETS[name])


_ASSETS = {"relais.css": "text/css", "relais.svg": "image/svg+xml"}
