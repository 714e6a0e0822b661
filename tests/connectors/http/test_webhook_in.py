"""Webhooks that come in: signed, forged, late, doubled, too long, too many, and through kill -9 without loss or double."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from pydantic import ValidationError

from connectors.http.signing import Fault, SignatureError, key_of, signed, verified
from connectors.http.webhook_in import WebhookIn, WebhookInConfig
from connectors.kit.contract import Batch, ConfigError, Record, Refused
from connectors.kit.secret import Secret

OLD, NEW, OTHER = (bytes([n]) * 32 for n in (1, 2, 3))
Make = Callable[..., WebhookIn]


def text(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[Make]:
    """Make sources on one queue; they are closed afterwards."""
    made: list[WebhookIn] = []

    def make(**more: Any) -> WebhookIn:
        fields = {"queue": tmp_path / "queue" / "in.db", "port": 0}
        if "secret_path" not in more:
            fields["keys"] = (text(OLD), text(NEW))
        made.append(WebhookIn(WebhookInConfig.model_validate(fields | more)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def waiting(one: WebhookIn) -> list[Batch]:
    return [batch async for batch in one.read(None)]


async def post(
    one: WebhookIn, id_: str, body: Any, key: bytes = OLD, *, at: float | None = None, path: str = "/webhook"
) -> int:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = signed(id_, int(time.time() if at is None else at), raw, [key])
    async with httpx2.AsyncClient() as http:
        return (await http.post(f"http://127.0.0.1:{one.port}{path}", content=raw, headers=headers)).status_code


def test_signatures_are_those_of_the_specification() -> None:
    key = key_of(Secret(value="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "keys")  # type: ignore[arg-type]
    body, at = b'{"test": 2432232314}', 1614265330
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body, [OTHER, key])
    assert headers["webhook-signature"].endswith(" v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    assert verified(headers, body, [OLD, key], at + 299, 300) == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    for change, keys, now, fault in [
        ({}, [key], at + 301, Fault.OUT_OF_TIME), ({}, [key], at - 301, Fault.OUT_OF_TIME), ({}, [OLD], at, Fault.WRONG),
        ({"webhook-id": "msg_2"}, [key], at, Fault.WRONG), ({"webhook-timestamp": str(at + 1)}, [key], at, Fault.WRONG),
        ({"webhook-signature": "v1a,abc"}, [key], at, Fault.WRONG), ({"webhook-signature": "v1,é"}, [key], at, Fault.WRONG),
        ({"webhook-signature": ""}, [key], at, Fault.UNSIGNED), ({"webhook-timestamp": "now"}, [key], at, Fault.UNSIGNED),
        ({"webhook-id": ""}, [key], at, Fault.UNSIGNED), ({"webhook-id": "m" * 257}, [key], at, Fault.UNSIGNED),
    ]:  # fmt: skip
        with pytest.raises(SignatureError) as told:
            verified(headers | change, body, keys, now, 300)
        assert told.value.fault is fault
    for wrong in ("whsec_!", "whsec_" + base64.b64encode(b"short").decode(), {"env": "NO_SUCH_NAME"}):
        with pytest.raises(ConfigError, match="keys"):
            key_of(Secret.model_validate(wrong), "keys")


async def test_what_is_signed_is_kept_in_order_until_it_is_published(source: Make) -> None:
    one = source(key="/data/id")
    assert (await one.check()).ok
    assert await waiting(one) == []
    assert [await post(one, f"m{n}", {"data": {"id": n % 2, "é": n}}, random.choice([OLD, NEW])) for n in range(4)] == [
        202
    ] * 4
    assert await post(one, "m1", {"data": {"id": 1, "é": 1}}) == 202  # sent again: known
    assert await post(one, "m1", {"data": {"id": 7}}) == 409
    assert await post(one, "m9", b"\xff{") == 202
    assert await post(one, "m10", ["no", "object"]) == 202
    (batch,) = await waiting(one)
    taken = [r for r in batch.records if isinstance(r, Record)]
    assert [(r.key, r.version, r.content["data"]["é"]) for r in taken] == [
        ("0", "m0", 0), ("1", "m1", 1), ("0", "m2", 2), ("1", "m3", 3)
    ]  # fmt: skip
    assert [r.raw for r in batch.records if isinstance(r, Refused)] == [b"\xff{", b'["no", "object"]']
    await one.close()
    two = source()
    assert [r.place for b in await waiting(two) for r in b.records] == [f"delivery {n}" for n in range(1, 7)]
    assert await post(two, "m11", {}) == 202
    await two.ack(batch)
    await two.ack(batch)
    (left,) = await waiting(two)
    assert [(r.key, r.version) for r in left.records if isinstance(r, Record)] == [("m11", None)]
    assert await post(two, "m2", {"data": {"id": 0, "é": 2}}) == 202  # published, and still known
    assert len((await waiting(two))[0].records) == 1


async def test_what_is_not_ours_is_refused(source: Make) -> None:
    one = source(max_body=1000, most_waiting=2)
    await waiting(one)
    assert await post(one, "m1", {}, OTHER) == 401
    assert await post(one, "m1", {}, at=time.time() - 400) == 401
    assert await post(one, "m1", {}, path="/elsewhere") == 404
    assert await post(one, "m1", {"a": "x" * 1000}) == 413
    async with httpx2.AsyncClient() as http:
        assert (await http.get(f"http://127.0.0.1:{one.port}/webhook")).status_code == 405
        assert (await http.post(f"http://127.0.0.1:{one.port}/webhook", json={})).status_code == 401
    assert await waiting(one) == []
    assert [await post(one, f"m{n}", {}) for n in range(3)] == [202, 202, 503]


async def test_unsigned_forms_at_an_address_that_nobody_guesses(source: Make) -> None:
    path = "/" + "a" * 30
    one = source(secret_path=path, key=["/procedure_id", "/dossier_id"], version="/updated_at")
    await waiting(one)
    form = {
        "procedure_id": "12",
        "dossier_id": "345",
        "state": "en_instruction",
        "updated_at": "2026-03-01 09:00:00 UTC",
    }
    async with httpx2.AsyncClient() as http:
        for at, status in [(path, 202), (path, 202), (path + "a", 404), ("/webhook", 404)]:
            assert (await http.post(f"http://127.0.0.1:{one.port}{at}", data=form)).status_code == status
    ((record,),) = [b.records for b in await waiting(one)]
    assert isinstance(record, Record)
    assert (record.key, record.version, record.content) == ("12/345", form["updated_at"], form)
    assert record.raw == urlencode(form).encode()
    with pytest.raises(ConfigError, match="secret_path"):
        source(secret_path="/short")
    for both in ({}, {"keys": ("x",), "secret_path": path}):
        with pytest.raises(ValidationError, match="secret_path"):
            WebhookInConfig.model_validate({"queue": "q", "port": 0} | both)


async def test_a_port_or_a_file_that_cannot_be_had_is_said_before_the_start(source: Make, tmp_path: Path) -> None:
    one = source()
    await waiting(one)
    assert "port" in (await source(port=one.port).check()).findings[0].mend
    (tmp_path / "file").write_text("")
    assert "queue" in (await source(queue=tmp_path / "file" / "q").check()).findings[0].mend


PROGRAM = """
import asyncio, sys
from connectors.http.webhook_in import WebhookIn, WebhookInConfig

async def main():
    one = WebhookIn(WebhookInConfig(queue=sys.argv[1], port=0, keys=(sys.argv[2],)))
    while True:
        async for batch in one.read(None):
            for record in batch.records:
                print(record.key, flush=True)
            await one.ack(batch)
        print("port", one.port, flush=True)
        await asyncio.sleep(0.05)

asyncio.run(main())
"""


async def test_killed_while_it_takes_and_gives_it_loses_nothing(tmp_path: Path) -> None:
    """What a process printed before it was killed may come once more: its ack was lost with it. What was answered is never lost."""
    answered: list[str] = []
    printed: list[list[str]] = []
    number = 0
    for _ in range(3):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "q.db"), text(OLD)]
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert child.stdout is not None
        lines = []
        while not (line := (await child.stdout.readline()).decode().strip()).startswith("port"):
            lines.append(line)
        port = int(line.split()[1])
        killing = asyncio.get_running_loop().call_later(random.uniform(0.1, 0.6), child.send_signal, signal.SIGKILL)
        async with httpx2.AsyncClient() as http:
            try:
                while True:
                    body = b"{}"
                    headers = signed(f"m{number:05}", int(time.time()), body, [OLD])
                    answer = await http.post(f"http://127.0.0.1:{port}/webhook", content=body, headers=headers)
                    assert answer.status_code == 202
                    answered.append(f"m{number:05}")
                    number += 1
            except httpx2.TransportError:
                pass  # as a sender does, the same delivery is sent again
        killing.cancel()
        lines += (await child.stdout.read()).decode().split("\n")
        await child.wait()
        printed.append([line for line in lines if line.startswith("m")])
    one = WebhookIn(WebhookInConfig.model_validate({"queue": tmp_path / "q.db", "port": 0, "keys": [text(OLD)]}))
    printed.append([r.key for b in await waiting(one) for r in b.records if isinstance(r, Record)])
    await one.close()
    for lines in printed:
        assert lines == sorted(set(lines))
    assert len(answered) > 3
    assert set(answered) <= {line for lines in printed for line in lines} <= {*answered, f"m{number:05}"}
