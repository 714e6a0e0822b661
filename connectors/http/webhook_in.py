"""A source that is called: webhooks signed by Standard Webhooks, or unsigned posts to an address that nobody can guess.

A delivery is on the disk before it is answered with 2xx, and stays there until its facts are on the bus. Order is the order of arrival.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import parse_qsl

import structlog
from pydantic import Field, model_validator
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from connectors.http.queue import Put, Queue, Waiting
from connectors.http.signing import SignatureError, key_of, verified
from connectors.kit.contract import (
    Batch,
    ConfigError,
    ConnectorConfig,
    ConnectorError,
    Cursor,
    Finding,
    Record,
    Refused,
    Report,
)
from connectors.kit.listening import Listener
from connectors.kit.pointer import Pointer, at, key_at
from connectors.kit.secret import Secret, reveal

log = structlog.get_logger()

_FORM = "application/x-www-form-urlencoded"
_FIELDS = 200
"""Fields of a form at most."""
_SLOWEST_S = 30.0
"""A body that takes longer is not waited for."""
_SHORTEST_PATH = 22
"""Characters of an unguessable path: 128 bits in base64."""


class WebhookInConfig(ConnectorConfig):
    """Webhooks that come in."""

    queue: Path
    """File in which deliveries wait until they are published; on a disk that stays."""
    host: str = "127.0.0.1"
    """Address to listen on; a reverse proxy with TLS stands before it, unless `certificate` is given."""
    port: int = Field(ge=0, le=65535)
    """Port to listen on."""
    path: str = Field("/webhook", pattern=r"^/[\w./-]*$")
    """Path of signed webhooks."""
    keys: tuple[Secret, ...] = ()
    """Keys of the sender, `whsec_…`; several while they change."""
    secret_path: Secret | None = None
    """Path of unsigned posts, instead of keys: `/` and at least 22 characters that nobody can guess."""
    window_s: float = Field(300.0, gt=0)
    """A signed webhook is taken so long before and after its own time."""
    remember_h: float = Field(72.0, gt=0)
    """So long the id of a delivery is known again; as long as the sender goes on trying."""
    key: Pointer | tuple[Pointer, ...] | None = None
    """Where the key of the record stands in the body; absent: each delivery is a record of its own."""
    version: Pointer | None = None
    """Where its version stands; absent: each delivery is a version of its own."""
    max_body: int = Field(2**20, gt=0)
    """Longest body in bytes."""
    most_waiting: int = Field(100_000, gt=0)
    """So many deliveries may wait; the next is asked to come later."""
    certificate: Path | None = None
    """PEM file of our certificate, if no proxy stands before it."""
    certificate_key: Path | None = None
    """PEM file of its key."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.keys) == (self.secret_path is not None):
            raise ValueError("give keys, for signed webhooks, or secret_path, for unsigned ones")
        return self


class WebhookIn:
    """Takes webhooks: signed ones, or posts to a secret address; it listens while the bus is away, too."""

    Config: ClassVar[type[ConnectorConfig]] = WebhookInConfig
    passive: ClassVar[bool] = True

    def __init__(self, config: WebhookInConfig) -> None:
        self._config = config
        self._keys = [key_of(secret, f"keys.{n}") for n, secret in enumerate(config.keys)]
        self._path = reveal(config.secret_path, "secret_path") if config.secret_path else config.path
        if config.secret_path and (len(self._path) <= _SHORTEST_PATH or not self._path.startswith("/")):
            raise ConfigError(f"a slash and at least {_SHORTEST_PATH} characters by chance", "secret_path")
        self._queue: Queue | None = None
        self._listener: Listener | None = None

    @property
    def port(self) -> int | None:
        """The port on which it listens, once it does."""
        return self._listener.port if self._listener else None

    async def check(self) -> Report:
        """Whether the file and the port can be had."""
        try:
            if self._listener is None:
                await self._open()
                await self.close()
        except ConnectorError as error:
            return Report([Finding(False, "listen and keep what comes", str(error))])
        return Report([Finding(True, f"listen on {self._config.host}:{self._config.port}")])

    async def listen(self) -> None:
        """Take deliveries from now on, whether or not the bus is there: they wait in the file."""
        if self._queue is None:
            await self._open()

    async def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """What waits, all of it: what was published but not yet dropped comes again, and a queue that began anew hides nothing."""
        queue = self._queue or await self._open()
        number = 0
        while waiting := await asyncio.to_thread(queue.after, number):
            number = waiting[-1].number
            yield Batch([self._record(one) for one in waiting], number)

    async def ack(self, batch: Batch) -> None:
        """Forget what was published."""
        queue = self._queue or await self._open()
        await asyncio.to_thread(queue.drop, int(batch.cursor))

    async def close(self) -> None:
        """Stop listening; what waits stays in the file."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None
        if self._queue is not None:
            self._queue.close()
            self._queue = None

    async def _open(self) -> Queue:
        config = self._config
        queue = Queue(config.queue, config.most_waiting, config.remember_h * 3600)
        listener = Listener(
            self._serve, config.host, config.port, certificate=config.certificate, key=config.certificate_key
        )
        try:
            await listener.start()
        except ConnectorError:
            queue.close()
            raise
        self._listener, self._queue = listener, queue
        return queue

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except (ClientDisconnect, TimeoutError):
            return
        except sqlite3.Error as error:
            log.error("a webhook cannot be kept", error=type(error).__name__)
            answer = _later("it cannot be kept now")
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if not hmac.compare_digest(request.url.path.encode(), self._path.encode()):
            return PlainTextResponse("there is nothing here", 404)
        if request.method != "POST":
            return PlainTextResponse("POST is expected", 405, {"allow": "POST"})
        async with asyncio.timeout(_SLOWEST_S):
            body = await self._body(request)
        if body is None:
            return PlainTextResponse(f"longer than {self._config.max_body} bytes", 413)
        id_ = self._identified(request, body)
        if id_ is None:
            return PlainTextResponse("the signature is missing, wrong or out of time", 401)
        form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM
        return await self._kept(id_, body, form)

    def _identified(self, request: Request, body: bytes) -> str | None:
        if not self._keys:
            return sha256(body).hexdigest()
        try:
            return verified(request.headers, body, self._keys, time.time(), self._config.window_s)
        except SignatureError as error:
            log.warning("a webhook was refused", reason=error.fault.value)
            return None

    async def _kept(self, id_: str, body: bytes, form: bool) -> Response:
        queue = self._queue
        if queue is None:
            return _later("it ends")
        match await asyncio.to_thread(queue.put, id_, body, form=form):
            case Put.OTHER:
                return PlainTextResponse("another body came under this webhook-id: give each its own", 409)
            case Put.FULL:
                return _later("too much waits")
        return Response(status_code=202)

    async def _body(self, request: Request) -> bytes | None:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > self._config.max_body:
                return None
        return bytes(body)

    def _record(self, one: Waiting) -> Record | Refused:
        place = f"delivery {one.number}"
        try:
            content = dict(parse_qsl(one.body.decode(), max_num_fields=_FIELDS)) if one.form else json.loads(one.body)
        except (ValueError, RecursionError):
            return Refused(one.body, "the body is neither JSON nor a form in UTF-8", place)
        if not isinstance(content, dict):
            return Refused(one.body, "the body is no JSON object", place)
        pointers = self._config.key
        if pointers is None:
            return Record(one.id, content, one.body, None, place)
        keys = (pointers,) if isinstance(pointers, str) else pointers
        key = key_at(content, keys)
        if key is None:
            return Refused(one.body, f"the body has no key at {', '.join(keys)}", place)
        version = None if self._config.version is None else at(content, self._config.version)
        return Record(key, content, one.body, one.id if version is None else str(version), place)


def _later(why: str) -> Response:
    return PlainTextResponse(f"{why}: come again later", 503, {"retry-after": "30"})
