"""The contracts of sources and of sinks, through the real runners on a real broker, with the mapping that comes with the connector.

A body of French Guiana reads a platform that writes the time of Paris: its legal dates are its own.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, ClassVar

import pytest
from starlette.responses import Response

from connectors.demarche.sink import Annotation, AnnotationConfig
from connectors.demarche.source import Demarche, DemarcheConfig
from connectors.pages.labels import HANDOFF_STATES
from tests.connectors.demarche.platform import ANNOTATION, FIELD, INSTRUCTEUR, TOKEN, Platform
from tests.connectors.demarche.test_source import MAP
from tests.support.connector_contract import SourceContract
from tests.support.serving import LOOPBACK
from tests.support.sink_contract import BODY, SinkBed, SinkContract, StatusBed

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


class AnnotationPlace:
    """The platform with a dossier for each case; an annotation holds where its journey stands now, and is written when that changes."""

    keeps_states = receipts = False

    def __init__(self, platform: Platform, stack: AsyncExitStack) -> None:
        self._platform, self._stack = platform, stack
        for number in range(1, 101):
            platform.deposit(number, 1_772_000_000)

    def sink(self) -> Annotation:
        fields = {"url": self._platform.url, "token": TOKEN, "demarche": 12, "outgoing": LOOPBACK, "body": BODY}
        made = Annotation(
            AnnotationConfig.model_validate(fields | {"annotation": ANNOTATION, "instructeur": INSTRUCTEUR})
        )
        self._stack.push_async_callback(made.close)
        return made

    async def received(self) -> list[dict[str, Any]]:
        states = {f" : {words} depuis": state for state, words in HANDOFF_STATES.items()}
        return [
            {
                "id": str(row.number),
                "state": next(states[words] for words in states if words in row.annotations[ANNOTATION]),
            }
            for row in self._platform.rows.values()
            if row.annotations
        ]

    async def take_down(self) -> None:
        self._platform.failures = [Response(status_code=503)] * 1000

    async def bring_back(self) -> None:
        self._platform.failures = []


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Return what is closed after the test."""
    async with AsyncExitStack() as opened:
        yield opened


class TestDemarche(SourceContract):
    @pytest.fixture
    def place(self, platform: Platform, stack: AsyncExitStack) -> DemarchePlace:
        return DemarchePlace(platform, stack)


class TestAnnotation(SinkContract):
    bed_of: ClassVar[type[SinkBed]] = StatusBed

    @pytest.fixture
    def place(self, platform: Platform, stack: AsyncExitStack) -> AnnotationPlace:
        return AnnotationPlace(platform, stack)
