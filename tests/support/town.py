"""`relais up` with its example as a process, in a folder of its own, for the tests that drive it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from deploy.ports import free_port

PATIENCE_S = 150.0
READY = "stop    Ctrl-C"


class Town:
    """One folder of data; started, stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / ".relais"
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.log = folder / "up.log"
        self._from = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Town:
        """Start it and wait until it says what there is to try; nothing if it runs."""
        if self.process is not None:
            return self
        given = {
            "RELAIS_PARTITIONS": "4",
            "RELAIS_OUTPUT_PARTITIONS": "2",
            "RELAIS_WORKER_PORT": "0",
            "RELAIS_HTTP_PORT": str(self.port),
        }
        self._from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy", "up"],
                cwd=self.folder,
                env=self.environment() | given,
                stdout=out,
                stderr=out,
            )
        end = time.monotonic() + PATIENCE_S
        while READY not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.2)
        return self

    def environment(self) -> dict[str, str]:
        """The environment of a person beside it: this Python's programs first in the path, this tree's packages."""
        root = Path(__file__).parent.parent.parent
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {k: v for k, v in os.environ.items() if not k.startswith("RELAIS_")} | {
            "PATH": path,
            "PYTHONPATH": str(root),
        }

    def said(self) -> str:
        """What it has said since its last start."""
        return self.log.read_bytes()[self._from :].decode() if self.log.exists() else ""

    def children(self) -> dict[str, int]:
        """Processes below it that live, by what they are."""
        assert self.process is not None
        found: dict[str, int] = {}
        for entry in Path("/proc").iterdir():
            try:
                stat, line = (entry / "stat").read_text(), (entry / "cmdline").read_text().split("\0")
            except (OSError, ValueError):
                continue
            if stat.rpartition(")")[2].split()[1] == str(self.process.pid):
                name = (
                    "java"
                    if "java" in line[0]
                    else " ".join(x for x in line if re.fullmatch(r"worker|gateway|w\d+", x))
                )
                found[name] = int(entry.name)
        return found

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Stop it; its exit code. Nothing if it does not run."""
        if self.process is None:
            return 0
        self.process.send_signal(how)
        try:
            return self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.process = None

    def ask(self, body: str, path: str, **params: Any) -> httpx2.Response:
        """GET with the token of a body."""
        token = (self.data / "tokens" / body).read_text().strip()
        return httpx2.get(
            self.base + path, params=params or None, headers={"authorization": f"Bearer {token}"}, timeout=40
        )
