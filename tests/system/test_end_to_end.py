"""Two bodies and a citizen, through HTTP and pages only, with a worker killed in the middle: nobody notices but for a moment."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connectors.gateway.access import Member, changing, new_token
from deploy import settings
from deploy.local_kafka import LocalKafka
from deploy.ports import free_port
from deploy.topics import ensure_instance

pytestmark = pytest.mark.system

CASE = "case:viriat/PC-001451-26-00077"
HANDOFF = "handoff:viriat:" + "7a" * 16
TODAY = date.today().isoformat()  # noqa: DTZ011 - a legal date


class Place:
    """A worker and a gateway as processes, and the people who use them."""

    def __init__(self, kafka: LocalKafka, instance: str, folder: Path) -> None:
        self.http, self.probe = free_port(), free_port()
        self.base = f"http://127.0.0.1:{self.http}"
        self.settings = settings.load(
            brokers=kafka.bootstrap, instance=instance, data_dir=folder, partitions=4, output_partitions=2
        )
        self.settings.ensure_reference_secret()
        self.environment = os.environ | {
            "RELAIS_BROKERS": kafka.bootstrap, "RELAIS_INSTANCE": instance, "RELAIS_DATA_DIR": str(folder),
            "RELAIS_PARTITIONS": "4", "RELAIS_OUTPUT_PARTITIONS": "2", "RELAIS_HTTP_PORT": str(self.http),
            "RELAIS_WORKER_PORT": str(self.probe), "RELAIS_SESSION_TIMEOUT_MS": "6000",
        }  # fmt: skip
        self.tokens: dict[str, str] = {}
        with changing(self.settings.bodies_path) as held:
            for body in ("viriat", "grand-bourg"):
                self.tokens[body], kept = new_token()
                held[0] = held[0].model_copy(update={"bodies": {**held[0].bodies, body: Member(tokens=(kept,))}})
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen([sys.executable, "-m", "deploy", *arguments], env=self.environment)
        self.children.append(child)
        return child

    def wait_ready(self, port: int) -> None:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                if httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.2)
        raise AssertionError("not ready")

    def call(self, body: str, method: str, path: str, said: Any = None, **headers: str) -> httpx2.Response:
        headers |= {"authorization": f"Bearer {self.tokens[body]}"}
        return httpx2.request(method, self.base + path, json=said, headers=headers, timeout=60)

    def citizen(self, code: str) -> str:
        """What the person reads, as words."""
        with httpx2.Client(base_url=self.base, timeout=30, follow_redirects=True) as browser:
            page = browser.post("/suivi", data={"reference": "viriat/PC-001451-26-00077", "code": code})
        assert page.status_code == 200, page.text
        return " ".join(re.sub(r"<[^>]+>", " ", page.text).split())


@contextmanager
def place(kafka: LocalKafka, instance: str, folder: Path) -> Iterator[Place]:
    found = Place(kafka, instance, folder)
    try:
        yield found
    finally:
        for child in found.children:
            child.terminate()
        for child in found.children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def event(type_: str, subject: str, id_: str, **data: Any) -> dict[str, Any]:
    body = subject.removeprefix("case:").split("/")[0]
    return {
        "specversion": "1.0", "id": id_, "source": f"{body}/app", "type": f"fr.relais.{type_}", "subject": subject,
        "data": {"occurred_on": TODAY, **data},
    }  # fmt: skip


async def test_two_bodies_and_a_citizen(kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    with place(kafka, instance, tmp_path) as here:
        await ensure_instance(here.settings, kafka.bootstrap)
        worker = here.start("worker", "--slot", "one")
        here.start("gateway")
        here.wait_ready(here.http)
        here.wait_ready(here.probe)

        opened = event("case.opened", CASE, "1", procedure="urbanisme.pc-maison", channel="counter")
        answer = here.call("viriat", "POST", "/v1/events", [opened], prefer="wait=30, access-code")
        assert answer.status_code == 200, answer.text
        code = answer.json()["accepted"][0]["access_code"]
        assert "Viriat" in here.citizen(code)

        worker.send_signal(signal.SIGKILL)
        worker.wait()
        sent = event(
            "handoff.sent",
            CASE,
            "2",
            handoff=HANDOFF,
            to="grand-bourg",
            kind="transmission",
            procedure="urbanisme.pc-maison",
        )
        assert here.call("viriat", "POST", "/v1/events", sent).status_code == 202
        assert "Viriat" in here.citizen(code)  # the pages go on while nobody works
        here.start("worker", "--slot", "one")
        here.wait_ready(here.probe)

        (item,) = here.call("grand-bourg", "GET", "/v1/inbox?wait=30").json()["items"]
        assert (item["handoff"], item["state"], item["from_case"]) == (HANDOFF, "sent", CASE)
        for action in ("receive", "accept"):
            taken = here.call("grand-bourg", "POST", f"/v1/inbox/{HANDOFF}/{action}", prefer="wait=30")
            assert (taken.status_code, taken.json()["shown"]) == (200, True), taken.text
        assert "Grand Bourg" in here.citizen(code)

        own = f"case:grand-bourg/{HANDOFF}"
        decided = event("case.decided", own, "9", outcome="granted", reasons_stated=True, routes_stated=True)
        assert here.call("grand-bourg", "POST", "/v1/events", decided, prefer="wait=30").status_code == 200
        assert "acceptée" in here.citizen(code)

        # The same word twice changes nothing, and nobody else is let in.
        again = here.call("viriat", "POST", "/v1/events", [opened], prefer="wait=30, access-code")
        assert again.json()["accepted"][0]["access_code"] == code
        journey = here.call("viriat", "GET", f"/v1/journeys/{CASE}").json()
        assert len(journey["cases"]) == 2, json.dumps(journey)[:400]
        with httpx2.Client(base_url=here.base, timeout=30) as stranger:
            wrong = stranger.post("/suivi", data={"reference": "viriat/PC-001451-26-00077", "code": "AAAA-BBBB-CCCC"})
            assert wrong.status_code == 422
            assert "Grand Bourg" not in wrong.text
