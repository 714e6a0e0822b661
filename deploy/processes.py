"""Child processes that are watched: started again with back-off when they end by themselves, stopped in order."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from deploy.errors import DeployError

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
HEALTHY_S = 60.0
"""A process that has lived so long is started again at once when it ends."""
STOP_S = 40.0
LOG_BYTES = 10_000_000
"""A log longer than this is put aside at the next start."""
_PR_SET_PDEATHSIG = 1


class Child:
    """One process of `relais` with its log, started again whenever it ends before it is told to."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        ready_url: str,
        log: Path,
        say: Callable[[str], None],
    ) -> None:
        """Name it, start nothing. `environment` comes on top of that of this process."""
        self.name = name
        self.log = log
        self._command = [sys.executable, "-m", "deploy", *arguments]
        self._environment = {**os.environ, **environment}
        self._ready_url = ready_url
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._again_at: float | None = None
        self._wait = FIRST_WAIT_S

    @property
    def pid(self) -> int | None:
        """Process id; None while it does not run."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self) -> None:
        """Start it. A group of its own: Ctrl-C in a terminal reaches only who stops it in order."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".old.log"))
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_ends_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            )
        self._started = time.monotonic()
        self._again_at = None

    def watch(self) -> None:
        """Start it again if it has ended, after a wait that doubles each time; say so."""
        now = time.monotonic()
        if self._again_at is not None:
            if now >= self._again_at:
                self.start()
            return
        if self._process is None or (code := self._process.poll()) is None:
            return
        if now - self._started > HEALTHY_S:
            self._wait = FIRST_WAIT_S
        self._say(f"{self.name} ended ({_ending(code)}), starts again in {self._wait:.0f} s; its log: {self.log}")
        self._again_at = now + self._wait
        self._wait = min(2 * self._wait, LONGEST_WAIT_S)

    def ready(self) -> bool:
        """Whether it answers that it can do its work."""
        try:
            with urlopen(self._ready_url, timeout=2):  # noqa: S310
                return True
        except (HTTPError, URLError, OSError):
            return False

    def wait_ready(self, seconds: float) -> None:
        """Wait until it can do its work; raise `DeployError` if it ends before, or takes longer."""
        end = time.monotonic() + seconds
        while not self.ready():
            if self._process is None or self._process.poll() is not None:
                raise DeployError(f"{self.name} ended: see {self.log}")
            if time.monotonic() > end:
                raise DeployError(f"{self.name} is not ready after {seconds:.0f} s: see {self.log}")
            time.sleep(0.1)

    def ask_to_stop(self) -> None:
        """Tell it to end; it is not started again."""
        self._again_at = None
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it: politely, and after `STOP_S` by force."""
        self.ask_to_stop()
        if self._process is None:
            return
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _ends_with_parent() -> None:
    """Linux: the kernel ends the child when its parent is gone, whatever became of that one."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
