"""How a connector says who it is to an HTTP server, and the client that does so with every request."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Annotated, Any, Literal

from pydantic import Field

from connectors.kit.contract import ConfigError, ConnectorConfig, Rejected, Unavailable
from connectors.kit.outgoing import Answer, Client
from connectors.kit.secret import Secret, reveal

_EARLY_S = 30.0
"""A token is renewed so long before its end."""
_UNSAID_LIFE_S = 300.0
"""Life of a token whose server does not say how long it lives."""


class Bearer(ConnectorConfig):
    """A token that somebody was given: `Authorization: Bearer …`."""

    kind: Literal["bearer"]
    token: Secret
    """The token."""


class Basic(ConnectorConfig):
    """User and password (RFC 7617)."""

    kind: Literal["basic"]
    user: str
    """Name of the account."""
    password: Secret
    """Its password."""


class ApiKey(ConnectorConfig):
    """A key in a header of its own."""

    kind: Literal["key"]
    header: str = Field("X-API-Key", pattern=r"^[A-Za-z0-9-]+$")
    """Name of the header."""
    key: Secret
    """The key."""


class ClientCredentials(ConnectorConfig):
    """OAuth 2 client credentials (RFC 6749 §4.4): a token is fetched, kept while it lives, and fetched again when it is refused."""

    kind: Literal["oauth2"]
    token_url: str
    """Address at which tokens are issued."""
    client_id: str
    """Identifier of the client."""
    client_secret: Secret
    """Its secret."""
    scope: str = ""
    """Scopes that are asked for, with spaces between."""
    in_body: bool = False
    """Send id and secret as fields of the form, for servers that take no Basic authorisation."""


Authentication = Annotated[Bearer | Basic | ApiKey | ClientCredentials, Field(discriminator="kind")]
"""One of the ways."""


class Authenticated:
    """A client that says who it is. It does not close the client that it uses."""

    def __init__(self, client: Client, way: Bearer | Basic | ApiKey | ClientCredentials | None) -> None:
        self._client = client
        self._way = way
        self._token = ""
        self._until = 0.0
        self._fetching = asyncio.Lock()

    async def request(self, method: str, url: str, **sent: Any) -> Answer:
        """As `Client.request`; where a fetched token is refused, once more with a new one.

        Raises:
            ConfigError: as `Client.request`, and where a secret is missing or the credentials are refused.
            Unavailable: as `Client.request`.
        """
        given = dict(sent.pop("headers", None) or {})
        mine = await self._headers()
        answer = await self._client.request(method, url, headers=given | mine, **sent)
        if answer.status == 401 and isinstance(self._way, ClientCredentials):
            if mine["authorization"] == f"Bearer {self._token}":  # nobody has fetched a new one meanwhile
                self._until = 0.0
            answer = await self._client.request(method, url, headers=given | await self._headers(), **sent)
        return answer

    async def _headers(self) -> dict[str, str]:
        match self._way:
            case None:
                return {}
            case Bearer():
                return {"authorization": f"Bearer {_in_header(self._way.token, 'token')}"}
            case Basic():
                return {"authorization": _basic(self._way.user, reveal(self._way.password, "password"))}
            case ApiKey():
                return {self._way.header.lower(): _in_header(self._way.key, "key")}
            case ClientCredentials():
                async with self._fetching:
                    if time.monotonic() >= self._until:
                        await self._fetch(self._way)
                return {"authorization": f"Bearer {self._token}"}

    async def _fetch(self, way: ClientCredentials) -> None:
        secret = reveal(way.client_secret, "client_secret")
        form = {"grant_type": "client_credentials"} | ({"scope": way.scope} if way.scope else {})
        if way.in_body:
            form |= {"client_id": way.client_id, "client_secret": secret}
        headers = {"accept": "application/json"} | (
            {} if way.in_body else {"authorization": _basic(way.client_id, secret)}
        )
        answer = await self._client.request("POST", way.token_url, headers=headers, form=form)
        try:
            told = answer.good("the server of tokens").json()
        except Rejected:
            raise ConfigError(
                "the server of tokens refuses: check client_id, client_secret and scope", "client_id"
            ) from None
        if not isinstance(told, dict) or not isinstance(told.get("access_token"), str):
            raise Unavailable("the server of tokens answers without a token")
        lives = told.get("expires_in")
        life = float(lives) if isinstance(lives, int | float | str) and str(lives).isdecimal() else _UNSAID_LIFE_S
        self._token, self._until = told["access_token"], time.monotonic() + max(life - _EARLY_S, life / 2)


def _in_header(secret: Secret, field: str) -> str:
    found = reveal(secret, field)
    if not (found.isascii() and found.isprintable()):
        raise ConfigError("the secret holds characters that no header may hold", field)
    return found


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
