"""A real OpenSSH server on a free port of this machine, as the current user, with keys of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Any

from deploy.ports import free_port

_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
MaxStartups 100
Subsystem sftp internal-sftp
"""


def program() -> str | None:
    """The server's program; None if it is not installed."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass
class Server:
    """A server that runs, or may be stopped and started again on the same port."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        found = program()
        assert found is not None
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where it shuts itself in, when root runs it
        config = self.home / "config"
        config.write_text(_CONFIG.format(port=self.port, home=self.home))
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen([found, "-D", "-e", "-f", str(config)], stderr=log)
        for _ in range(200):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as answering:
                    assert answering.recv(4) == b"SSH-"
                    return
            except OSError:
                assert self.process.poll() is None, (self.home / "log").read_text()
                time.sleep(0.05)
        raise AssertionError((self.home / "log").read_text())

    def stop(self) -> None:
        """Stop, and cut the connections that are open."""
        if self.process is not None:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            self.process.terminate()
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGTERM)
            self.process.wait(10)
            self.process = None

    @property
    def fingerprint(self) -> str:
        """Of the host's key, as `ssh-keygen -l` tells it."""
        told = subprocess.run(["ssh-keygen", "-lf", self.home / "host.pub"], check=True, capture_output=True, text=True)
        return told.stdout.split()[1]

    def config(self, folder: Path, **changed: Any) -> dict[str, Any]:
        """The place of a folder, as a configuration has it; None leaves a field out."""
        place = {
            "sftp": "127.0.0.1", "port": self.port, "user": getuser(), "folder": str(folder),
            "key": {"file": str(self.home / "user")}, "host_key": self.fingerprint, "timeout_s": 10,
        } | changed  # fmt: skip
        return {name: value for name, value in place.items() if value is not None}


@contextmanager
def server(home: Path) -> Iterator[Server]:
    """A server with fresh keys."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True)
    port = free_port()
    made = Server(home, port)
    made.start()
    try:
        yield made
    finally:
        made.stop()
