"""The one way in which connectors call the outside by HTTP: certificates checked, addresses checked, sizes and waits bounded.

No proxy, netrc or certificate of the environment is taken: what is trusted stands in the configuration.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import ip_network
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
from pydantic import Field, field_validator

from connectors.kit import lines
from connectors.kit.addresses import PinnedBackend, Reach, Resolve, resolve
from connectors.kit.contract import ConfigError, ConnectorConfig, Json, Rejected, Unavailable
from connectors.kit.secret import Secret, reveal

_EXPIRED = {9, 10}
"""OpenSSL's verdicts "not yet valid" and "has expired": the other side mends them, so they are waited for."""
_REDIRECTS = {301, 302, 303, 307, 308}
_LATER = {408, 423, 425, 429}
_PRIVATE = "{host} is at a private address: list it in `private` if it is meant"
_PROXY = {"407": "check `proxy_user` and `proxy_password`", "403": "ask its operator to let these calls through"}
"""What to do where the proxy refuses."""
LONGEST_WAIT_S = 86_400.0
"""No `Retry-After` is believed beyond a day."""


class Outgoing(ConnectorConfig):
    """How calls go out."""

    private: tuple[str, ...] = ()
    """Addresses or networks that may be called though they are not public (`10.1.2.3`, `192.168.0.0/16`); without TLS, only these."""
    ca_file: Path | None = None
    """PEM file of the authorities that are trusted, instead of the system's."""
    client_certificate: Path | None = None
    """PEM file with the certificate and the key by which we are known to the server (mutual TLS)."""
    proxy: str = ""
    """Address of the proxy through which https calls go, `http://` with its host and port; that of the environment is never taken."""
    proxy_user: str = ""
    """Name by which we sign in at the proxy, if it asks for one."""
    proxy_password: Secret | None = None
    """Password of that name."""
    contact: str = ""
    """Address of a person, told to the server in `User-Agent`: they call before they block."""
    same_origin_redirects: int = Field(0, ge=0, le=5)
    """So many redirects are followed, to the same scheme, host and port only."""
    connect_timeout_s: float = Field(10.0, gt=0)
    """Wait for a connection."""
    timeout_s: float = Field(30.0, gt=0)
    """Wait for a whole answer."""
    max_body: int = Field(16 * 2**20, gt=0)
    """Longest answer in bytes, unpacked."""

    @field_validator("private")
    @classmethod
    def _networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            ip_network(one)
        return given

    @field_validator("proxy")
    @classmethod
    def _proxy(cls, given: str) -> str:
        if given:
            try:
                _address(given)
            except ConfigError as error:
                raise ValueError(f"{error.mend}; for a proxy, http:// does as well") from None
        return given

    def login(self) -> tuple[str, str] | None:
        """Name and password at the proxy. Raises `ConfigError` if the password cannot be had."""
        if not self.proxy_user:
            return None
        return self.proxy_user, reveal(self.proxy_password, "proxy_password") if self.proxy_password else ""


class TooSlowError(Unavailable):
    """No whole answer in time: where less can be asked for, that may help."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: httpx2.Headers
    body: bytes

    def json(self) -> Json:
        """The body as JSON. Raises `Unavailable` if it is none: a page of an error, a maintenance notice."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type", "no type").partition(";")[0]
            raise Unavailable(f"the answer is not JSON ({kind}, {len(self.body)} bytes)") from None

    @property
    def retry_after_s(self) -> float | None:
        """The wait that the server asks for."""
        text = self.headers.get("retry-after", "").strip()
        try:
            seconds = float(text) if text.isdecimal() else _until(text)
        except (ValueError, TypeError):
            return None
        return min(max(seconds, 0.0), LONGEST_WAIT_S)

    def good(self, what: str = "the server") -> Self:
        """Itself, if the status is 2xx or 304.

        Raises:
            ConfigError: not authorised, or there is no such address.
            Unavailable: not now.
            Rejected: the server does not take this request.
        """
        if 200 <= self.status < 300 or self.status == 304:
            return self
        if self.status in _LATER or self.status >= 500:
            raise Unavailable(f"{what} answers {self.status}", self.retry_after_s)
        if self.status in {401, 403}:
            raise ConfigError(f"{what} answers {self.status}: check the credentials and what they may do")
        if self.status in {404, 405, 410}:
            raise ConfigError(f"{what} answers {self.status}: check the address")
        raise Rejected(f"{what} answers {self.status} to this request")


def _until(date: str) -> float:
    at = parsedate_to_datetime(date)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - time.time()


class Client:
    """Sends requests. Hold one for each connector, and close it."""

    def __init__(self, config: Outgoing, names: Resolve = resolve) -> None:
        """`names` resolves host names. Raises `ConfigError` if a certificate file cannot be used."""
        self._config = config
        self._names = names
        self._reach = Reach(config.private)
        context = lines.context(config.ca_file, config.client_certificate)
        contact = f" (+{config.contact})" if config.contact else ""
        plain = "{host}: https is needed, or list its address in `private` if it is one of your own network"
        if config.proxy:
            secure = lines.through(config.proxy, config.login(), context)
        else:
            secure = lines.direct(context, PinnedBackend(self._reach, names, _PRIVATE))
        listed = PinnedBackend(Reach(config.private, listed_only=True), names, plain)
        self._http = httpx2.AsyncClient(
            headers={"user-agent": f"relais{contact}", "accept-encoding": "gzip, identity"},
            timeout=httpx2.Timeout(config.timeout_s, connect=config.connect_timeout_s),
            trust_env=False,
            follow_redirects=False,
            transport=secure,
            mounts={"http://": lines.direct(context, listed)},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        json: Json = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, whatever its status (see `Answer.good`). `params` are added to those of the address.

        Raises:
            ConfigError: the address must not be called, the certificate is not trusted, or it redirects elsewhere.
            Unavailable: no answer, one too late, or one too long.
        """
        sent: dict[str, Any] = {"headers": dict(headers or {}), "content": content, "json": json, "data": form}
        at = _address(url)
        if params:
            at = at.copy_merge_params(dict(params))
        for _ in range(self._config.same_origin_redirects + 1):
            answer = await self._one(method, at, sent)
            if answer.status not in _REDIRECTS:
                return answer
            at = _next(method, at, answer)
        raise ConfigError("it redirects: write the final address, or allow more in `same_origin_redirects`")

    async def _look(self, url: httpx2.URL) -> None:
        """A proxy resolves names itself: it is not asked for what is known here to be private. It may know names that we do not."""
        try:
            found = await self._names(url.host, url.port or 443)
        except OSError:
            return
        if not any(map(self._reach.allows, found)):
            raise ConfigError(_PRIVATE.format(host=url.host))

    async def _one(self, method: str, url: httpx2.URL, sent: dict[str, Any]) -> Answer:
        place = url.host
        try:
            async with asyncio.timeout(self._config.timeout_s):
                if self._config.proxy and url.scheme == "https":
                    await self._look(url)
                async with self._http.stream(method, url, **sent) as response:
                    body = await _body(response, self._config.max_body)
                    return Answer(response.status_code, response.headers, body)
        except (TimeoutError, httpx2.TimeoutException):
            raise TooSlowError(f"{place} does not answer in time") from None
        except httpx2.ProxyError as error:
            status = str(error)[:3]
            if status in _PROXY:
                raise ConfigError(f"the proxy answers {status} for {place}: {_PROXY[status]}", "proxy") from None
            raise Unavailable(f"the proxy does not reach {place}") from None
        except httpx2.TransportError as error:
            verdict = _verdict(error)
            if verdict is None:
                raise Unavailable(f"{place} cannot be reached: {_why(error, url)}") from None
            text = f"the certificate of {place} is not valid ({verdict.verify_message})"
            if verdict.verify_code in _EXPIRED:
                raise Unavailable(f"{text}: its operator has to renew it") from None
            raise ConfigError(f"{text}: check the address, or give its authority in `ca_file`") from None


def _address(url: str) -> httpx2.URL:
    try:
        at = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ConfigError("this is no address") from None
    if at.scheme not in {"http", "https"} or not at.host:
        raise ConfigError("an address begins with https:// and names a host")
    if at.userinfo:
        raise ConfigError(f"{at.host}: no user or password in an address; there are fields for them")
    return at


def _next(method: str, at: httpx2.URL, answer: Answer) -> httpx2.URL:
    try:
        to = at.join(answer.headers.get("location", ""))
    except httpx2.InvalidURL:
        raise ConfigError(f"{at.host} redirects to what is no address") from None
    if (to.scheme, to.host, to.port) != (at.scheme, at.host, at.port):
        raise ConfigError(f"{at.host} redirects to {to.scheme}://{to.host}: write the final address if it is meant")
    if method not in {"GET", "HEAD"}:
        raise ConfigError(f"{at.host} redirects a {method}: write the final address")
    return to


async def _body(response: httpx2.Response, most: int) -> bytes:
    """The body, unpacked by a measure: a few bytes that unpack to gigabytes are not."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"identity", "gzip", ""}:
        raise Unavailable(f"{response.url.host} answers in an encoding that nobody asked for")
    unpack = zlib.decompressobj(wbits=31) if coding == "gzip" else None
    body = bytearray()
    try:
        async for raw in response.aiter_raw():
            body += unpack.decompress(raw, most - len(body) + 1) if unpack else raw
            if len(body) > most:
                raise Unavailable(f"the answer of {response.url.host} is longer than `max_body` ({most} bytes)")
    except zlib.error:
        raise Unavailable(f"the answer of {response.url.host} is broken (gzip)") from None
    if unpack and body and not unpack.eof:
        raise Unavailable(f"the answer of {response.url.host} is cut short (gzip)")
    return bytes(body)


def _why(error: BaseException, url: httpx2.URL) -> str:
    """What keeps a connection from being made or kept, in words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "no such name, or no name service: check the address"
        if isinstance(cause, ConnectionRefusedError):
            port = url.port or (443 if url.scheme == "https" else 80)
            return f"nothing listens at port {port}: it is down, or the address has another port"
        cause = cause.__cause__ or cause.__context__
    return f"the connection broke ({type(error).__name__})"


def _verdict(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """What TLS has against the other side's certificate, if that is the cause."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause
