"""The contracts of sources and sinks, through the real runners on a real broker: a JSON API, webhooks that come in and go out."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.http.poll import HttpPoll, HttpPollConfig
from connectors.http.signing import signed, verified
from connectors.http.webhook_in import WebhookIn, WebhookInConfig
from connectors.http.webhook_out import WebhookOut, WebhookOutConfig
from tests.connectors.http.api import Api
from tests.support.connector_contract import SourceContract
from tests.support.serving import LOOPBACK, serving
from tests.support.sink_contract import SinkContract

ZONE = "America/Cayenne"
KEY = bytes(range(32))
MAPPING = """
case: "'R-' & id"
events:
  - states: case.opened
    on: $date(changed)
    with: {procedure: voirie.signalement}
"""


def local(at: datetime) -> str:
    """As software of the place writes it, without an offset."""
    return at.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None).isoformat(timespec="seconds")


class PollPlace:
    """An API that pages by marks and writes local times."""

    mapping, zone = MAPPING, ZONE

    def __init__(self, api: Api, url: str, stack: AsyncExitStack) -> None:
        self._api, self._url, self._stack = api, url, stack

    def source(self) -> HttpPoll:
        since = {"param": "since", "modified": "/changed"}
        fields: dict[str, Any] = {
            "url": f"{self._url}/rows",
            "params": {"by": "cursor"},
            "records": "/data/rows",
            "key": "/id",
        }
        fields |= {"paging": {"by": "cursor", "at": "/next", "param": "mark"}, "since": since, "time_zone": ZONE}
        made = HttpPoll(HttpPollConfig.model_validate(fields | {"outgoing": LOOPBACK}))
        self._stack.push_async_callback(made.close)
        return made

    async def write(self, numbers: Iterable[int], at: datetime) -> None:
        for number in numbers:
            self._api.rows[number] = {"id": number, "changed": local(at)}

    async def write_bad(self) -> None:
        self._api.rows[0] = {"id": {"not": "a key"}, "changed": local(datetime.now(ZoneInfo(ZONE)))}

    async def take_down(self) -> None:
        self._api.failures = [Response(status_code=503)] * 1000

    async def bring_back(self) -> None:
        self._api.failures = []


class WebhookPlace:
    """A sender that signs; one of the sources on the queue takes what it sends."""

    mapping, zone = MAPPING, ZONE

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._sent = 0
        self._taking = self.source()

    def source(self) -> WebhookIn:
        keys = ["whsec_" + base64.b64encode(KEY).decode()]
        made = WebhookIn(
            WebhookInConfig.model_validate(
                {"queue": self._folder / "q" / "in.db", "port": 0, "keys": keys, "key": "/id"}
            )
        )
        self._stack.push_async_callback(made.close)
        return made

    async def _post(self, *bodies: bytes) -> None:
        if self._taking.port is None:
            assert [batch async for batch in self._taking.read(None)] == []
        async with httpx2.AsyncClient() as http:
            for body in bodies:
                self._sent += 1
                headers = signed(f"m{self._sent}", int(time.time()), body, [KEY])
                url = f"http://127.0.0.1:{self._taking.port}/webhook"
                assert (await http.post(url, content=body, headers=headers)).status_code == 202

    async def write(self, numbers: Iterable[int], at: datetime) -> None:
        await self._post(*[json.dumps({"id": number, "changed": local(at)}).encode() for number in numbers])

    async def write_bad(self) -> None:
        await self._post(b"{broken")

    async def take_down(self) -> None:
        (self._folder / "q").rename(self._folder / "away")
        (self._folder / "q").touch()

    async def bring_back(self) -> None:
        (self._folder / "q").unlink()
        (self._folder / "away").rename(self._folder / "q")


class ReceiverPlace:
    """A receiver that checks signatures, keeps each `webhook-id` once, and says that it has received."""

    keeps_states = receipts = True

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.kept: dict[str, dict[str, Any]] = {}
        self._down = False
        self.url = ""
        self.app = Starlette(routes=[Route("/", self._take, methods=["HEAD", "POST"])])

    async def _take(self, request: Request) -> Response:
        if self._down:
            return Response(status_code=503)
        body = await request.body()
        if request.method == "POST":
            id_ = verified(request.headers, body, [KEY], time.time(), 300)
            told = json.loads(body)
            self.kept.setdefault(id_, {"id": id_, "key": told["key"], "state": told["data"].get("state")})
        return JSONResponse({"received": True})

    def sink(self) -> WebhookOut:
        keys = ["whsec_" + base64.b64encode(KEY).decode()]
        fields = {"url": self.url, "keys": keys, "tries": 1, "outgoing": LOOPBACK}
        made = WebhookOut(WebhookOutConfig.model_validate(fields))
        self._stack.push_async_callback(made.close)
        return made

    async def received(self) -> list[dict[str, Any]]:
        return list(self.kept.values())

    async def take_down(self) -> None:
        self._down = True

    async def bring_back(self) -> None:
        self._down = False


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Return what is closed after the test."""
    async with AsyncExitStack() as opened:
        yield opened


class TestPoll(SourceContract):
    @pytest.fixture
    async def place(self, stack: AsyncExitStack) -> PollPlace:
        api = Api()
        api.zone = ZoneInfo(ZONE)
        return PollPlace(api, await stack.enter_async_context(serving(api.app)), stack)


class TestWebhookIn(SourceContract):
    @pytest.fixture
    async def place(self, tmp_path: Path, stack: AsyncExitStack) -> WebhookPlace:
        return WebhookPlace(tmp_path, stack)


class TestWebhookOut(SinkContract):
    @pytest.fixture
    async def place(self, stack: AsyncExitStack) -> ReceiverPlace:
        made = ReceiverPlace(stack)
        made.url = await stack.enter_async_context(serving(made.app))
        return made
