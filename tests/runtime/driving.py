"""Starts workers of `counting.py` as processes, feeds them, and counts from outside what they wrote."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from tests.runtime.counting import ID, PROGRESS, STAMP, STATE, TICK

HERE = Path(__file__).parent
PATIENCE_S = 60.0


class Worker:
    """One worker process and what it said."""

    def __init__(self, options: dict[str, Any], log: Path) -> None:
        self.said: list[dict[str, Any]] = []
        self._log = log.open("w")
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "counting.py"), json.dumps(options)],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=HERE.parent.parent,
            env={**os.environ, "PYTHONWARNINGS": "default"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):  # Faust has a banner of its own
                self.said.append(json.loads(line))

    def last(self, what: str = "status") -> dict[str, Any] | None:
        return next((said for said in reversed(self.said) if said["what"] == what), None)

    def steps(self, partition: int) -> list[str]:
        return [s["step"] for s in self.said if s["what"] == "step" and s["partition"] == partition]

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        try:
            code = self.process.wait(45)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
            raise AssertionError(f"worker did not end: {self.log.read_text()[-2000:]}") from None
        finally:
            self._reader.join(5)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self._log.close()
        return code


@dataclass
class Found:
    """What an outside reader of committed records sees."""

    states: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    where: dict[bytes, set[int]] = field(default_factory=dict)
    committed: int = 0
    aborted: int = 0


class Drive:
    """One instance with its topics, its workers and its events."""

    def __init__(self, bootstrap: str, instance: str, folder: Path, partitions: int = 4, **options: Any) -> None:
        self.bootstrap, self.instance, self.folder, self.partitions = bootstrap, instance, folder, partitions
        self.options = options
        self.input, self.state = f"{instance}.in", f"{instance}.state"
        self.counts, self.time = f"{instance}.counts", f"{instance}.time"
        self.workers: list[Worker] = []
        self.expected: dict[bytes, tuple[int, int]] = {}
        self.sent = 0
        self._random = random.Random(7)

    async def create(self) -> None:
        appended = {"message.timestamp.type": "LogAppendTime"}
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics(
                [
                    NewTopic(self.input, self.partitions, 1, topic_configs=appended),
                    NewTopic(
                        self.state,
                        self.partitions,
                        1,
                        topic_configs={"cleanup.policy": "compact", **self.options.get("state", {})},
                    ),
                    NewTopic(self.counts, self.partitions, 1),
                    NewTopic(self.time, 1, 1, topic_configs={**appended, "cleanup.policy": "compact"}),
                    *(NewTopic(plain, 1, 1) for plain in self._plain()),
                    *(NewTopic(raw, 1, 1, topic_configs=appended) for raw in self.options.get("raw", ())),
                ]
            )
        finally:
            await admin.close()

    def _plain(self) -> list[str]:
        return [self.options["plain"], f"{self.instance}-group-sums-changelog"] if "plain" in self.options else []

    def start(self, name: str = "a", **config: Any) -> Worker:
        options = {
            "brokers": [self.bootstrap],
            "instance": self.instance,
            "group": f"{self.instance}-group",
            "data_dir": str(self.folder / name),
            "input": self.input,
            "changelog": self.state,
            "counts": self.counts,
            "partitions": self.partitions,
            "loglevel": "INFO",
            **self.options,
            "config": {"time_interval_ms": 200, "session_timeout_s": 6.0, **self.options.get("config", {}), **config},
        }
        worker = Worker(options, self.folder / f"{name}-{len(self.workers)}.log")
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()
            worker._end()

    async def feed(self, count: int, keys: int = 200, raw: str | None = None) -> None:
        """Write events; a key always goes to the same partition. `raw`: to this topic, to be forwarded."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5, enable_idempotence=True)
        await producer.start()
        try:
            for _ in range(count):
                n = self._random.randrange(keys)
                key, number = b"key%05d" % n, self.sent
                self.sent += 1
                before = self.expected.get(key, (0, 0))
                self.expected[key] = (before[0] + 1, before[1] ^ number)
                partition = 0 if raw else n % self.partitions
                await producer.send(raw or self.input, key=key, value=ID.pack(number), partition=partition)
            await producer.flush()
        finally:
            await producer.stop()

    async def write(self, records: list[tuple[int, bytes, bytes]], topic: str | None = None) -> None:
        """Write records as they are: (partition, key, value)."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await producer.start()
        try:
            for partition, key, value in records:
                await producer.send_and_wait(topic or self.input, key=key, value=value, partition=partition)
        finally:
            await producer.stop()

    async def tick(self, at: int) -> None:
        await self.write([(p, TICK, STAMP.pack(at)) for p in range(self.partitions)])

    async def until(self, found: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            result = found()
            if result:
                return result
            await asyncio.sleep(0.05)
        logs = "\n".join(w.log.read_text()[-1500:] for w in self.workers)
        last = [w.last() for w in self.workers]
        raise AssertionError(f"waited in vain for {what}\n{last}\n{logs}")

    async def ends(self, topic: str) -> dict[int, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            tps = [TopicPartition(topic, p) for p in range(self.partitions)]
            return {tp.partition: end for tp, end in (await consumer.end_offsets(tps)).items()}
        finally:
            await consumer.stop()

    async def delete(self, partition: int, before: int) -> None:
        """Let the input of a partition begin there, as when its oldest segment is gone."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(self.input, partition): RecordsToDelete(before)})
        finally:
            await admin.close()

    async def fence(self, partition: int) -> None:
        """Take the transactional id of a partition's bundle, as a stranger."""
        group = f"{self.instance}-group"
        bundle = partition % self.options.get("config", {}).get("bundles", 6)
        transactional_id = f"{self.instance}.{group}.count.{self.input}.{bundle}"
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, transactional_id=transactional_id)
        await producer.start()
        await producer.stop()

    async def settled(self, *workers: Worker, patience_s: float = PATIENCE_S) -> None:
        """Wait until these workers run all partitions and have no lag behind what was written until now."""
        ends = await self.ends(self.input)

        def done() -> bool:
            seen: dict[int, tuple[int, int]] = {}
            for worker in workers:
                status = worker.last()
                if status is None:
                    return False
                for p, end in status["ends"].items():
                    if int(p) in status["ready"]:
                        seen[int(p)] = (status["lag"][p], end)
            return len(seen) == self.partitions and all(not lag and end >= ends[p] for p, (lag, end) in seen.items())

        await self.until(done, "no lag", patience_s)

    async def busy(self, worker: Worker) -> None:
        """Wait until a worker has partitions, and has moved on in one of them since."""

        def at() -> int:
            status = worker.last()
            return sum(status["offsets"].values()) if status and status["ready"] else 0

        before = await self.until(at, "partitions")
        await self.until(lambda: at() > before, "progress")

    async def read(self) -> Found:
        """Read the counts from outside: committed ones, and how many records were aborted."""
        found = Found()
        total: Tally[str] = Tally()
        for level in ("read_committed", "read_uncommitted"):
            for record in await self._all(self.counts, level):
                total[level] += 1
                if level == "read_committed" and record.key != PROGRESS:
                    state = STATE.unpack(record.value)
                    before = found.states.get(record.key, (0, 0))
                    assert state[0] > before[0], "a count went back"
                    found.states[record.key] = state
                    found.where.setdefault(record.key, set()).add(record.partition)
        found.committed = total["read_committed"]
        found.aborted = total["read_uncommitted"] - total["read_committed"]
        return found

    async def _all(self, topic: str, level: str) -> list[Any]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level=level, auto_offset_reset="earliest", fetch_max_wait_ms=20
        )
        await consumer.start()
        try:
            tps = [TopicPartition(topic, p) for p in range(self.partitions)]
            consumer.assign(tps)
            ends = await self.ends(topic)
            records: list[Any] = []
            while True:
                for got in (await consumer.getmany(timeout_ms=50)).values():
                    records += got
                at = [await consumer.position(tp) for tp in tps]
                if all(at[tp.partition] >= ends[tp.partition] for tp in tps):
                    return records
        finally:
            await consumer.stop()

    async def check(self) -> Found:
        """Every event counted exactly once, every key on one partition."""
        found = await self.read()
        assert found.states == self.expected
        assert all(len(partitions) == 1 for partitions in found.where.values())
        return found
