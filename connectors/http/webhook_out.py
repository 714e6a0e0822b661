"""A sink that calls: each handoff and status is posted to the body's own address, signed by Standard Webhooks.

Items of one key go one after the other, keys side by side: where one waits, the others go on. `webhook-id` is the item's id, the same
when it is sent again.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from connectors.http.signing import key_of, signed
from connectors.kit.authentication import Authenticated, Authentication
from connectors.kit.contract import (
    ConfigError,
    ConnectorConfig,
    ConnectorError,
    Finding,
    Item,
    Outcome,
    Reject,
    Rejected,
    Report,
    Retry,
    Sent,
    Unavailable,
)
from connectors.kit.outgoing import Answer, Client, Outgoing
from connectors.kit.secret import Secret

_GONE = 410


class WebhookOutConfig(ConnectorConfig):
    """Webhooks that go out."""

    url: str
    """Address of the receiver."""
    keys: tuple[Secret, ...] = Field(min_length=1)
    """Keys that sign, `whsec_…`; while they change, the old and the new one: each signs."""
    auth: Authentication | None = None
    """Who we are to a receiver that asks for it, beside the signature."""
    receipt: Literal["answer", "always", "never"] = "answer"
    """Whether a 2xx says that the body has received the handoff: if its JSON body says `{"received": true}`, always, or never."""
    parallel: int = Field(8, ge=1, le=64)
    """So many keys are sent side by side."""
    tries: int = Field(3, ge=1, le=10)
    """Tries of one item, with growing waits, before the runner takes over."""
    wait_s: float = Field(0.5, gt=0)
    """First wait between two tries; it doubles."""
    turn_s: float = Field(60.0, gt=0)
    """No item is begun so long after the batch was: what is slow comes again with the next."""
    outgoing: Outgoing = Outgoing()
    """How calls go out."""


class WebhookOut:
    """Sends handoffs and statuses as signed webhooks."""

    Config: ClassVar[type[ConnectorConfig]] = WebhookOutConfig

    def __init__(self, config: WebhookOutConfig) -> None:
        self._config = config
        self._keys = [key_of(secret, f"keys.{n}") for n, secret in enumerate(config.keys)]
        self._client = Client(config.outgoing)
        self._caller = Authenticated(self._client, config.auth)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def check(self) -> Report:
        """Reach the receiver without posting: any answer to `HEAD` but 401, 403 and 410 will do."""
        what = "reach the receiver"
        try:
            answer = await self._caller.request("HEAD", self._config.url)
        except ConnectorError as error:
            return Report([Finding(False, what, str(error))])
        bad = answer.status in {401, 403, _GONE}
        return Report([Finding(not bad, f"{what}: it answers {answer.status}", _mend(answer) if bad else "")])

    async def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Post them; see `Sink.send`."""
        outcomes: list[Outcome] = [Retry()] * len(items)
        by_key: dict[str, list[int]] = {}
        for index, item in enumerate(items):
            by_key.setdefault(item.key, []).append(index)
        ends, places = time.monotonic() + self._config.turn_s, asyncio.Semaphore(self._config.parallel)
        failures: list[Unavailable] = []

        async def in_order(indices: list[int]) -> None:
            async with places:
                for index in indices:
                    if time.monotonic() >= ends:
                        return
                    try:
                        outcomes[index] = await self._one(items[index])
                    except Unavailable as error:
                        failures.append(error)
                        outcomes[index] = Retry(error.after_s)
                    if isinstance(outcomes[index], Retry):
                        return

        try:
            async with asyncio.TaskGroup() as group:
                for indices in by_key.values():
                    group.create_task(in_order(indices))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if failures and not any(isinstance(outcome, Sent | Reject) for outcome in outcomes):
            raise max(failures, key=lambda e: e.after_s or 0.0)
        return outcomes

    async def _one(self, item: Item) -> Outcome:
        """Post one item. Raises `Unavailable` when all tries are spent, `ConfigError` as `Client.request`."""
        body = _body(item)
        for tried in range(1, self._config.tries + 1):
            try:
                return self._meant(await self._post(item.id, body))
            except Unavailable as error:
                wait = self._config.wait_s * 2 ** (tried - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
                if tried == self._config.tries or (error.after_s or 0.0) > wait:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def _post(self, id_: str, body: bytes) -> Answer:
        headers = {"content-type": "application/json"} | signed(id_, int(time.time()), body, self._keys)
        return await self._caller.request("POST", self._config.url, headers=headers, content=body)

    def _meant(self, answer: Answer) -> Outcome:
        if answer.status == _GONE:
            raise ConfigError(_mend(answer), "url")
        try:
            answer.good("the receiver")
        except Rejected as error:
            return Reject(f"{error.mend}: its operator has to say what it does not take")
        if self._config.receipt == "answer":
            return Sent(receipt=_received(answer.body))
        return Sent(receipt=self._config.receipt == "always")


def _mend(answer: Answer) -> str:
    if answer.status == _GONE:
        return "the receiver has ended its subscription (410): give the new address, or remove the connector"
    return f"the receiver answers {answer.status}: check the credentials and what they may do"


def _body(item: Item) -> bytes:
    told = {"type": f"relais.{item.kind}", "key": item.key, "gone": item.gone, "data": dict(item.content)}
    if item.documents:
        told["documents"] = [dict(document) for document in item.documents]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _received(body: bytes) -> bool:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("received") is True
