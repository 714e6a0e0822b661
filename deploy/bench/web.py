"""`relais bench gateway` and `relais bench pages`: requests per second beside a static answer by the same server."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from deploy import fleet, tokens, topics
from deploy.bench import bed, load
from deploy.bench.traffic import BODIES
from deploy.settings import Settings

Say = Callable[[str], None]

TOWN = BODIES[0]
PATIENCE_S = 60
MAX_POSTED_AT_ONCE = 100


def gateway(requests: int, connections: int, seconds: float, folder: Path, say: Say) -> dict[str, Any]:
    """Events taken one by one, journeys asked for, the inbox; `requests` are open meanwhile."""
    with _town(folder, requests, say) as town:
        town.say("measuring")
        return asyncio.run(_gateway(town, connections, seconds))


def pages(requests: int, connections: int, seconds: float, folder: Path, say: Say) -> dict[str, Any]:
    """The pages of a citizen, an agent and operations; `requests` are open meanwhile."""
    with _town(folder, requests, say) as town:
        town.say("measuring")
        return asyncio.run(_pages(town, connections, seconds))


class _Town:
    """A bus with its gateway, and requests that are open."""

    def __init__(self, settings: Settings, address: str, requests: int, say: Say) -> None:
        self.settings, self.address, self.requests, self.say = settings, address, requests, say
        self.token = tokens.ensure_tokens(settings, BODIES)[0][TOWN]
        self.bearer = {"Authorization": f"Bearer {self.token}"}
        self.mark = secrets.token_hex(4)
        """Tells the ids of this run from those of another."""
        self.code = ""
        """The secret code of the person who made the first request."""

    def event(self, n: int, type_: str = "case.opened", **data: object) -> dict[str, object]:
        """Event number `n`, about the request of that number."""
        opened = {"procedure": "urbanisme.pc-maison", "channel": "electronic", "complete": True}
        return {
            "specversion": "1.0", "id": f"{self.mark}-{n}-{type_}", "source": f"{TOWN}/oxalis", "type": f"fr.relais.{type_}",
            "subject": self.case(n), "data": {"occurred_on": time.strftime("%Y-%m-%d"), **(data or opened)},
        }  # fmt: skip

    @staticmethod
    def case(n: int) -> str:
        """Reference of the request of that number."""
        return f"case:{TOWN}/PC{n + 1:09d}"

    async def open(self) -> None:
        """Make the requests, and wait until the last is shown."""
        batch = {**self.bearer, "Content-Type": "application/cloudevents-batch+json"}
        single = {
            **self.bearer,
            "Content-Type": "application/cloudevents+json",
            "Prefer": f"access-code, wait={PATIENCE_S}",
        }
        async with httpx2.AsyncClient(base_url=self.address, timeout=2 * PATIENCE_S) as client:
            for first in range(1, self.requests, MAX_POSTED_AT_ONCE):
                events = [self.event(n) for n in range(first, min(self.requests, first + MAX_POSTED_AT_ONCE))]
                (await client.post("/v1/events", content=json.dumps(events), headers=batch)).raise_for_status()
            answer = await client.post("/v1/events", content=json.dumps(self.event(0)), headers=single)
            answer.raise_for_status()
            self.code = answer.json()["accepted"][0]["access_code"]


@contextmanager
def _town(folder: Path, requests: int, say: Say) -> Iterator[_Town]:
    with bed.instance(folder) as (settings, brokers):
        asyncio.run(topics.ensure_instance(settings, brokers))
        tokens.ensure_tokens(settings, BODIES)
        tokens.ensure_person(settings, BODIES)
        with (
            fleet.workers(settings, brokers, 1, ("--directory", str(bed.bodies_file(settings)))) as running,
            bed.gateway(settings, brokers) as address,
        ):
            asyncio.run(fleet.wait_ready(running))
            town = _Town(settings, address, requests, say)
            say(f"opening {requests} requests")
            asyncio.run(town.open())
            yield town


async def _gateway(town: _Town, connections: int, seconds: float) -> dict[str, Any]:
    headers = {**town.bearer, "Content-Type": "application/cloudevents+json"}
    fresh = town.requests

    def post(n: int) -> bytes:
        body = json.dumps(town.event(fresh + n)).encode()
        return load.request("POST", town.address, "/v1/events", headers, body)

    def ask(n: int) -> bytes:
        return load.request("GET", town.address, f"/v1/journeys/{town.case(n % town.requests)}", town.bearer)

    def inbox(_: int) -> bytes:
        return load.request("GET", town.address, "/v1/inbox", town.bearer)

    def static(_: int) -> bytes:
        return load.request("GET", town.address, "/livez", {})

    return await _measured(
        "gateway",
        town,
        {"static": static, "post_event": post, "get_journey": ask, "get_inbox": inbox},
        connections,
        seconds,
    )


async def _pages(town: _Town, connections: int, seconds: float) -> dict[str, Any]:
    citizen, agent = await _sign_in(town)

    def get(path: str, cookie: str = "") -> load.Make:
        wire = load.request("GET", town.address, path, {"Cookie": cookie} if cookie else {})
        return lambda _: wire

    asked = {
        "static": get("/assets/relais.css"), "citizen_form": get("/suivi"), "citizen_status": get("/suivi/demande", citizen),
        "agent": get("/agent", agent), "operations": get("/pilotage", agent),
    }  # fmt: skip
    return await _measured("pages", town, asked, connections, seconds)


async def _sign_in(town: _Town) -> tuple[str, str]:
    """Cookies of the person who made the first request, and of an agent who sees operations too."""
    password = (town.settings.data_dir / "tokens" / tokens.PERSON).read_text().strip()
    cookies = []
    for path, form in (
        ("/suivi", {"reference": town.case(0), "code": town.code}),
        ("/entrer", {"name": tokens.PERSON, "password": password}),
    ):
        async with httpx2.AsyncClient(base_url=town.address, timeout=30) as client:
            answer = await client.post(path, data=form)
            cookies.append("; ".join(f"{name}={value}" for name, value in answer.cookies.items()))
    return cookies[0], cookies[1]


async def _measured(
    name: str, town: _Town, asked: dict[str, load.Make], connections: int, seconds: float
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for what, make in asked.items():
        found[what] = await load.measured(town.address, make, connections, seconds)
        town.say(f"  {what}: {found[what]['requests_per_second']} a second")
    plain = found["static"]["requests_per_second"]
    return {
        "bench": name, "requests": town.requests, "connections": connections, "seconds": seconds, **found,
        "ratio_to_static": {w: round(f["requests_per_second"] / plain, 3) for w, f in found.items() if w != "static"},
        "machine": bed.machine(), "settings": bed.told(town.settings),
    }  # fmt: skip
