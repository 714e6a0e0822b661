"""Broker, worker and gateway as processes: what one body states, another finds in its inbox, and both can ask for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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

HANDOFF = "handoff:viriat:" + "1b" * 16
TODAY = date.today().isoformat()  # noqa: DTZ011 - a legal date


@contextmanager
def process(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-m", "deploy", *arguments], env=os.environ | environment)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_ready(url: str, child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert child.poll() is None
        try:
            if httpx2.get(url, timeout=5).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"not ready: {url}")


def event(type_: str, subject: str, id_: str, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id_, "source": f"{subject[5:].split('/', maxsplit=1)[0]}/app", "type": f"fr.relais.{type_}",
        "subject": subject, "data": {"occurred_on": TODAY, **data},
    }  # fmt: skip


async def test_two_bodies_and_a_bus(kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    environment = {
        "RELAIS_BROKERS": kafka.bootstrap, "RELAIS_INSTANCE": instance, "RELAIS_DATA_DIR": str(tmp_path),
        "RELAIS_PARTITIONS": "2", "RELAIS_OUTPUT_PARTITIONS": "2", "RELAIS_HTTP_PORT": str(ports[0]),
        "RELAIS_WORKER_PORT": str(ports[1]),
    }  # fmt: skip
    chosen = settings.load(
        brokers=kafka.bootstrap, instance=instance, data_dir=tmp_path, partitions=2, output_partitions=2
    )
    chosen.ensure_reference_secret()
    await ensure_instance(chosen, kafka.bootstrap)
    tokens: dict[str, str] = {}
    with changing(chosen.bodies_path) as held:
        for body in ("viriat", "grand-bourg"):
            tokens[body], kept = new_token()
            held[0] = held[0].model_copy(update={"bodies": {**held[0].bodies, body: Member(tokens=(kept,))}})
    base = f"http://127.0.0.1:{ports[0]}"

    def call(body: str, method: str, path: str, said: Any = None, **headers: str) -> httpx2.Response:
        headers |= {"authorization": f"Bearer {tokens[body]}"}
        return httpx2.request(method, base + path, json=said, headers=headers, timeout=40)

    with ExitStack() as stack:
        worker = stack.enter_context(process(environment, "worker"))
        gateway = stack.enter_context(process(environment, "gateway"))
        wait_ready(f"{base}/readyz", gateway)
        wait_ready(f"http://127.0.0.1:{ports[1]}/readyz", worker)
        case = "case:viriat/PC-001451-26-00014"
        opened = event("case.opened", case, "1", procedure="urbanisme.pc-maison")
        sent = event("handoff.sent", case, "2", handoff=HANDOFF, to="grand-bourg", kind="transfer")
        answer = call("viriat", "POST", "/v1/events", [opened, sent], prefer="wait=30")
        assert (answer.status_code, answer.json()["shown"]) == (200, True), answer.text
        (item,) = call("grand-bourg", "GET", "/v1/inbox?wait=20").json()["items"]
        assert (item["handoff"], item["state"]) == (HANDOFF, "sent")
        taken = call("grand-bourg", "POST", f"/v1/inbox/{HANDOFF}/receive", prefer="wait=30")
        assert (taken.status_code, taken.json()["shown"]) == (200, True), taken.text
        journey = call("viriat", "GET", answer.json()["accepted"][0]["journey"]).json()
        assert {c["body"]["id"] for c in journey["cases"]} == {"viriat", "grand-bourg"}
        assert journey["handoffs"][0]["record"]["received_on"] == TODAY
        assert call("grand-bourg", "GET", f"/v1/journeys/{case}").json()["cases"] != journey["cases"]
