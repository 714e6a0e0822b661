"""The gateway as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import Counter, generate_latest
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.documents.giving import given
from connectors.documents.shelf import Shelf
from connectors.gateway import openapi, requests
from connectors.gateway.access import Access
from connectors.gateway.asking import Asking
from connectors.gateway.bus import Bus, Order
from connectors.gateway.codes import Limiter, opens
from connectors.gateway.door import Accepted, Door
from connectors.gateway.inbox import ACTIONS, Inbox, Page
from connectors.gateway.problems import Flaw, ProblemError, Trouble, answer, response
from connectors.gateway.pulse import Pulse
from connectors.kit.contract import ConnectorError
from connectors.status.model import Cursor, NotReadyError
from connectors.status.sink import Sink
from schemas.references import ReferenceFormatError
from streams.engine.visibility import BodyViewer, Operator, Viewer
from streams.runtime.metrics import READY

log = structlog.get_logger()

ANSWERS = Counter("relais_gateway_answers_total", "Answers of the gateway.", ["operation", "status"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may hold."""

    request_bytes: int = 1024 * 1024
    """Bytes of a request."""
    batch_events: int = 500
    """Events of a batch."""
    form_bytes: int = 64 * 1024
    """Bytes of any other request."""
    exchanges_per_minute: float = 10.0
    """Tries of a code, for each body and for each reference, whether they succeed or not. Counted in this process: with several
    gateways each allows as many. At this rate 60 bits are not guessed: the odds of a year of trying are 5 in a million million."""
    exchange_burst: int = 10
    """Tries at once, after which the rate counts; 429 with Retry-After beyond."""


@dataclass(slots=True, kw_only=True)
class Gateway:
    """What the gateway is made of; whoever runs it puts it together."""

    access: Access
    door: Door
    bus: Bus
    asking: Asking
    inbox: Inbox
    pulse: Pulse
    sink: Sink | None = None
    """The sink of the read model, if it runs in this process."""
    limits: Limits = field(default_factory=Limits)
    documents: Shelf | None = None
    """The documents that are kept here, if any are."""
    routes: tuple[BaseRoute, ...] = ()
    """Further routes: pages."""
    tasks: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = ()
    """What else runs beside it until it stops: sinks of alerts."""
    tries: Limiter = field(init=False)

    def __post_init__(self) -> None:
        self.tries = Limiter(self.limits.exchanges_per_minute, self.limits.exchange_burst)

    # -- stating facts
    async def post_events(self, request: Request) -> Response:
        """Take one event or a batch: all of it or nothing."""
        grant = requests.grant_of(request, self.access)
        requests.body_of(grant)
        prefer = requests.preferences(request)
        limits = self.limits
        messages, batch = await requests.events(request, limits.request_bytes, limits.batch_events)
        taken = await run_in_threadpool(self.door.take, messages, grant, batch=batch, codes=prefer.access_code)
        return await self._write(taken, prefer)

    async def _write(
        self, taken: list[Accepted], prefer: requests.Preferences, reached: Callable[[], bool] = lambda: True
    ) -> Response:
        await self.bus.write([Order(a.route.topic, a.route.partition, a.route.key, a.value) for a in taken])
        shown = await self._wait(taken, prefer.wait, reached)
        body: dict[str, Any] = {"accepted": [_receipt(a) for a in taken]}
        headers = {}
        if prefer.wait:
            body["shown"] = shown
            headers["Preference-Applied"] = f"wait={prefer.wait}"
        return JSONResponse(body, 200 if shown else 202, headers)

    async def _wait(self, taken: list[Accepted], seconds: int, reached: Callable[[], bool]) -> bool:
        facts = {a.fact: a.subject for a in taken if a.fact is not None}
        if not seconds:
            return False

        def look() -> bool | None:
            try:
                return (self.asking.shows(facts) and reached()) or None
            except (NotReadyError, DBAPIError):
                return None

        return bool(await self.pulse.until(look, seconds))

    # -- asking
    async def get_journey(self, request: Request) -> Response:
        """The journey of a reference, as the token's body may see it."""
        grant = requests.grant_of(request, self.access)
        reference = request.path_params.get("reference") or request.query_params.get("reference", "")
        viewer: Viewer = BodyViewer(grant.body) if grant.body is not None else Operator()
        try:
            found = await run_in_threadpool(self.asking.journey, reference, viewer)
        except ReferenceFormatError as error:
            flaw = Flaw(error.fault.value, "reference", str(error).partition(": ")[2])
            raise ProblemError(Trouble.MALFORMED_REQUEST, "the reference cannot be read", [flaw]) from None
        if found is None:
            raise ProblemError(Trouble.NOT_FOUND, "no journey of this reference is known to your body")
        return JSONResponse(found)

    async def post_exchange(self, request: Request) -> Response:
        """At a counter: a reference and the person's secret code for a journey id."""
        grant = requests.grant_of(request, self.access)
        body = requests.body_of(grant)
        said = await requests.fields(request, self.limits.form_bytes)
        reference, code = said.get("reference"), said.get("code")
        if not isinstance(reference, str) or not isinstance(code, str) or set(said) != {"reference", "code"}:
            raise ProblemError(Trouble.MALFORMED_REQUEST, "send reference and code, both texts, and nothing else")
        # Whoever has no try left takes none from the reference: a busy body cannot close it to the others so easily.
        wait = self.tries.wait(f"body {body}") or self.tries.wait(f"reference {reference[:200]}")
        if wait:
            headers = {"Retry-After": str(int(wait) + 1)}
            raise ProblemError(Trouble.TOO_MANY_REQUESTS, "too many codes were tried", headers=headers)
        hashes = await run_in_threadpool(self.asking.access_codes, reference)
        if not await run_in_threadpool(opens, code, hashes):
            raise ProblemError(Trouble.NOT_FOUND, "no journey has this reference and this code")
        found = await run_in_threadpool(self.asking.journey_id, reference)
        if found is None:
            raise ProblemError(Trouble.CONFLICT, "this journey has no journey id: ask the body that opened it for one")
        return JSONResponse({"journey": found})

    # -- the inbox
    async def get_inbox(self, request: Request) -> Response:
        """What is handed to the token's body, by the order of the last change."""
        body = requests.body_of(requests.grant_of(request, self.access))
        limit = requests.number(request, "limit", 50, 1, 200)
        wait = requests.number(request, "wait", 0, 0, requests.MAX_WAIT_S)
        text = request.query_params.get("cursor")
        try:
            cursor = Cursor.parse(text) if text else None
        except ValueError:
            raise ProblemError(Trouble.MALFORMED_REQUEST, "give back a cursor as it was given, or none") from None

        def look() -> Page | None:
            page = self.inbox.page(body, cursor, limit)
            return page if page.items or page.more else None

        found = await self.pulse.until(look, wait)
        if found is None:
            found = await run_in_threadpool(self.inbox.page, body, cursor, limit)
        return JSONResponse({"items": found.items, "cursor": found.cursor, "more": found.more})

    async def get_item(self, request: Request) -> Response:
        """One item of the inbox."""
        body = requests.body_of(requests.grant_of(request, self.access))
        page = await run_in_threadpool(self.inbox.shown, body, request.path_params["handoff"])
        return JSONResponse(page)

    async def post_action(self, request: Request) -> Response:
        """Take, accept, refuse, return or complete an item: the fact that it is."""
        grant = requests.grant_of(request, self.access)
        body = requests.body_of(grant)
        said = await requests.fields(request, self.limits.form_bytes)
        handoff, action = request.path_params["handoff"], request.path_params["action"]
        if action not in ACTIONS:
            raise ProblemError(Trouble.NOT_FOUND, f"an item can be: {', '.join(ACTIONS)}")
        message = await run_in_threadpool(self.inbox.event, body, handoff, action, said)
        if message is None:
            return JSONResponse({"accepted": []}, 200)
        taken = await run_in_threadpool(self.door.take, [message], grant, batch=False)
        reached = partial(self.inbox.reached, handoff, ACTIONS[action])
        return await self._write(taken, requests.preferences(request), reached)

    async def get_document(self, request: Request) -> Response:
        """A document, for whoever shows the right to it that stands in its address; no token is asked."""
        found = None
        if self.documents is not None:
            try:
                found = await self.documents.give(request.path_params["document"], request.query_params)
            except ConnectorError as error:
                log.warning("the store of documents does not answer", error=error.code)
                raise ProblemError(
                    Trouble.UNAVAILABLE, "the store of documents does not answer", headers=_LATER
                ) from None
        if found is None:
            detail = "there is no such document, or this right to it is over: ask the sender for another"
            raise ProblemError(Trouble.NOT_FOUND, detail)
        return given(found, head=request.method == "HEAD")

    # -- for those who run it
    async def livez(self, _request: Request) -> Response:
        """Whether the process answers."""
        return JSONResponse({"status": "alive"})

    async def readyz(self, _request: Request) -> Response:
        """Whether it can take events and answer questions."""
        missing = await self._missing()
        if missing is not None:
            raise ProblemError(Trouble.UNAVAILABLE, missing, headers=_LATER)
        return JSONResponse({"status": "ready"})

    async def _missing(self) -> str | None:
        """What it lacks to do its whole work."""
        try:
            await run_in_threadpool(self.asking.ready)
        except (NotReadyError, DBAPIError):
            return "the read model is not filled"
        if not self.bus.started or (self.sink is not None and not self.sink.ready.is_set()):
            return "the bus is not read yet"
        return None

    async def metrics(self, _request: Request) -> Response:
        """Metrics of this process, for Prometheus."""
        READY.set(await self._missing() is None)
        return Response(generate_latest(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, _request: Request) -> Response:
        """The OpenAPI document."""
        return JSONResponse(openapi.document(self.limits.batch_events))


_LATER = {"Retry-After": "2"}


def application(gateway: Gateway) -> Starlette:
    """The application; its lifespan connects the bus and runs the sink of the read model."""

    def operation(name: str, path: str, call: Callable[[Request], Awaitable[Response]], method: str = "GET") -> Route:
        async def counted(request: Request) -> Response:
            try:
                found = await call(request)
            except ProblemError as error:
                found = response(error)
            except NotReadyError:
                found = response(ProblemError(Trouble.UNAVAILABLE, "the read model is not filled", headers=_LATER))
            except DBAPIError as error:
                log.warning("the read model does not answer", error=type(error).__name__)
                found = response(ProblemError(Trouble.UNAVAILABLE, "the read model does not answer", headers=_LATER))
            ANSWERS.labels(name, str(found.status_code)).inc()
            return found

        return Route(path, counted, methods=[method], name=name)

    routes: list[BaseRoute] = [
        operation("post-events", "/v1/events", gateway.post_events, "POST"),
        operation("find-journey", "/v1/journeys", gateway.get_journey),
        operation("get-journey", "/v1/journeys/{reference:path}", gateway.get_journey),
        operation("exchange", "/v1/exchange", gateway.post_exchange, "POST"),
        operation("get-inbox", "/v1/inbox", gateway.get_inbox),
        operation("get-item", "/v1/inbox/{handoff}", gateway.get_item),
        operation("act", "/v1/inbox/{handoff}/{action}", gateway.post_action, "POST"),
        operation("get-document", "/v1/documents/{document}", gateway.get_document),
        operation("openapi", "/openapi.json", gateway.openapi),
        operation("livez", "/livez", gateway.livez),
        operation("readyz", "/readyz", gateway.readyz),
        operation("metrics", "/metrics", gateway.metrics),
        *gateway.routes,
    ]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            tasks = [asyncio.create_task(_connect(gateway.bus))]
            if gateway.sink is not None:
                tasks.append(asyncio.create_task(gateway.sink.run()))
            tasks += [asyncio.create_task(run()) for run in gateway.tasks]
            if gateway.documents is not None:
                stack.push_async_callback(gateway.documents.close)
            stack.push_async_callback(gateway.bus.stop)
            stack.push_async_callback(gateway.pulse.stop)
            stack.push_async_callback(_end, tasks)
            yield

    handlers: Mapping[Any, Any] = {ProblemError: answer, HTTPException: _plain, Exception: _bug}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.add_middleware(_Headers)
    return app


async def _connect(bus: Bus) -> None:
    while not bus.started:
        try:
            await bus.start()
        except (KafkaError, OSError) as error:
            log.warning("no broker answers", error=type(error).__name__)
            await asyncio.sleep(1)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _plain(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    trouble = Trouble.METHOD_NOT_ALLOWED if error.status_code == 405 else Trouble.NOT_FOUND
    return response(ProblemError(trouble, "see /openapi.json for what there is", headers=error.headers))


async def _bug(_request: Request, error: Exception) -> Response:
    log.error("the gateway failed", error=type(error).__name__)
    return response(ProblemError(Trouble.BUG, "try again later; those who run the bus can see why in the log"))


class _Headers:
    """Adds to every answer what keeps it from being stored or taken for something else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                for name, value in ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")):
                    if name not in names:
                        message["headers"] = [*message["headers"], (name, value)]
            await send(message)

        await self._app(scope, receive, add)


def _receipt(taken: Accepted) -> dict[str, Any]:
    """What is told of an accepted event."""
    receipt = {
        "id": taken.id,
        "source": taken.source,
        "subject": taken.subject,
        "digest": taken.digest,
        "journey": link(taken.subject) if taken.fact is not None else None,
        "access_code": taken.code,
    }
    return {name: value for name, value in receipt.items() if value is not None}


def link(reference: str) -> str:
    """Where the journey of a reference is found."""
    if any(part in ("", ".", "..") for part in reference.split("/")):
        return f"/v1/journeys?reference={quote(reference, safe='')}"
    return f"/v1/journeys/{quote(reference, safe=':/')}"
