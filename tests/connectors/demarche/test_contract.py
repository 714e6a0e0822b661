"""The contract of sources, through the real runner on a real broker, with the mapping that comes with the connector.

A body of French Guiana reads a platform that writes the time of Paris: its legal dates are its own.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from datetime import datetime

import pytest
from starlette.responses import Response

from connectors.demarche.source import Demarche, DemarcheConfig
from tests.connectors.demarche.platform import FIELD, TOKEN, Platform
from tests.connectors.demarche.test_source import MAP
from tests.support.connector_contract import SourceContract
from tests.support.serving import LOOPBACK, serving

_TEXT = MAP.read_text(encoding="utf-8")
_ACKNOWLEDGED = re.compile(r"  - states: case\.acknowledged.*?(?=  - states)", re.DOTALL)
"""Left out here: the suite counts one fact for each record."""


class DemarchePlace:
    """The platform; a dossier whose field holds no reference is what cannot be taken."""

    zone = "America/Cayenne"
    mapping = _ACKNOWLEDGED.sub("", _TEXT.replace("case: dossier ", "case: \"'R-' & dossier\" ")).partition("\ntests:")[
        0
    ]

    def __init__(self, platform: Platform, stack: AsyncExitStack) -> None:
        self._platform, self._stack = platform, stack

    def source(self) -> Demarche:
        fields = {"url": self._platform.url, "token": TOKEN, "demarche": 12, "outgoing": LOOPBACK}
        small = {"page": 7, "together": 3, "fields": {"parcours": FIELD}}
        made = Demarche(DemarcheConfig.model_validate(fields | small))
        self._stack.push_async_callback(made.close)
        return made

    async def write(self, numbers: Iterable[int], at: datetime) -> None:
        for number in numbers:
            self._platform.deposit(number, at.timestamp())

    async def write_bad(self) -> None:
        self._platform.rows[1].champs[FIELD] = "N/A"

    async def take_down(self) -> None:
        self._platform.failures = [Response(status_code=503)] * 1000

    async def bring_back(self) -> None:
        self._platform.failures = []


class TestDemarche(SourceContract):
    @pytest.fixture
    async def place(self) -> AsyncIterator[DemarchePlace]:
        async with AsyncExitStack() as stack:
            platform = Platform()
            url = await stack.enter_async_context(serving(platform.app))
            platform.url = f"{url}/api/v2/graphql"
            yield DemarchePlace(platform, stack)
