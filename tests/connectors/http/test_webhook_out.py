"""Webhooks that go out, to a real receiver that checks, refuses, delays and fails: signatures, order per key, outcomes, receipts."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.http.signing import verified
from connectors.http.webhook_out import WebhookOut, WebhookOutConfig
from connectors.kit.contract import ConfigError, Item, Reject, Retry, Sent, Unavailable
from tests.support.serving import LOOPBACK, serving

OLD, NEW = bytes([1]) * 32, bytes([2]) * 32
Make = Callable[..., WebhookOut]


class Receiver:
    """Checks every signature with its one key, and answers by what `plan` says for an item's key."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.plan: dict[str, list[Response | float]] = {}
        self.busy = self.most_busy = 0
        self.app = Starlette(routes=[Route("/hook", self.take, methods=["POST", "HEAD"])])

    async def take(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(status_code=405)
        body = await request.body()
        id_ = verified(request.headers, body, [OLD], time.time(), 300)
        told = json.loads(body)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        await asyncio.sleep(0.01)
        planned = self.plan.get(told["key"], [])
        answer = planned.pop(0) if planned else Response()
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = Response()
        self.busy -= 1
        if answer.status_code < 300:
            self.got.append((id_, told))
        return answer


@pytest.fixture
async def sink() -> AsyncIterator[Make]:
    """Make sinks; they are closed afterwards."""
    made: list[WebhookOut] = []

    def make(url: str, **more: Any) -> WebhookOut:
        keys = ["whsec_" + base64.b64encode(key).decode() for key in (NEW, OLD)]
        fields = {"url": f"{url}/hook", "keys": keys, "wait_s": 0.02, "outgoing": LOOPBACK}
        made.append(WebhookOut(WebhookOutConfig.model_validate(fields | more)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def item(id_: str, key: str, **content: Any) -> Item:
    return Item(id_, "handoff", key, content, documents=({"label": "plan"},) if content.get("documents") else ())


async def test_every_item_once_in_the_order_of_its_key(sink: Make) -> None:
    receiver = Receiver()
    items = [item(f"i{n:03}", f"k{n % 7}", é=n) for n in range(70)]
    async with serving(receiver.app) as url:
        one = sink(url, parallel=4)
        assert (await one.check()).ok
        assert await one.send(items) == [Sent()] * 70
    assert sorted(id_ for id_, _ in receiver.got) == [i.id for i in items]
    for k in range(7):
        assert [told["data"]["é"] for _, told in receiver.got if told["key"] == f"k{k}"] == list(range(k, 70, 7))
    assert receiver.got[0][1].keys() == {"type", "key", "gone", "data"}
    assert 1 < receiver.most_busy <= 4


async def test_one_that_fails_holds_back_its_key_alone(sink: Make) -> None:
    receiver = Receiver()
    receiver.plan = {
        "later": [Response(status_code=429, headers={"retry-after": "30"})], "down": [Response(status_code=503)] * 3,
        "shaky": [Response(status_code=500), Response(status_code=502)], "bad": [Response(status_code=422)], "slow": [2.0],
    }  # fmt: skip
    items = [item(f"{key}{n}", key) for n in range(2) for key in ("later", "down", "shaky", "bad", "slow", "good")]
    async with serving(receiver.app) as url:
        quick = LOOPBACK.model_copy(update={"timeout_s": 0.5})
        found = dict(zip((i.id for i in items), await sink(url, tries=3, outgoing=quick).send(items), strict=True))
    assert {k: v for k, v in found.items() if not isinstance(v, Reject)} == {
        "later0": Retry(30), "later1": Retry(), "down0": Retry(), "down1": Retry(), "shaky0": Sent(), "shaky1": Sent(),
        "bad1": Sent(), "slow0": Sent(), "slow1": Sent(), "good0": Sent(), "good1": Sent(),
    }  # fmt: skip
    assert isinstance(found["bad0"], Reject)
    ids = [id_ for id_, _ in receiver.got]
    assert ids.index("shaky0") < ids.index("shaky1")


async def test_a_batch_that_takes_too_long_is_given_back(sink: Make) -> None:
    receiver = Receiver()
    receiver.plan = {"slow": [0.3, 0.3, 0.3]}
    async with serving(receiver.app) as url:
        found = await sink(url, turn_s=0.2).send([item(f"s{n}", "slow") for n in range(3)])
    assert found == [Sent(), Retry(), Retry()]


@pytest.mark.parametrize(
    ("receipt", "answer", "received"),
    [
        ("answer", JSONResponse({"received": True}), True), ("answer", JSONResponse({"received": "true"}), False),
        ("answer", Response("ok"), False), ("always", Response(), True), ("never", JSONResponse({"received": True}), False),
    ],
)  # fmt: skip
async def test_when_a_receiver_says_that_it_has_received(
    sink: Make, receipt: str, answer: Response, received: bool
) -> None:
    receiver = Receiver()
    receiver.plan = {"k": [answer]}
    async with serving(receiver.app) as url:
        assert await sink(url, receipt=receipt).send([item("i", "k")]) == [Sent(receipt=received)]


async def test_who_ended_the_subscription_or_is_away_takes_nothing(sink: Make) -> None:
    receiver = Receiver()
    async with serving(receiver.app) as url:
        for status in (410, 401, 404):
            receiver.plan = {"k": [Response(status_code=status)]}
            with pytest.raises(ConfigError, match=str(status)):
                await sink(url).send([item("i", "k"), item("j", "l")])
        receiver.plan = {
            k: [Response(status_code=503, headers={"retry-after": str(n)})] * 3 for n, k in enumerate("klm", 5)
        }
        with pytest.raises(Unavailable) as told:
            await sink(url).send([item(k, k) for k in "klm"])
        assert told.value.after_s == 7
        refused = await sink(url, outgoing={}).check()
        assert not refused.ok
    with pytest.raises(Unavailable):
        await sink(url, tries=1).send([item("i", "k")])
