"""The Faust app: which stages a worker runs, and nothing of what they do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import faust

from streams.admit import Admit
from streams.correlate import Correlate, Plan
from streams.engine.book import Book
from streams.runtime.config import RuntimeConfig
from streams.runtime.processor import Processor
from streams.runtime.service import Runtime, faust_settings, install
from streams.runtime.stage import Stage
from streams.runtime.store import Store


def build(config: RuntimeConfig, plan: Plan, book: Book, speakers: Iterable[str] = ()) -> tuple[faust.App, Runtime]:
    """The app of one worker. `speakers`: bodies that write to a topic of their own, `case-events.<body>`."""

    def correlate(partition: int, store: Store) -> Processor:
        return Correlate(plan, partition, store, book)

    def admit(body: str, partition: int, _store: Store) -> Processor:
        return Admit(plan, body, partition, book)

    stages = [
        Stage(
            name="correlate",
            topics=(plan.topic("case-events"),),
            changelog=plan.topic("journeys"),
            factory=correlate,
        )
    ]
    stages += [
        Stage(
            name="admit",
            topics=(plan.topic(f"case-events.{b}"),),
            changelog=None,
            factory=partial(admit, b),
            label=f"admit.{b}",
        )
        for b in sorted(speakers)
    ]
    app = faust.App(config.group, **faust_settings(config))
    return app, install(app, stages, config)
