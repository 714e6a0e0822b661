"""A real S3-compatible server (SeaweedFS) on free ports of this machine; it checks every signature."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from deploy.ports import free_port

ACCESS, SECRET = "relais", "s3-secret-of-the-tests"


def program() -> str:
    """Its program, which a package of the tests brings."""
    found = shutil.which("weed", path=str(Path(sys.executable).parent))
    assert found is not None
    return found


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A server in a folder; yields its address."""
    identity = {"name": "relais", "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = [free_port() for _ in range(8)]
    command = [
        program(), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
        f"-s3.config={folder / 's3.json'}", f"-master.port={master}", f"-master.port.grpc={master_grpc}",
        f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}",
        f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", "-s3.iam=false", "-volume.max=8", "-master.volumeSizeLimitMB=16",
        "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        _wait(f"http://127.0.0.1:{s3}/", running, folder / "log")
        yield f"http://127.0.0.1:{s3}"
    finally:
        running.kill()  # what it holds is of no more use, and its own end takes ten seconds
        running.wait()


def _wait(address: str, running: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        try:
            with urlopen(address, timeout=2):
                return
        except HTTPError as error:
            with error:
                return  # it refuses who does not sign: it runs
        except (URLError, OSError):
            assert running.poll() is None, log.read_text()[-2000:]
            time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])
