"""A platform of our own that speaks as demarche.numerique does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.connectors.demarche.platform import Platform
from tests.support.serving import serving


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    """Serve a platform; its address is `platform.url`."""
    made = Platform()
    async with serving(made.app) as url:
        made.url = f"{url}/api/v2/graphql"
        yield made
