"""Workers as processes on a real broker: what is counted once stays counted once, whatever happens to them."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.local_kafka import LocalKafka
from streams.runtime.service import EXIT_CODE
from tests.runtime.counting import STAMP
from tests.runtime.driving import Drive

pytestmark = pytest.mark.system

NewDrive = Callable[..., Any]
MORE = 8
"""Kills beyond those wanted, at most, until one has hit an open transaction."""


@pytest.fixture
async def drive(kafka: LocalKafka, instance: str, tmp_path: Path) -> AsyncIterator[NewDrive]:
    """Return a function that makes the drive of this test."""
    made: list[Drive] = []

    async def make(**options: Any) -> Drive:
        found = Drive(kafka.bootstrap, instance, tmp_path, **options)
        await found.create()
        made.append(found)
        return found

    yield make
    for found in made:
        found.stop()


async def test_order_of_taking_a_partition(drive: NewDrive) -> None:
    d = await drive()
    await d.feed(500)
    first = d.start()
    await d.settled(first)
    for partition in range(d.partitions):
        assert first.steps(partition) == ["fence", "committed", "restore", "seek"]
    assert first.stop() == 0
    await d.check()


async def test_warm_and_cold_restart_and_a_damaged_store(drive: NewDrive, tmp_path: Path) -> None:
    d = await drive()
    await d.feed(2000)
    first = d.start()
    await d.settled(first)
    assert first.stop() == 0
    await d.feed(1000)
    warm = d.start()
    await d.settled(warm)
    assert warm.stop() == 0
    assert "restored 4 partitions, 0 records" in warm.log.read_text()
    store = tmp_path / "a" / d.instance / "count" / "0"
    for file in store.glob("MANIFEST-*"):
        file.write_bytes(b"\xff" * 64)
    await d.feed(1000)
    damaged = d.start()
    await d.settled(damaged)
    assert damaged.stop() == 0
    assert "store damaged" in damaged.log.read_text()
    await d.feed(1000)
    cold = d.start("b")
    await d.settled(cold)
    assert cold.stop() == 0
    await d.check()


async def test_a_store_whose_damage_is_met_on_the_way(drive: NewDrive, tmp_path: Path) -> None:
    """The files open, and a block in the middle is not what it was: found when it is read, rebuilt, and no record's fault."""
    d = await drive(partitions=1)
    for _ in range(2):  # a store that is opened puts its log into tables
        await d.feed(2_000, keys=2_000)
        worker = d.start()
        await d.settled(worker)
        assert worker.stop() == 0
    tables = list((tmp_path / "a" / d.instance).rglob("*.sst"))
    assert tables
    for table in tables:
        content = bytearray(table.read_bytes())
        for at in range(100, len(content) // 2, 500):
            content[at] ^= 0x55
        table.write_bytes(content)
    await d.feed(2_000, keys=2_000)
    worker = d.start()
    await d.settled(worker)
    assert worker.stop() == 0
    assert "damaged, rebuilt from the changelog" in worker.log.read_text()
    await d.check()


async def test_a_fetch_is_taken_in_pieces(drive: NewDrive) -> None:
    """Heartbeats wait for what is taken out of a fetch: with much to catch up, a worker that took all at once lost its partitions."""
    d = await drive(partitions=1, config={"max_queue_records": 100, "max_batch_records": 50})
    await d.feed(2_000)
    worker = d.start()
    await d.settled(worker)
    assert worker.last()["most"] == 100
    await d.check()
    assert worker.stop() == 0


async def test_a_second_worker_joins_and_leaves(drive: NewDrive) -> None:
    d = await drive(partitions=6)
    await d.feed(1000)
    first = d.start("a")
    await d.settled(first)
    second = d.start("b")
    await d.feed(1000)
    await d.until(lambda: second.last() and len(second.last()["ready"]) == 3, "its half")
    await d.feed(1000)
    await d.settled(first, second)
    kept = [p for p in first.last()["ready"] if first.steps(p).count("fence") == 1]
    assert kept == first.last()["ready"], "a partition that stayed was rebuilt"
    assert second.stop() == 0
    await d.feed(1000)
    await d.settled(first)
    await d.check()
    assert first.stop() == 0


async def test_killed_in_the_middle_of_transactions(drive: NewDrive) -> None:
    """Transactions are open most of the time, so that a kill finds one; the reader outside proves that it did."""
    await havoc(await drive(hold=0.2, config={"max_batch_records": 50, "bundles": 3}), ["kill"] * 4)


@pytest.mark.long
async def test_everything_at_once_for_long(drive: NewDrive) -> None:
    """Kills, stops, a stranger that fences, transactions that fail after their records were written."""
    actions = ["kill", "stop", "fence"] * 8
    options = {"max_batch_records": 50, "max_fences": 100, "bundles": 2}
    await havoc(await drive(sleep=0.01, fail=0.03, config=options), actions)


async def test_partitions_of_a_bundle_move_fail_and_mend_together(drive: NewDrive) -> None:
    d = await drive(partitions=6, fail=0.05, config={"bundles": 2, "max_batch_records": 20})
    await d.feed(600)
    first, second = d.start("a"), d.start("b")
    await d.settled(first, second)
    mine = [worker.last()["ready"] for worker in (first, second)]
    assert sorted(mine) == [[0, 2, 4], [1, 3, 5]]
    await d.fence(0)
    await d.feed(600)
    await d.settled(first, second)
    for worker, partitions in zip((first, second), mine, strict=True):
        assert len({worker.steps(p).count("fence") for p in partitions}) == 1
    assert any(worker.steps(p).count("fence") > 1 for worker, ps in ((first, mine[0]), (second, mine[1])) for p in ps)
    await d.check()
    assert [worker.stop() for worker in (first, second)] == [0, 0]


async def test_workers_of_another_number_of_bundles_do_not_meet(drive: NewDrive) -> None:
    d = await drive()
    await d.feed(200)
    first = d.start("a", bundles=2)
    await d.settled(first)
    other = d.start("b", bundles=3)
    await d.until(lambda: other.process.poll() is not None, "its end")
    assert "refused-by-group: InconsistentGroupProtocolError" in other.log.read_text()
    assert first.last()["ready"] == [0, 1, 2, 3]
    assert first.stop() == 0


async def havoc(d: Drive, actions: list[str]) -> None:
    rnd = random.Random(3)
    workers = {slot: d.start(slot, slot=slot) for slot in "ab"}
    over = asyncio.Event()

    async def feed() -> None:
        while not over.is_set():
            await d.feed(60)
            await asyncio.sleep(0.05)

    feeding = asyncio.create_task(feed())
    for i, action in enumerate([*actions, *["kill"] * MORE]):
        if i >= len(actions) and (await d.read()).aborted:
            break
        slot = "ab"[i % 2]
        await d.busy(workers[slot])
        await asyncio.sleep(rnd.random() * 0.2)
        if action == "fence":
            await d.fence(rnd.randrange(d.partitions))
            continue
        assert workers[slot].kill() is None if action == "kill" else workers[slot].stop() == 0
        workers[slot] = d.start(slot, slot=slot)
    over.set()
    await feeding
    await d.settled(*workers.values())
    found = await d.check()
    assert found.aborted > 0
    assert [worker.stop() for worker in workers.values()] == [0, 0]


async def test_a_bug_ends_the_worker_and_says_so(drive: NewDrive) -> None:
    d = await drive()
    await d.feed(100)
    worker = d.start()
    await d.settled(worker)
    await d.write([(1, b"key", b"bug")])
    await d.until(lambda: worker.process.poll() is not None, "its end")
    assert worker.process.returncode == EXIT_CODE
    told = worker.log.read_text()
    assert "worker ends: processor-bug: RuntimeError in count 1 at offset" in told
    assert told.count("Traceback") == 1, told


async def test_state_without_offset_is_refused(drive: NewDrive) -> None:
    d = await drive()
    await d.feed(100)
    first = d.start()
    await d.settled(first)
    first.stop()
    d.options["group"] = f"{d.instance}-another"
    second = d.start(committed_retries=1)
    await d.until(lambda: second.process.poll() is not None, "its end")
    assert second.process.returncode != 0
    assert "state-without-offset" in second.log.read_text()


@pytest.mark.parametrize("how", ["stopped", "running"])
async def test_input_that_is_gone_before_it_was_read_is_told(drive: NewDrive, how: str) -> None:
    """A segment is deleted that the worker, stopped or just slow, had still to read: it goes on behind it, and says so."""
    d = await drive(partitions=1)
    await d.feed(200)
    worker = d.start()
    await d.settled(worker)
    if how == "stopped":
        assert worker.stop() == 0
    else:
        worker.process.send_signal(signal.SIGSTOP)
    await d.feed(50)
    await asyncio.sleep(1)  # a fetch that was under way has its answer
    await d.feed(400)
    end = (await d.ends(d.input))[0]
    await d.delete(0, end - 100)
    if how == "stopped":
        worker = d.start()
    else:
        worker.process.send_signal(signal.SIGCONT)
    await d.settled(worker)
    assert f"input of {d.input}/0 was deleted before it was read" in worker.log.read_text()
    found = await d.read()
    assert sum(count for count, _ in found.states.values()) in (300, 350)  # what was on its way is there or not
    assert worker.stop() == 0


async def test_wall_time_moves_past_what_was_written(drive: NewDrive) -> None:
    d = await drive(hop=3)
    await d.feed(1000)
    workers = [d.start("a"), d.start("b")]
    await d.settled(*workers)
    was = max((w.last()["established"] or 0) for w in workers)
    await d.until(lambda: all((w.last()["established"] or 0) > was + 1000 for w in workers), "time")
    assert sum(w.last()["leads"] for w in workers) == 1
    leader = next(w for w in workers if w.last()["leads"])
    rest = next(w for w in workers if w is not leader)
    leader.kill()
    was = rest.last()["established"]
    await d.until(lambda: rest.last()["leads"] and rest.last()["established"] > was + 1000, "time under a new leader")
    for worker in workers:
        times = [said["at"] for said in worker.said if said["what"] == "timers" and said["partition"] == 0]
        assert times == sorted(times)
    rest.stop()


async def test_led_time_follows_ticks_over_a_restart(drive: NewDrive) -> None:
    d = await drive(config={"clock": "led"})
    await d.feed(200)
    await d.tick(1000)
    first = d.start()
    await d.until(lambda: first.last() and first.last()["established"] == 1000, "the first tick")
    await d.write([(0, b"\x00tick", STAMP.pack(2000))])
    await d.settled(first)
    assert first.last()["established"] == 1000
    assert first.stop() == 0
    second = d.start()
    await d.settled(second)
    assert second.last()["established"] == 1000
    await d.write([(p, b"\x00tick", STAMP.pack(2000)) for p in range(1, d.partitions)])
    await d.until(lambda: second.last()["established"] == 2000, "the second tick")
    assert second.stop() == 0


async def test_fenced_by_a_stranger(drive: NewDrive) -> None:
    d = await drive()
    await d.feed(400)
    worker = d.start()
    await d.settled(worker)
    for partition in range(d.partitions):
        await d.fence(partition)
        await d.feed(400)
        await d.settled(worker)
    # A stranger that finds a transaction open asks twice for the id, and so may fence twice.
    assert {worker.steps(p).count("fence") for p in range(d.partitions)} <= {2, 3}
    await d.check()
    for _ in range(3):
        if worker.process.poll() is None:
            await d.fence(1)
            await d.feed(400)
            await asyncio.sleep(0.5)
    await d.until(lambda: worker.process.poll() is not None, "its end")
    assert "fenced-repeatedly: count 1" in worker.log.read_text()
    again = d.start()
    await d.settled(again)
    await d.check()
    assert again.stop() == 0


async def test_two_stages_and_their_time(drive: NewDrive, instance: str) -> None:
    raw = [f"{instance}.raw.x", f"{instance}.raw.y"]
    d = await drive(raw=raw)
    worker = d.start()
    await d.until(lambda: worker.last() and worker.last()["is_ready"], "readiness")
    for topic in raw:
        await d.feed(300, raw=topic)
    await d.until(lambda: sum(worker.last()["offsets"].values()) >= 600, "forwarded events")
    await d.settled(worker)
    was = worker.last()["established"] or 0
    await d.until(lambda: (worker.last()["established"] or 0) > was + 1000, "time")
    await d.check()
    assert worker.stop() == 0


async def test_an_ordinary_agent_with_a_table_beside_it(drive: NewDrive, instance: str) -> None:
    plain = f"{instance}.plain"
    d = await drive(plain=plain)
    await d.feed(500)
    await d.write([(0, b"k", b"1")] * 300, plain)
    first = d.start()
    await d.until(lambda: first.last() and first.last()["sum"] == 300, "the sum")
    await d.settled(first)
    assert first.stop() == 0
    await d.write([(0, b"k", b"1")] * 100, plain)
    second = d.start()
    await d.until(lambda: second.last() and 400 <= second.last()["sum"] <= 500, "the sum after a restart")
    # what Faust itself commits may trail what it did: its own agents are at least once
    await d.settled(second)
    assert second.stop() == 0
    await d.check()


async def test_a_broker_that_crashes(tmp_path: Path, instance: str) -> None:
    with LocalKafka(tmp_path / "kafka") as kafka:
        d = Drive(kafka.bootstrap, instance, tmp_path)
        await d.create()
        await d.feed(1000)
        worker = d.start()
        try:
            await d.settled(worker)
            kafka.kill()
            await asyncio.sleep(1)
            kafka.restart()
            await d.feed(1000)
            workers = [worker]
            if worker.process.poll() is not None:
                workers = [d.start()]
            await d.settled(*workers)
            await d.check()
        finally:
            d.stop()


async def test_a_worker_that_is_stuck_ends(drive: NewDrive) -> None:
    d = await drive(sleep=0.3, config={"max_batch_records": 5, "watchdog_s": 0.2})
    await d.feed(400)
    worker = d.start()
    await d.until(lambda: worker.process.poll() is not None, "its end")
    assert worker.process.returncode != 0
    assert "stuck: count" in worker.log.read_text()


async def test_a_worker_whose_rebalance_never_ends_ends_itself(drive: NewDrive) -> None:
    d = await drive(strand=True, config={"watchdog_s": 1.0})
    worker = d.start()
    await d.until(lambda: worker.process.poll() is not None, "its end")
    assert worker.process.returncode != 0
    assert "not taken up again since a rebalance" in worker.log.read_text()
    assert any(said["is_ready"] for said in worker.said if said["what"] == "status")
    assert not worker.last()["is_ready"]
