"""Who we are to a server that checks it: each way, tokens that end and are refused, secrets that are missing."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.kit.authentication import Authenticated, Authentication
from connectors.kit.contract import ConfigError
from connectors.kit.outgoing import Client
from tests.support.serving import LOOPBACK, serving

PAIR = "Basic " + base64.b64encode("mairie:sésame".encode()).decode()


class Server:
    """Issues tokens, and takes the last one alone."""

    def __init__(self) -> None:
        self.issued = 0
        self.valid = ""
        self.app = Starlette(routes=[Route("/token", self.token, methods=["POST"]), Route("/", self.open)])

    async def token(self, request: Request) -> Response:
        form = await request.form()
        in_body = (form.get("client_id"), form.get("client_secret")) == ("mairie", "sésame")
        if form["grant_type"] != "client_credentials" or not (in_body or request.headers.get("authorization") == PAIR):
            return JSONResponse({"error": "invalid_client"}, 400)
        self.issued += 1
        self.valid = f"t{self.issued}-{form.get('scope', '')}"
        return JSONResponse({"access_token": self.valid, "expires_in": 3600})

    async def open(self, request: Request) -> Response:
        given = request.headers.get("authorization"), request.headers.get("x-cle")
        known = given[0] in {f"Bearer {self.valid}", PAIR} or given[1] == "key-1"
        return JSONResponse({}, 200 if known else 401)


def way(**fields: Any) -> Any:
    return TypeAdapter[Any](Authentication).validate_python(fields)


@pytest.mark.parametrize("in_body", [False, True])
async def test_a_token_is_fetched_once_and_again_when_it_is_refused(in_body: bool) -> None:
    server = Server()
    async with serving(server.app) as url, Client(LOOPBACK) as client:
        oauth = way(
            kind="oauth2",
            token_url=f"{url}/token",
            client_id="mairie",
            client_secret="sésame",
            scope="osl",
            in_body=in_body,
        )
        caller = Authenticated(client, oauth)
        answers = await asyncio.gather(*[caller.request("GET", url) for _ in range(5)])
        assert ({a.status for a in answers}, server.issued, server.valid) == ({200}, 1, "t1-osl")
        server.valid = "revoked"
        assert ((await caller.request("GET", url)).status, server.issued) == (200, 2)
        wrong = Authenticated(client, oauth.model_copy(update={"client_id": "other"}))
        with pytest.raises(ConfigError, match="client_id"):
            await wrong.request("GET", url)


async def test_tokens_passwords_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.valid = "abc"
    monkeypatch.setenv("THE_TOKEN", "abc")
    async with serving(server.app) as url, Client(LOOPBACK) as client:
        for one, status in [
            (None, 401),
            (way(kind="bearer", token={"env": "THE_TOKEN"}), 200),
            (way(kind="bearer", token="abd"), 401),
            (way(kind="basic", user="mairie", password="sésame"), 200),
            (way(kind="key", header="X-Cle", key="key-1"), 200),
        ]:
            assert (await Authenticated(client, one).request("GET", url)).status == status
        for missing in ({"env": "NO_SUCH_NAME"}, "", "a\nb", "clé"):
            with pytest.raises(ConfigError, match="token"):
                await Authenticated(client, way(kind="bearer", token=missing)).request("GET", url)
