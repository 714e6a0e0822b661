"""The replay with no Kafka at all: one view of all facts at the end. The bus must come to the same report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deploy import rules
from deploy.replay.story import Story
from schemas import codec
from schemas.references import Keys
from streams.engine.facts import Copy, Reader
from streams.engine.view import fold, view

if TYPE_CHECKING:
    from connectors.eventlog.report import Report

_ANY_KEY = bytes(32)


def run(story: Story) -> Report:
    """The report of a story."""
    reader = Reader(codec.events(), Keys(_ANY_KEY))
    copies: dict[bytes, Copy] = {}
    for fact in story.facts:
        copy = reader.copy(fact.value, 0)
        copies[copy.fact.key] = copy
    book = rules.book(story.directory, [story.mapping.journey()])
    rows: dict[str, list[dict[str, Any]]] = {"statuses": [], "handoffs": [], "alerts": []}
    for out in view(fold(copies.values()), story.end, book).outputs.values():
        rows[out.topic].append(codec.bus().decode(out.value)[1])
    return story.report(rows, [(c.fact.type, codec.events().decode(c.value)[1]) for c in copies.values()])
