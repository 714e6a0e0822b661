"""A territory with its pages, and a browser's way to speak to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.connectors.pages.place import Place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Return an empty territory."""
    made = Place(tmp_path)
    yield made
    await made.gateway.pulse.stop()
    made.database.close()


@pytest.fixture
async def http(place: Place) -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client that keeps cookies and follows."""
    transport = httpx2.ASGITransport(place.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://relais.test", follow_redirects=True) as client:
        yield client
