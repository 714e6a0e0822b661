"""The procedure that chaos plays: small and fixed, so that the oracle can know it by heart. Every number here is also the oracle's."""

from __future__ import annotations

from datetime import date

from schemas.definitions import Journey
from schemas.directory import Body, Convention, Directory

PROCEDURE = "chaos.request"
ANSWER_DAYS = 10
"""A case has so many days, more by each extension, without those on which it was suspended."""
LIMITS = {"received": 3, "accepted": 4, "completed": 20}
"""Days that each stage of a handoff has."""
BODIES = ("alpha", "bravo", "charlie", "delta", "foxtrot", "golf", "hotel", "india")
STRANGER = "xray"
UNCONNECTED = "echo"
SYSTEM = "hubee"
SPEAKER = "alpha"
"""Writes to a topic of its own, too, which the stage of admission reads."""
AGREED = (("delta", UNCONNECTED), ("charlie", f"{SYSTEM}:"))
"""Conventions: (body, owner): cases of the body may join the references of the owner."""


def journey() -> Journey:
    """The definition, as the bus takes it."""
    return Journey.model_validate({
        "procedure": PROCEDURE,
        "title": {"fr": "Essai de résistance", "en": "Endurance test"},
        "valid_from": date(1970, 1, 1),
        "roles": [{"id": "body", "title": {"fr": "Service", "en": "Body"}}],
        "steps": [{"id": "examination", "title": {"fr": "Examen", "en": "Examination"}, "role": "body"}],
        "handoffs": [
            {"id": "transfer", "title": {"fr": "Passage", "en": "Handoff"}, "kind": "transfer"}
            | {stage: f"{days} days" for stage, days in LIMITS.items()}
        ],
        "clocks": [{
            "id": "answer", "title": {"fr": "Réponse", "en": "Answer"}, "kind": "service", "effect": "service-target",
            "starts": ["case.opened"], "stops": ["case.decided", "case.closed"], "length": f"{ANSWER_DAYS} days",
            "modifiers": [{"op": "suspend"}, {"op": "extend", "open": True, "before_end": False, "cumulate": True}],
        }],
    })  # fmt: skip


def directory() -> Directory:
    """The body that speaks for itself, and the conventions; bodies that nobody lists are taken to be connected."""
    return Directory(
        bodies=(Body(id=SPEAKER, name="Alpha", kind="other"),),
        conventions=tuple(
            Convention(body=body, owner=owner, procedure="*", since=date(1970, 1, 1)) for body, owner in AGREED
        ),
    )
