"""The scene of a run: a broker of its own, workers as processes, each behind a network, a disk and a clock that can fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy import fleet
from deploy.chaos import rules
from deploy.chaos.proxy import HOST, Proxy
from deploy.errors import DeployError
from deploy.fleet import Worker
from deploy.local_kafka import LocalKafka
from deploy.topics import ensure_instance

if TYPE_CHECKING:
    from deploy.settings import Settings

DISK_MIB = 512
"""Room for the stores of one worker, where a disk of its own can be made for it."""
FAKETIME = (
    "/usr/lib/*/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/local/lib/faketime/libfaketime.so.1",
)
MEND_S = 0.5
"""A worker that ended by itself is started again after so long, as a supervisor does."""
BUGS = ("processor-bug", "runtime-bug")


class Scene:
    """Starts what runs, knows what is meant to run, and starts again what ends by itself."""

    def __init__(self, settings: Settings, folder: Path, workers: int, say: Callable[[str], None]) -> None:
        self.settings, self.folder, self.say = settings, folder, say
        self.wanted = workers
        """Workers that always run; one more may join as a guest."""
        self.proxies = [Proxy() for _ in range(workers + 1)]
        self.workers: dict[int, Worker] = {}
        self.ends: Counter[str] = Counter()
        """Why workers ended by themselves."""
        self.violations: list[str] = []
        self.skipped: set[str] = set()
        """Faults that this machine does not allow, with the reason."""
        self.faketime = next((str(p) for g in FAKETIME for p in sorted(Path("/").glob(g[1:]))), None)
        self.disks: set[int] = set()
        self.kafka: LocalKafka | None = None
        self._resting: set[int] = set()
        self._read_to: dict[int, int] = {}

    @property
    def brokers(self) -> str:
        """Address of the broker, past all proxies."""
        assert self.kafka is not None
        return self.kafka.bootstrap

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Everything runs."""
        for proxy in self.proxies:
            await proxy.start()
        doors = {f"W{i}": proxy.port for i, proxy in enumerate(self.proxies)}
        self.kafka = LocalKafka(self.folder / "kafka", doors=doors, say=self.say)
        mending: asyncio.Task[None] | None = None
        try:
            await asyncio.to_thread(self.kafka.start)
            for i, proxy in enumerate(self.proxies):
                proxy.behind = self.kafka.door(f"W{i}")
            await ensure_instance(self.settings, self.brokers, [rules.SPEAKER])
            self._write_rules()
            for number in range(self.wanted):
                self.start(number)
            mending = asyncio.create_task(self._mend())
            await fleet.wait_ready(list(self.workers.values()))
            yield
        finally:
            if mending is not None:
                mending.cancel()
                await asyncio.gather(mending, return_exceptions=True)
            for number in list(self.workers):
                self.kill(number)
            for proxy in self.proxies:
                await proxy.stop()
            await asyncio.to_thread(self.kafka.stop)
            self._unmount()

    def _write_rules(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "bodies.yaml").write_text(rules.directory().model_dump_json())
        (self.folder / "procedure.yaml").write_text(rules.journey().model_dump_json(by_alias=True))

    # -- workers

    def store(self, number: int) -> Path:
        """Folder of a worker's local stores."""
        return self.settings.data_dir / "workers" / f"w{number}"

    def start(self, number: int) -> None:
        """Start a worker in its place."""
        self._disk(number)
        arguments = ("--directory", str(self.folder / "bodies.yaml"), "--definition", str(self.folder / "procedure.yaml"),
                     "--speaker", rules.SPEAKER)  # fmt: skip
        worker = fleet.start(
            self.settings, f"{HOST}:{self.proxies[number].port}", f"w{number}", arguments, self._clock(number)
        )
        self.workers[number] = worker
        self._read_to[number] = worker.log.stat().st_size
        self._resting.discard(number)

    def kill(self, number: int) -> None:
        """End a worker at once."""
        self._resting.add(number)
        worker = self.workers.pop(number)
        worker.process.kill()
        worker.process.wait()
        self._heard(number, worker)

    async def leave(self, number: int) -> None:
        """Let a worker end as it is told to."""
        self._resting.add(number)
        worker = self.workers.pop(number)
        await asyncio.to_thread(fleet.stop, [worker])
        self._heard(number, worker)

    def signal(self, number: int, which: signal.Signals) -> None:
        """Send a signal to a worker."""
        with contextlib.suppress(ProcessLookupError):
            self.workers[number].process.send_signal(which)

    async def busy(self, number: int) -> None:
        """Wait until a worker has records to take, for a while."""
        worker = self.workers.get(number)
        for _ in range(30):
            if worker is None or any(
                p["lag"] for p in (await asyncio.to_thread(worker.status))[1].get("partitions", ())
            ):
                return
            await asyncio.sleep(0.01)

    async def lag(self, partitions: int) -> float:
        """Records that wait, as far as workers tell; infinite while not all partitions are told of."""
        told = [(await asyncio.to_thread(w.status))[1] for w in list(self.workers.values())]
        parts = [p["lag"] for t in told for p in t.get("partitions", ())]
        return sum(parts) if len(parts) == partitions else math.inf

    async def _mend(self) -> None:
        while True:
            for number, worker in list(self.workers.items()):
                if worker.process.poll() is not None and number not in self._resting:
                    reason = self._heard(number, worker)
                    self.say(f"w{number} ended by itself: {reason}")
                    self.ends[reason.split(":")[0]] += 1
                    await asyncio.sleep(MEND_S)
                    if self.workers.get(number) is worker:
                        self.start(number)
            await asyncio.sleep(0.2)

    def _heard(self, number: int, worker: Worker) -> str:
        """Why a worker ended, by its log. What it must never say becomes a violation."""
        with worker.log.open("rb") as log:
            log.seek(self._read_to[number])
            lines = log.read().decode(errors="replace").splitlines()
        self._read_to[number] = worker.log.stat().st_size
        reason = ""
        for line in lines:
            told = _event(line)
            if told.startswith("worker ends: "):
                reason = reason or told.removeprefix("worker ends: ")
            if told in ("a record made relais fail", "a view failed") or any(bug in told for bug in BUGS):
                self.violations.append(f"relais failed: {told} (log of w{number})")
        if not reason and worker.process.returncode not in (0, -signal.SIGKILL, None) and number not in self._resting:
            self.violations.append(
                f"a worker ended without a reason: exit code {worker.process.returncode} (log of w{number})"
            )
        return reason or f"exit code {worker.process.returncode}"

    # -- what can fail around them

    def _disk(self, number: int) -> None:
        """Give a worker's stores a disk of their own, if this machine allows it."""
        folder = self.store(number)
        folder.mkdir(parents=True, exist_ok=True)
        if number in self.disks or "disk-full" in {s.split(":")[0] for s in self.skipped}:
            return
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        except (OSError, subprocess.CalledProcessError):
            self.skipped.add(
                "disk-full: a file system of its own for each worker cannot be mounted (needs root on Linux)"
            )
        else:
            self.disks.add(number)

    def _unmount(self) -> None:
        for number in self.disks:
            subprocess.run(["umount", "--lazy", str(self.store(number))], check=False)  # noqa: S603, S607

    def _clock(self, number: int) -> dict[str, str]:
        if self.faketime is None:
            self.skipped.add("clock-step: libfaketime is not installed")
            return {}
        self.step_clock(number, 0)
        # Without the last, a thread that waits for the interpreter spins: libfaketime's own wait ends at once.
        return {"LD_PRELOAD": self.faketime, "FAKETIME_TIMESTAMP_FILE": str(self._clock_file(number)),
                "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_FORCE_MONOTONIC_FIX": "0"}  # fmt: skip

    def _clock_file(self, number: int) -> Path:
        return self.folder / f"clock-w{number}"

    def step_clock(self, number: int, seconds: int) -> None:
        """Put the wall clock of a worker so far ahead (or back)."""
        self._clock_file(number).write_text(f"{seconds:+d}\n")

    def heal(self) -> None:
        """Nothing around the workers fails any more."""
        for number, proxy in enumerate(self.proxies):
            proxy.heal()
            (self.store(number) / "filler").unlink(missing_ok=True)
            if self.faketime is not None:
                self.step_clock(number, 0)
        for number in self.workers:
            self.signal(number, signal.SIGCONT)

    # -- rest

    async def rest(self, reached: Callable[[int], bool], partitions: int, patience_s: float) -> int:
        """Wait until nothing waits and every worker knows a time that is `reached`; that time, ms. Raises `DeployError`."""
        quiet, end = 0, time.monotonic() + patience_s
        told: list[dict[str, Any]] = []
        while quiet < 4:
            if time.monotonic() > end:
                raise DeployError(f"not at rest after {patience_s:.0f} s: {json.dumps(told)}")
            told = [(await asyncio.to_thread(w.status))[1] for w in self.workers.values()]
            quiet = quiet + 1 if _at_rest(told, reached, partitions) else 0
            await asyncio.sleep(0.25)
        return int(told[0]["established"])


def _at_rest(told: list[dict[str, Any]], reached: Callable[[int], bool], partitions: int) -> bool:
    if not all(t.get("established") is not None and reached(t["established"]) for t in told):
        return False
    parts = [(p, t["established"]) for t in told for p in t["partitions"]]
    return len(parts) == partitions and all(not p["lag"] and p["ready"] and p["timed"] == now for p, now in parts)


def _event(line: str) -> str:
    try:
        return str(
            json.loads(line[max(0, line.find("{")) :]).get("event", "")
        )  # Faust shows the cursor before some line
    except (ValueError, AttributeError):
        return ""
