"""A source that is called goes on answering while the broker is away, and loses nothing of what it took."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from connectors.http.signing import signed
from connectors.http.webhook_in import WebhookIn, WebhookInConfig
from connectors.kit.intake import Outcome
from connectors.kit.loop import Ground, RunnerConfig
from connectors.kit.metrics import State
from connectors.kit.runner import Runner
from connectors.kit.spec import ConnectorFile, Spec
from connectors.kit.stating import Stating
from deploy import topics
from deploy.local_kafka import LocalKafka
from deploy.reading import records
from deploy.settings import load
from schemas import codec
from schemas.references import Keys
from streams.runtime.config import RuntimeConfig
from tests.support.connector_contract import until

KEY = bytes(32)
MAPPING = """
case: "'R-' & $string(id)"
events:
  - {states: case.opened, on: $date('01/03/2026'), with: {procedure: urbanisme.pc-maison}}
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalKafka]:
    """Return a broker of its own, which the test stops and starts."""
    with LocalKafka(tmp_path / "kafka", say=lambda _: None) as started:
        yield started


async def post(port: int, number: int) -> int:
    body = json.dumps({"id": number}).encode()
    headers = signed(f"m{number}", int(time.time()), body, [KEY])
    async with httpx2.AsyncClient() as http:
        return (await http.post(f"http://127.0.0.1:{port}/webhook", content=body, headers=headers)).status_code


async def test_the_port_stays_open_while_the_broker_is_stopped_and_started(broker: LocalKafka, tmp_path: Path) -> None:
    settings = load(
        brokers=broker.bootstrap, instance="hooks", partitions=2, output_partitions=1, data_dir=tmp_path / "data"
    )
    await topics.ensure_instance(settings, broker.bootstrap)
    await topics.ensure_connector(settings, broker.bootstrap, "hooks")
    (tmp_path / "hooks.map.yaml").write_text(MAPPING, encoding="utf-8")
    file = ConnectorFile(
        name="hooks", connector="webhook-in", body="viriat", system="hooks", time_zone="Europe/Paris",
        mapping=Path("hooks.map.yaml"), every="50ms",  # type: ignore[arg-type]
    )  # fmt: skip
    fields = {
        "queue": tmp_path / "q.db",
        "port": 0,
        "keys": ["whsec_" + base64.b64encode(KEY).decode()],
        "most_waiting": 4,
    }
    spec = Spec(tmp_path / "hooks.yaml", file, WebhookIn, WebhookInConfig.model_validate(fields))
    runtime = RuntimeConfig(
        brokers=(broker.bootstrap,), instance="hooks", group="hooks.kit", data_dir=tmp_path / "stores",
        commit_timeout_s=2, request_timeout_ms=1_000, store_cache_mb=8, store_buffer_mb=8,
    )  # fmt: skip

    async def prepare() -> Ground:
        return Ground(Stating("viriat", "hooks", codec.events(), Keys(bytes(32)), 2, None))

    runner = Runner(spec, prepare, runtime, RunnerConfig(retry_s=0.1, retry_most_s=0.5, prove_s=0.2))
    task = asyncio.create_task(runner.run())
    try:
        await until(lambda: runner.state is State.IDLE)
        assert isinstance(runner.connector, WebhookIn)
        port = runner.connector.port
        assert port is not None
        assert await post(port, 1) == 202
        await until(lambda: runner.counts[Outcome.PUBLISHED] == 1)
        await asyncio.to_thread(broker.stop)
        await until(lambda: runner.state is State.FAILING)
        assert [await post(port, number) for number in range(2, 8)] == [202] * 4 + [503] * 2, "four may wait"
        assert runner.listens
        await asyncio.to_thread(broker.start)
        await until(lambda: runner.counts[Outcome.PUBLISHED] == 5)
        assert await post(port, 6) == 202
        await until(lambda: runner.counts[Outcome.PUBLISHED] == 6)
    finally:
        runner.stop()
        await asyncio.wait_for(task, 30)
    assert runner.connector is None, "it is closed at the end"
    stated = [codec.events().decode(r.value or b"")[1] async for r in records(broker.bootstrap, "hooks.case-events")]
    assert Counter(one["header"]["subject"] for one in stated) == Counter(f"case:viriat/R-{n}" for n in range(1, 7))
