"""The examples run against a gateway over a real socket."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from connectors.gateway import app
from tests.support.loop import Town

FOLDER = Path(app.__file__).parent / "examples"


class Quiet(uvicorn.Server):
    """Leaves signals to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class World:
    def __init__(self, town: Town, url: str) -> None:
        self.town, self.url = town, url

    async def run(self, body: str, *command: str, code: int = 0) -> str:
        """Run an example as a body; what it prints, errors too."""
        told = {"RELAIS_URL": self.url, "RELAIS_TOKEN": self.town.tokens.get(body, body)}
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *command, cwd=FOLDER, env=os.environ | told, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(30):
            said, _ = await child.communicate()
        assert child.returncode == code, said.decode()
        return said.decode()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    town = Town(tmp_path)
    server = Quiet(
        uvicorn.Config(app.application(town.gateway), port=0, log_config=None, access_log=False, lifespan="off")
    )
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it has no event for that
        await asyncio.sleep(0.01)
    yield World(town, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
    server.should_exit = True
    await task
    await town.gateway.pulse.stop()
    town.database.close()


async def test_publish_ask_and_take(world: World, tmp_path: Path) -> None:
    arguments = (sys.executable, "publish.py", "viriat", "PC-1", "gba")
    first = await world.run("viriat", *arguments)
    assert first.splitlines()[0] == f"PC-1-opened {world.url}/v1/journeys/case:viriat/PC-1"
    assert await world.run("viriat", *arguments) == first
    cursor = str(tmp_path / "cursor")
    taken = await world.run("gba", sys.executable, "inbox.py", cursor, "--once")
    assert taken.startswith("Mairie de Viriat hands over handoff:viriat:")
    assert await world.run("gba", sys.executable, "inbox.py", cursor, "--once") == ""
    said = await world.run("viriat", sys.executable, "ask.py", "case:viriat/PC-1")
    assert "Mairie de Viriat: case:viriat/PC-1, open" in said
    assert "Mairie de Viriat -> Grand Bourg Agglomération: received since " in said


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")
async def test_publish_with_curl_says_the_same_as_with_python(world: World) -> None:
    said = await world.run("viriat", "./publish.sh", "viriat", "PC-2", "gba")
    assert '"shown":true' in said
    before = [key for key, _ in world.town.bus.store.items()]
    await world.run("viriat", sys.executable, "publish.py", "viriat", "PC-2", "gba")
    assert [key for key, _ in world.town.bus.store.items()] == before  # the same facts, no conflict
    wrong = await world.run("viriat", "./publish.sh", "viriat", "PC 2", "gba", code=22)
    assert '"code"' in wrong


async def test_what_is_wrong_is_told(world: World) -> None:
    told = await world.run("viriat", sys.executable, "publish.py", "viriat", "PC-1", "nobody", code=1)
    assert "event 1, data.to: name a body of the directory (unknown-body)" in told
    assert "token" in await world.run("foreign", sys.executable, "ask.py", "case:viriat/PC-1", code=1)
    assert "no journey" in await world.run("gba", sys.executable, "ask.py", "case:viriat/PC-1", code=1)
