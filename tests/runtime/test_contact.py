"""The line between a worker and its broker, cut: before the start, in the middle of a commit, and while there is nothing to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.chaos.proxy import Proxy
from deploy.local_kafka import LocalKafka
from deploy.ports import free_port
from streams.runtime.service import EXIT_CODE
from tests.runtime.driving import Drive

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
async def proxy() -> AsyncIterator[Proxy]:
    """Return the line."""
    found = Proxy()
    await found.start()
    yield found
    await found.stop()


@pytest.fixture(scope="module")
async def broker(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalKafka]:
    """Return a broker at the other end of the line."""
    kafka = LocalKafka(tmp_path_factory.mktemp("kafka"), doors={"W": proxy.port})
    await asyncio.to_thread(kafka.start)
    proxy.behind = kafka.door("W")
    yield kafka
    await asyncio.to_thread(kafka.stop)


@pytest.fixture
async def drive(proxy: Proxy, broker: LocalKafka, instance: str, tmp_path: Path) -> AsyncIterator[Drive]:
    """Return a drive whose workers are at this end of the line."""
    config = {"clock": "led", "session_timeout_s": 3.0, "heartbeat_s": 0.5, "revoke_budget_s": 2.0}
    d = Drive(broker.bootstrap, instance, tmp_path, brokers=[f"127.0.0.1:{proxy.port}"], config=config)
    await d.create()
    await d.feed(200)
    yield d
    proxy.heal()
    await asyncio.to_thread(d.stop)


async def test_a_worker_waits_for_the_broker_and_an_idle_one_knows_that_it_is_cut_off(
    drive: Drive, proxy: Proxy
) -> None:
    proxy.cut()
    worker = drive.start()
    waits = f"no broker answers at 127.0.0.1:{proxy.port}: waiting"
    await drive.until(lambda: waits in worker.log.read_text(), "its word that it waits")
    proxy.heal()
    await drive.settled(worker)
    assert worker.last()["is_ready"]
    for hurt in (proxy.cut, proxy.stall):
        hurt()  # led time stands, nothing comes in: the worker has nothing to do
        await drive.until(lambda: not worker.last()["is_ready"], "the end of readiness")
        assert worker.last()["is_live"]
        proxy.heal()
        await drive.until(lambda: worker.last()["is_ready"], "readiness")
    await drive.feed(200)
    await drive.settled(worker)
    await drive.check()


async def test_a_commit_of_unknown_outcome_is_discarded_restored_and_gone_on_from(drive: Drive, proxy: Proxy) -> None:
    """The broker commits, and its answer is lost however often the worker asks: it cannot know, drops what it has, and finds it done."""
    worker = drive.start(commit_timeout_s=1.5)
    await drive.settled(worker)
    proxy.cut_at_commit(10_000)
    await drive.feed(200)
    unknown = f"transaction of {drive.input}/"
    await drive.until(lambda: unknown in worker.log.read_text(), "the end of its patience")
    assert proxy.commits_cut > 1
    proxy.heal()
    await drive.settled(worker)
    await drive.check()
    assert "failed: timeout TimeoutError" in worker.log.read_text()
    again = [p for p in range(drive.partitions) if worker.steps(p).count("fence") > 1]
    assert again
    assert all(worker.steps(p)[-4:] == ["fence", "committed", "restore", "seek"] for p in again)
    assert worker.process.poll() is None


async def test_a_worker_without_a_broker_ends_with_a_reason(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    d = Drive(address, "nobody", tmp_path)
    worker = d.start(broker_wait_s=1.0)
    assert await asyncio.to_thread(worker.process.wait, 30) == EXIT_CODE
    d.stop()
    told = worker.log.read_text()
    assert f"worker ends: no-broker: none answered at {address} for 1 s" in told
    assert "Traceback" not in told
