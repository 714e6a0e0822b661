"""The lines of outgoing calls: a proxy only where one is named, and TLS that is made once."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from connectors.kit import lines
from connectors.kit.contract import ConfigError, Unavailable
from connectors.kit.outgoing import Client, Outgoing
from tests.support.serving import LOOPBACK, serving


async def here(_: Request) -> Response:
    return PlainTextResponse("here")


APP = Starlette(routes=[Route("/", here)])


class Proxy:
    """A proxy that tunnels to this machine, whatever host is named."""

    def __init__(self, login: str = "") -> None:
        self.asked: list[str] = []
        self._login = base64.b64encode(login.encode()).decode() if login else ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        self.asked.append(f"{method} {target}")
        signed = not self._login or f"proxy-authorization: basic {self._login}".lower() in map(str.lower, head)
        host, _, port = target.rpartition(":")
        if not signed or host.startswith("forbidden"):
            writer.write(f"HTTP/1.1 {403 if signed else 407} No\r\ncontent-length: 0\r\n\r\n".encode())
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pumped(reader, back), _pumped(there, writer))


async def _pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(65_536):
        writer.write(some)
    writer.close()


@asynccontextmanager
async def proxying(proxy: Proxy) -> AsyncIterator[str]:
    server = await asyncio.start_server(proxy.answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def trusted(tmp_path: Path) -> Outgoing:
    """Settings that trust `town.example`, whose certificate lies in `server.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    made = authority.issue_cert("town.example", "forbidden.example", "127.0.0.1")
    made.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    return Outgoing(ca_file=tmp_path / "ca.pem", timeout_s=10)


async def unknown(host: str, port: int) -> list[str]:
    """Resolve nothing but addresses, as in a network where only the proxy knows names."""
    if host.replace(".", "").isdigit():
        return [host]
    raise OSError


async def test_calls_go_through_the_proxy_that_is_named(trusted: Outgoing, tmp_path: Path) -> None:
    proxy = Proxy(login="relais:secret")
    async with serving(APP, certificate=tmp_path / "server.pem") as url, proxying(proxy) as address:
        named = url.replace("127.0.0.1", "town.example")
        fields = {"proxy": address, "proxy_user": "relais"}
        good = Outgoing.model_validate(trusted.model_dump() | fields | {"proxy_password": "secret"})
        async with Client(good, unknown) as client:
            assert (await client.request("GET", named)).body == b"here"
            assert proxy.asked == [f"CONNECT {named.removeprefix('https://')}"]
            with pytest.raises(ConfigError, match=r"403.*operator"):
                await client.request("GET", named.replace("town", "forbidden"))
            before = len(proxy.asked)
            with pytest.raises(ConfigError, match="private"):  # the proxy stands where it could reach what we must not
                await client.request("GET", url)
            assert len(proxy.asked) == before
        wrong = Outgoing.model_validate(trusted.model_dump() | fields | {"proxy_password": "other"})
        async with Client(wrong, unknown) as client:
            with pytest.raises(ConfigError, match=r"407.*proxy_password") as told:
                await client.request("GET", named)
        assert "other" not in str(told.value)
    async with Client(good, unknown) as client:
        with pytest.raises(Unavailable, match=r"town\.example"):
            await client.request("GET", named)


async def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy()
    async with serving(APP) as url, proxying(proxy) as address:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, address)
            monkeypatch.setenv(name.upper(), address)
        async with Client(LOOPBACK) as client:
            assert (await client.request("GET", url)).body == b"here"
    assert proxy.asked == []


@pytest.mark.parametrize("given", ["proxy.example:3128", "ftp://proxy.example", "http://relais:secret@proxy.example"])
def test_what_is_no_address_of_a_proxy(given: str) -> None:
    with pytest.raises(ValidationError) as told:
        Outgoing(proxy=given)
    assert "secret" not in str(told.value).partition("[type=")[0]


async def test_tls_is_made_once_for_all_clients(
    trusted: Outgoing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Client(Outgoing()), Client(trusted):
        pass
    made = ssl.create_default_context

    def never(*_: object, **__: object) -> ssl.SSLContext:
        raise AssertionError("a context is made again")

    monkeypatch.setattr(ssl, "create_default_context", never)
    async with Client(Outgoing()), Client(trusted), Client(LOOPBACK):
        pass
    monkeypatch.setattr(ssl, "create_default_context", made)
    before = lines.context(trusted.ca_file, None)
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    os.utime(tmp_path / "ca.pem", ns=(1, 1))
    assert lines.context(trusted.ca_file, None) is not before, "a file that was renewed is read again"
