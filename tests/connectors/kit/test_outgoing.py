"""Outgoing calls against real servers: where they may go, whom they trust, how much they take, what an error means."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from connectors.kit.addresses import Reach
from connectors.kit.contract import ConfigError, Rejected, Unavailable
from connectors.kit.outgoing import LONGEST_WAIT_S, Answer, Client, Outgoing
from tests.support.serving import LOOPBACK, serving


async def echo(request: Request) -> Response:
    return JSONResponse({"agent": request.headers["user-agent"], "query": request.url.query})


async def redirect(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"])


async def long(request: Request) -> Response:
    packed = gzip.compress(b"0" * int(request.query_params["of"]))
    return Response(packed, headers={"content-encoding": request.query_params.get("as", "gzip")})


async def broken(_: Request) -> Response:
    return Response(gzip.compress(b"{}" * 1000)[:-20], headers={"content-encoding": "gzip"})


async def slow(_: Request) -> Response:
    await asyncio.sleep(1)
    return Response()


async def status(request: Request) -> Response:
    return Response(b"<p>no", int(request.path_params["code"]), headers=dict(request.query_params))


APP = Starlette(
    routes=[
        Route("/echo", echo),
        Route("/redirect", redirect, methods=["GET", "POST"]),
        Route("/long", long),
        Route("/broken", broken),
        Route("/slow", slow),
        Route("/status/{code}", status),
    ]
)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("8.8.8.8", True), ("2001:4860:4860::8888", True), ("127.0.0.1", False), ("10.0.0.1", False),
        ("172.20.1.1", False), ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False), ("fe80::1%eth0", False), ("fc00::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True), ("64:ff9b::a00:1", False), ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False), ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("10.1.3.3", False),
    ],
)  # fmt: skip
def test_only_public_addresses_and_those_on_the_list(address: str, allowed: bool) -> None:
    assert Reach(["10.1.2.0/24"]).allows(address) is allowed


async def test_a_private_address_is_refused_until_it_is_listed() -> None:
    async with serving(APP) as url, Client(Outgoing()) as closed, Client(Outgoing(private=("127.0.0.1",))) as opened:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "0x7f000001", "2130706433", "0"):
            with pytest.raises(ConfigError, match="https is needed"):
                await closed.request("GET", url.replace("127.0.0.1", host))
        with pytest.raises(ConfigError, match="private"):
            await closed.request("GET", url.replace("http:", "https:"))
        assert (await opened.request("GET", f"{url}/echo")).status == 200


async def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["10.9.9.9", "127.0.0.2"] if len(asked) == 1 else ["10.9.9.9"]

    config = Outgoing(private=("127.0.0.2",), contact="bus@town.example")
    async with serving(APP) as url, Client(config, rebinding) as client:
        with pytest.raises(
            Unavailable, match=r"town\.example"
        ):  # nobody listens at .2: neither .1 nor the other is called
            await client.request("GET", url.replace("127.0.0.1", "town.example"))
        with pytest.raises(ConfigError, match=r"town\.example"):
            await client.request("GET", url.replace("127.0.0.1", "town.example"))
    assert asked == ["town.example", "town.example"]


async def test_certificates_are_checked(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    past = datetime(2020, 1, 1, tzinfo=UTC)
    for name, made in {
        "good": authority.issue_cert("town.example"),
        "old": authority.issue_cert("town.example", not_before=past, not_after=past + timedelta(days=1)),
    }.items():
        made.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")

    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    trusting = LOOPBACK.model_copy(update={"ca_file": tmp_path / "ca.pem"})
    async with serving(APP, certificate=tmp_path / "good.pem") as url:
        named = url.replace("127.0.0.1", "town.example") + "/echo"
        async with Client(LOOPBACK, here) as stranger, Client(trusting, here) as client:
            assert (await client.request("GET", named)).json()["agent"] == "relais"
            with pytest.raises(ConfigError, match="ca_file"):
                await stranger.request("GET", named)
            with pytest.raises(ConfigError, match="not valid"):
                await client.request("GET", named.replace("town.example", "other.example"))
    async with serving(APP, certificate=tmp_path / "old.pem") as url, Client(trusting, here) as client:
        with pytest.raises(Unavailable, match="renew"):
            await client.request("GET", url.replace("127.0.0.1", "town.example"))
    with pytest.raises(ConfigError, match="ca_file"):
        Client(Outgoing(ca_file=tmp_path / "none.pem"))


async def test_redirects_lead_nowhere_else() -> None:
    config = LOOPBACK.model_copy(update={"same_origin_redirects": 1, "contact": "bus@town.example"})
    async with serving(APP) as url, serving(APP) as other, Client(LOOPBACK) as strict, Client(config) as client:
        at = f"{url}/redirect?to="
        found = (await client.request("GET", f"{at}/echo%3Fa=1%26b=2")).json()
        assert found == {"agent": "relais (+bus@town.example)", "query": "a=1&b=2"}
        for refused, method, to in [
            (strict, "GET", "/echo"), (client, "GET", f"{other}/echo"), (client, "POST", "/echo"),
            (client, "GET", "file:///etc/passwd"), (client, "GET", "/redirect?to=/echo"),
        ]:  # fmt: skip
            with pytest.raises(ConfigError, match="redirect"):
                await refused.request(method, at + to)


async def test_sizes_and_waits_are_bounded() -> None:
    config = LOOPBACK.model_copy(update={"max_body": 1000, "timeout_s": 0.5})
    async with serving(APP) as url, Client(config) as client:
        assert len((await client.request("GET", f"{url}/long?of=1000")).body) == 1000
        for path, text in [
            ("/long?of=1001", "max_body"), ("/long?of=5000000", "max_body"), ("/long?of=10&as=br", "encoding"),
            ("/broken", "max_body|cut short"), ("/slow", "in time"),
        ]:  # fmt: skip
            with pytest.raises(Unavailable, match=text):
                await client.request("GET", url + path)
    async with Client(config) as client:
        with pytest.raises(Unavailable, match="nothing listens at port"):
            await client.request("GET", url)
        with pytest.raises(Unavailable, match="no such name"):
            await client.request("GET", "https://no.such.name.invalid")


async def test_what_a_status_means() -> None:
    async with serving(APP) as url, Client(LOOPBACK) as client:

        async def ask(code: int, **headers: str) -> Answer:
            return await client.request("GET", f"{url}/status/{code}", params=headers)

        assert (await ask(304)).good().status == 304
        for code in (401, 403, 404, 410):
            with pytest.raises(ConfigError):
                (await ask(code)).good()
        for code in (400, 409, 422):
            with pytest.raises(Rejected):
                (await ask(code)).good()
        for code in (408, 429, 500, 503):
            with pytest.raises(Unavailable) as told:
                (await ask(code, **{"retry-after": "7"})).good("the register")
            assert told.value.after_s == 7
            assert str(told.value) == f"the register answers {code}"
        with pytest.raises(Unavailable, match="not JSON"):
            (await ask(200)).json()
        soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
        for text, low, high in [(soon, 50, 61), ("-5", None, None), ("9" * 30, LONGEST_WAIT_S, LONGEST_WAIT_S)]:
            wait = (await ask(503, **{"retry-after": text})).retry_after_s
            assert wait is None if low is None else wait is not None and low <= wait <= high


@pytest.mark.parametrize("url", ["ftp://town.example", "https://", "https://u:p@town.example", "https://[::1", "town"])
async def test_what_is_no_address(url: str) -> None:
    async with Client(LOOPBACK) as client:
        with pytest.raises(ConfigError) as told:
            await client.request("GET", url)
    assert "u:p" not in str(told.value)


def test_a_network_that_is_none_is_said_so() -> None:
    with pytest.raises(ValidationError, match="private"):
        Outgoing(private=("town",))
