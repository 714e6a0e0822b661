"""The examples in other languages run against a gateway, and all say the same facts."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.gateway import app
from connectors.publisher import client
from tests.support.gateway import World, open_gateway

FOLDER = Path(client.__file__).parent / "examples"
COMMANDS = {"javac": (), "php": ("php", "publish.php"), "node": ("node", "publish.mjs")}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_gateway(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("program", COMMANDS)
async def test_the_same_facts_whatever_the_language(world: World, program: str, tmp_path: Path) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here")
    command = COMMANDS[program]
    if program == "javac":  # `java Publish.java` does both, each time
        await world.run("viriat", program, "-Xlint:all", "-Werror", "-d", str(tmp_path), "Publish.java", folder=FOLDER)
        command = ("java", "-XX:TieredStopAtLevel=1", "-cp", str(tmp_path), "Publish")
    first = await world.run("viriat", *command, "viriat", "PC-1", "gba", folder=FOLDER)
    assert first.splitlines()[0] == f"PC-1-opened {world.url}/v1/journeys/case:viriat/PC-1"
    before = world.facts()
    assert await world.run("viriat", *command, "viriat", "PC-1", "gba", folder=FOLDER) == first
    python = Path(app.__file__).parent / "examples" / "publish.py"
    assert await world.run("viriat", sys.executable, str(python), "viriat", "PC-1", "gba", folder=FOLDER) == first
    assert world.facts() == before  # the same facts, no conflict
    told = await world.run("viriat", *command, "viriat", 'PC-"1', "nobody", folder=FOLDER, code=1)
    assert "event 0, id: " in told
    told = await world.run("viriat", *command, "viriat", "PC-1", "nobody", folder=FOLDER, code=1)
    assert "event 1, data.to: name a body of the directory (unknown-body)" in told
    assert "token" in await world.run("foreign", *command, "viriat", "PC-1", "gba", folder=FOLDER, code=1)
