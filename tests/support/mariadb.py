"""A private MariaDB for tests: a server of its own in a temporary folder, on a Unix socket and a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.ports import free_port

PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"
"""Where the programs may be: servers are not on everybody's path."""


def program(name: str) -> str | None:
    """Path of one of MariaDB's programs, or None if it is not installed."""
    return shutil.which(name, path=PLACES)


class Server:
    """One server; `stop` and `start` again keep the data and the port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
        self.port = free_port()
        self._child: subprocess.Popen[bytes] | None = None
        if self._user:
            shutil.chown(folder, self._user)
        self._bootstrap()
        (folder / "init.sql").write_text(
            "CREATE USER relais@'127.0.0.1' IDENTIFIED BY 'geheim';\nGRANT ALL ON *.* TO relais@'127.0.0.1' WITH GRANT OPTION;\n"
        )

    def _bootstrap(self) -> None:
        """Make the system tables (`mariadb-install-db` needs programs of the client package for the same)."""
        (self.folder / "data").mkdir()
        if self._user:
            shutil.chown(self.folder / "data", self._user)
        share = next(path for path in map(Path, ("/usr/share/mysql", "/usr/share/mariadb")) if path.is_dir())
        files = ("mysql_system_tables.sql", "mysql_system_tables_data.sql")
        script = "create database mysql;\nuse mysql;\n" + "".join((share / file).read_text() for file in files)
        server = program("mariadbd")
        assert server is not None
        command = [
            server,
            "--no-defaults",
            "--bootstrap",
            f"--datadir={self.folder / 'data'}",
            f"--tmpdir={self._temporary()}",
            "--innodb-log-file-size=8M",
        ]
        told = subprocess.run(
            command,
            input=script.encode(),
            check=False,
            user=self._user,
            cwd=self.folder,
            capture_output=True,
            timeout=60,
        )
        assert told.returncode == 0, told.stderr.decode(errors="replace")[-2000:]

    def _temporary(self) -> Path:
        """A folder of its own: a server that starts removes the temporary tables of every other in the one of the system."""
        folder = self.folder / "tmp"
        folder.mkdir(exist_ok=True)
        if self._user:
            shutil.chown(folder, self._user)
        return folder

    @property
    def url(self) -> str:
        """Its SQLAlchemy address, without a database."""
        return f"mariadb+pymysql://relais:geheim@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        server = program("mariadbd")
        assert server is not None
        first = [] if self._child else [f"--init-file={self.folder / 'init.sql'}"]
        here = self.folder
        options = (
            "--no-defaults", f"--datadir={here / 'data'}", f"--tmpdir={self._temporary()}", f"--socket={here / 'socket'}",
            f"--pid-file={here / 'pid'}", f"--log-error={here / 'log.err'}", "--bind-address=127.0.0.1",
            f"--port={self.port}", "--skip-name-resolve", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=2", "--lc-messages=en_US",
        )  # fmt: skip
        self._child = subprocess.Popen(
            [server, *options, *first], user=self._user, cwd=self.folder, stderr=subprocess.DEVNULL
        )
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as plug:
                if plug.recv(1):
                    return
            assert self._child.poll() is None, (self.folder / "log.err").read_text()
            time.sleep(0.05)
        raise TimeoutError("MariaDB does not answer")

    def stop(self) -> None:
        """Stop it at once; what was committed stays."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(timeout=30)


@contextmanager
def server() -> Iterator[Server]:
    """Run a server."""
    folder = Path(tempfile.mkdtemp(prefix="relais-mariadb-"))
    made = Server(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
