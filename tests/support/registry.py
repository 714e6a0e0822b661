"""A schema registry on this machine: the common routes in a few lines, and Apicurio itself for the long form."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.kafka_jars import _context, cache_dir, java
from deploy.ports import free_port

APICURIO = ("io.apicurio", "apicurio-registry-app", "3.3.3")
APICURIO_SHA256 = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"


class SmallRegistry:
    """Gives ids as Confluent's registry does: one for each content, never a second."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.subjects: dict[str, list[int]] = {}
        self.levels: dict[str, str] = {}
        self.down = False
        self.app = Starlette(routes=[
            Route("/subjects", self.list),
            Route("/subjects/{s}", self.look_up, methods=["POST"]),
            Route("/subjects/{s}/versions", self.register, methods=["POST"]),
            Route("/schemas/ids/{n:int}", self.by_id),
            Route("/config/{s}", self.config, methods=["PUT"]),
        ])  # fmt: skip

    async def list(self, _: Request) -> Response:
        return JSONResponse({"message": "down"}, 503) if self.down else JSONResponse(sorted(self.subjects))

    async def _text(self, request: Request) -> str:
        return json.dumps(json.loads((await request.json())["schema"]), sort_keys=True)

    async def register(self, request: Request) -> Response:
        id_ = self.ids.setdefault(await self._text(request), len(self.ids) + 41)
        versions = self.subjects.setdefault(request.path_params["s"], [])
        versions += [id_] if id_ not in versions else []
        return JSONResponse({"id": id_})

    async def look_up(self, request: Request) -> Response:
        id_ = self.ids.get(await self._text(request))
        if id_ is None or id_ not in self.subjects.get(request.path_params["s"], ()):
            return JSONResponse({"error_code": 40403, "message": "Schema not found"}, 404)
        return JSONResponse({"subject": request.path_params["s"], "id": id_, "version": 1})

    async def by_id(self, request: Request) -> Response:
        found = {id_: text for text, id_ in self.ids.items()}.get(request.path_params["n"])
        return JSONResponse({"error_code": 40403}, 404) if found is None else JSONResponse({"schema": found})

    async def config(self, request: Request) -> Response:
        self.levels[request.path_params["s"]] = (told := await request.json())["compatibility"]
        return JSONResponse(told)


@contextmanager
def apicurio(folder: Path) -> Iterator[str]:
    """Apicurio, its schemas in memory; the address of its Confluent-compatible routes."""
    with tarfile.open(_archive()) as archive:
        archive.extractall(folder, filter="data")
    port = free_port()
    settings = [f"-Dquarkus.http.port={port}", "-Dquarkus.http.host=127.0.0.1", "-Xmx400m"]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [str(java()), *settings, "-jar", str(folder / "quarkus-run.jar")], stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + 120
        while not _answers(port):
            assert child.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, "Apicurio does not answer"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/apis/ccompat/v7"
    finally:
        child.kill()
        child.wait()


def _answers(port: int) -> bool:
    connection: Any = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/apis/ccompat/v7/subjects")
        return bool(connection.getresponse().status == 200)
    except OSError:
        return False
    finally:
        connection.close()


def _archive() -> Path:
    """Fetched once into the user's cache, as the broker's jars are (158 MB)."""
    kept = cache_dir() / "apicurio.tar.gz"
    if not kept.exists():
        group, name, version = APICURIO
        project = _context(cache_dir() / "apicurio").project(group, name)
        Path(project.at_version(version).artifact(classifier="all", packaging="tar.gz").resolve()).replace(kept)
    with kept.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == APICURIO_SHA256
    return kept
