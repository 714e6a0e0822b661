"""Workers of a replay or a benchmark, as processes: start them with given settings, ask them how they are, end them.

Unlike those of `relais up` none is started again: a run whose worker ends by itself has failed, and says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

from pydantic import SecretStr

from deploy.errors import DeployError
from deploy.ports import free_port
from deploy.settings import PREFIX

if TYPE_CHECKING:
    from deploy.settings import Settings

READY_S = 120.0
STOP_S = 40.0


@dataclass(slots=True)
class Worker:
    """One worker process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def status(self) -> tuple[bool, dict[str, Any]]:
        """Whether it works, and what it answers to /readyz (see `streams.runtime.service.WorkerStatus`); empty: no answer."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=20) as answer:
                return True, json.load(answer)
        except HTTPError as error:
            with error, suppress(OSError, HTTPException):
                return False, json.load(error)
            return False, {}
        except (OSError, HTTPException):  # it may be killed in the middle of its answer
            return False, {}

    def check(self) -> None:
        """Raise `DeployError` if it has ended."""
        if self.process.poll() is not None:
            raise DeployError(f"a worker ended by itself (exit code {self.process.returncode}): see {self.log}")


def start(
    settings: Settings,
    brokers: str,
    slot: str,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Worker:
    """Start one worker on a free port, with these settings whatever the environment says; its log is in the data folder.

    `environment`: more variables for its process, none of ours.
    """
    port = free_port()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    log = settings.data_dir / f"worker-{slot}.log"
    command = [sys.executable, "-m", "deploy", "worker", "--slot", slot, *arguments]
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603
            command,
            env=_bare() | variables(settings, brokers=brokers, worker_port=port) | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    return Worker(process, port, log)


@contextmanager
def workers(settings: Settings, brokers: str, count: int, arguments: Sequence[str] = ()) -> Iterator[list[Worker]]:
    """`count` workers, slots `w0`, `w1`…; those that the list holds in the end are stopped."""
    running: list[Worker] = []
    try:
        running.extend(start(settings, brokers, f"w{i}", arguments) for i in range(count))
        yield running
    finally:
        stop(running)


def stop(running: Iterable[Worker]) -> None:
    """End workers: politely, and after `STOP_S` by force."""
    listed = list(running)
    for worker in listed:
        worker.process.terminate()
    end = time.monotonic() + STOP_S
    for worker in listed:
        try:
            worker.process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()


async def wait_ready(running: Sequence[Worker], within_s: float = READY_S) -> None:
    """Wait until every worker works. Raises `DeployError` when one ends or takes too long."""
    end = time.monotonic() + within_s
    for worker in running:
        while not (await asyncio.to_thread(worker.status))[0]:
            worker.check()
            if time.monotonic() > end:
                raise DeployError(f"a worker is not ready after {within_s:.0f} s: see {worker.log}")
            await asyncio.sleep(0.1)


def variables(settings: Settings, **more: object) -> dict[str, str]:
    """Settings, and what is given beside them, as the environment of a process."""
    given = {k: _text(v) for k, v in (settings.model_dump(exclude_none=True) | more).items()}
    if settings.reference_key_file is None:
        given["reference_key"] = settings.reference_secret().hex()
    return {PREFIX + name.upper(): value for name, value in given.items()}


def _bare() -> dict[str, str]:
    """The environment of this process without settings."""
    return {k: v for k, v in os.environ.items() if not k.upper().startswith(PREFIX)}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value.value if isinstance(value, Enum) else value)
