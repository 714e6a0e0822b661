"""A gateway over a real socket, and programs that speak to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from connectors.gateway import app
from tests.support.loop import Town
from tests.support.serving import serving


class World:
    """A town behind an address."""

    def __init__(self, town: Town, url: str) -> None:
        self.town, self.url = town, url

    async def run(self, body: str, *command: str, folder: Path, code: int = 0) -> str:
        """Run an example as a body; what it prints, errors too."""
        told = {"RELAIS_URL": self.url, "RELAIS_TOKEN": self.town.tokens.get(body, body)}
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=os.environ | told, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(60):
            said, _ = await child.communicate()
        assert child.returncode == code, said.decode()
        return said.decode()

    def facts(self) -> list[bytes]:
        """Keys of all that the bus keeps."""
        return [key for key, _ in self.town.bus.store.items()]


@asynccontextmanager
async def open_gateway(folder: Path) -> AsyncIterator[World]:
    """Serve a gateway; what it keeps is in the folder."""
    town = Town(folder)
    try:
        async with serving(app.application(town.gateway)) as url:
            yield World(town, url)
    finally:
        await town.gateway.pulse.stop()
        town.database.close()
