"""What a worker says when the ground is gone from under it: a lost beginning of its changelog, a disk that takes no more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy.local_kafka import LocalKafka
from streams.runtime.service import EXIT_CODE
from tests.runtime.driving import Drive, Worker

pytestmark = pytest.mark.system


async def ended(d: Drive, worker: Worker) -> str:
    await d.until(lambda: worker.process.poll() is not None, "its end")
    assert worker.process.returncode == EXIT_CODE
    return worker.log.read_text()


async def test_a_changelog_that_lost_its_oldest_segment_is_never_taken_for_whole(tmp_path: Path, instance: str) -> None:
    with LocalKafka(tmp_path / "kafka") as kafka:
        d = Drive(kafka.bootstrap, instance, tmp_path, partitions=1, state={"segment.ms": "1000"})
        await d.create()
        try:
            await d.feed(500)
            first = d.start()
            await d.settled(first)
            await asyncio.sleep(1.1)
            await d.feed(100)
            await d.settled(first)
            assert first.stop() == 0
            kafka.kill()
            segments = sorted((tmp_path / "kafka").rglob(f"{d.state}-0/*.log"))
            assert len(segments) > 1
            for file in segments[0].parent.glob(f"{segments[0].stem}.*"):
                file.unlink()
            kafka.restart()
            told = await ended(d, d.start("cold"))
            assert f"worker ends: state-truncated: {d.state}/0 begins at {int(segments[1].stem)}" in told
            await d.feed(100)
            warm = d.start()  # its store holds what the log has lost
            await d.settled(warm)
            await d.check()
            assert warm.stop() == 0
            cold = d.start("cold", accept_lost_state=True)
            await d.settled(cold)
            assert cold.stop() == 0
            assert "going on without what stood before it, as told" in cold.log.read_text()
        finally:
            d.stop()


async def test_a_store_that_cannot_be_written_ends_the_worker_and_loses_nothing(
    kafka: LocalKafka, instance: str, tmp_path: Path
) -> None:
    """The system lets no file of the worker grow beyond a size: to the store that is a disk without room."""
    d = Drive(kafka.bootstrap, instance, tmp_path, partitions=1)
    await d.create()
    try:
        await d.feed(8_000, keys=8_000)
        d.options["largest_file"] = 100_000
        told = await ended(d, d.start(max_failures=2))
        assert "worker ends: store-failed: " in told
        assert "File too large" in told
        assert "store damaged" not in told, "what cannot be written is not what is damaged"
        del d.options["largest_file"]
        worker = d.start()
        await d.settled(worker)
        await d.check()
        assert worker.stop() == 0
    finally:
        d.stop()
