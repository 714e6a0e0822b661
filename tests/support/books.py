"""Rule books for tests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cache

from schemas import definitions, holidays
from schemas.definitions import Definitions, Journey
from schemas.directory import Body, Convention, Directory
from streams.engine.book import Book
from streams.engine.calendars import calendars

SIMPLE = Journey.model_validate(
    {
        "procedure": "test.simple",
        "title": {"fr": "Essai", "en": "Trial"},
        "valid_from": date(1970, 1, 1),
        "roles": [{"id": "body", "title": {"fr": "Service", "en": "Body"}}],
        "steps": [{"id": "examination", "title": {"fr": "Examen", "en": "Examination"}, "role": "body"}],
        "handoffs": [
            {
                "id": "transfer", "title": {"fr": "Passage", "en": "Handoff"}, "kind": "transfer", "received": "3 days",
                "accepted": "4 days", "completed": "20 days",
            }
        ],
        "clocks": [
            {
                "id": "answer", "title": {"fr": "Réponse", "en": "Answer"}, "kind": "service",
                "starts": ["case.opened"], "stops": ["case.decided", "case.closed", "case.withdrawn"], "length": "10 days",
                "effect": "service-target",
                "modifiers": [
                    {"op": "suspend"}, {"op": "extend", "open": True, "before_end": False, "cumulate": True},
                    {"op": "suspend-bounded"},
                ],
            }
        ],
        "retention_days": 30,
    }
)  # fmt: skip


@cache
def _calendars():  # type: ignore[no-untyped-def]
    return calendars(holidays.load())


@cache
def _packaged() -> Definitions:
    return definitions.load()


def book(
    bodies: Iterable[Body] = (),
    conventions: Iterable[Convention] = (),
    retention: int | None = None,
    days: int = 10,
    warn: tuple[str, ...] = (),
) -> Book:
    """The simple procedure beside the packaged ones; `days` is the length of its clock, `warn` when all its limits warn."""
    simple = SIMPLE.model_dump(by_alias=True) | {"retention_days": retention}
    simple["clocks"] = [{**simple["clocks"][0], "length": f"{days} days", "warn": warn}]
    stages = ("received", "accepted", "completed")
    simple["handoffs"] = [{**h, **{stage: {**h[stage], "warn": warn} for stage in stages}} for h in simple["handoffs"]]
    directory = Directory(bodies=tuple(bodies), conventions=tuple(conventions))
    return Book(Definitions([*_packaged(), Journey.model_validate(simple)]), directory, _calendars())
