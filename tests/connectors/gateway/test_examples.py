"""The examples run against a gateway over a real socket."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.gateway import app
from tests.support.gateway import World, open_gateway

FOLDER = Path(app.__file__).parent / "examples"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_gateway(tmp_path) as opened:
        yield opened


async def run(world: World, body: str, *command: str, code: int = 0) -> str:
    return await world.run(body, *command, folder=FOLDER, code=code)


async def test_publish_ask_and_take(world: World, tmp_path: Path) -> None:
    arguments = (sys.executable, "publish.py", "viriat", "PC-1", "gba")
    first = await run(world, "viriat", *arguments)
    assert first.splitlines()[0] == f"PC-1-opened {world.url}/v1/journeys/case:viriat/PC-1"
    assert await run(world, "viriat", *arguments) == first
    cursor = str(tmp_path / "cursor")
    taken = await run(world, "gba", sys.executable, "inbox.py", cursor, "--once")
    assert taken.startswith("Mairie de Viriat hands over handoff:viriat:")
    assert await run(world, "gba", sys.executable, "inbox.py", cursor, "--once") == ""
    said = await run(world, "viriat", sys.executable, "ask.py", "case:viriat/PC-1")
    assert "Mairie de Viriat: case:viriat/PC-1, open" in said
    assert "Mairie de Viriat -> Grand Bourg Agglomération: received since " in said


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")
async def test_publish_with_curl_says_the_same_as_with_python(world: World) -> None:
    said = await run(world, "viriat", "./publish.sh", "viriat", "PC-2", "gba")
    assert '"shown":true' in said
    before = world.facts()
    await run(world, "viriat", sys.executable, "publish.py", "viriat", "PC-2", "gba")
    assert world.facts() == before  # the same facts, no conflict
    wrong = await run(world, "viriat", "./publish.sh", "viriat", "PC 2", "gba", code=22)
    assert '"code"' in wrong


async def test_what_is_wrong_is_told(world: World) -> None:
    told = await run(world, "viriat", sys.executable, "publish.py", "viriat", "PC-1", "nobody", code=1)
    assert "event 1, data.to: name a body of the directory (unknown-body)" in told
    assert "token" in await run(world, "foreign", sys.executable, "ask.py", "case:viriat/PC-1", code=1)
    assert "no journey" in await run(world, "gba", sys.executable, "ask.py", "case:viriat/PC-1", code=1)
