"""What can be wrong with an event, in words that a program and a person can use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ProblemCode(StrEnum):
    """Why an event is refused; also the metric label, the reason of a dead letter and the type of a problem at the
    gateway."""

    # The form of the message.
    NOT_AN_EVENT = "not-an-event"
    UNKNOWN_TYPE = "unknown-type"
    UNKNOWN_FIELD = "unknown-field"
    MISSING_FIELD = "missing-field"
    WRONG_TYPE = "wrong-type"
    TOO_LARGE = "too-large"
    # Who speaks, about what.
    MALFORMED_SOURCE = "malformed-source"
    FOREIGN_SOURCE = "foreign-source"
    FOREIGN_SUBJECT = "foreign-subject"
    FOREIGN_HANDOFF = "foreign-handoff"
    OWN_HANDOFF = "own-handoff"
    HANDOFF_TO_ONESELF = "handoff-to-oneself"
    # References.
    MALFORMED_REFERENCE = "malformed-reference"
    PLACEHOLDER_REFERENCE = "placeholder-reference"
    REFERENCE_TO_A_BODY = "reference-to-a-body"
    REFERENCES_NOT_ALLOWED = "references-not-allowed"
    MISSING_REFERENCE = "missing-reference"
    TOO_MANY_REFERENCES = "too-many-references"
    DUPLICATE_REFERENCE = "duplicate-reference"
    # Dates.
    IMPOSSIBLE_DATE = "impossible-date"
    FUTURE_DATE = "future-date"
    MALFORMED_TIME = "malformed-time"
    TIME_NOT_ON_DATE = "time-not-on-date"
    DUE_BEFORE = "due-before"
    # Values.
    MALFORMED_ID = "malformed-id"
    MALFORMED_BODY = "malformed-body"
    MALFORMED_CODE = "malformed-code"
    MALFORMED_SIGNATURE = "malformed-signature"
    MALFORMED_ENVELOPE = "malformed-envelope"
    MALFORMED_DOCUMENT = "malformed-document"
    OUT_OF_RANGE = "out-of-range"
    EMPTY = "empty"
    TOO_LONG = "too-long"
    TOO_MANY = "too-many"
    CONTROL_CHARACTER = "control-character"
    CONTRADICTION = "contradiction"
    NATIONAL_IDENTITY_NUMBER = "national-identity-number"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend."""

    code: ProblemCode
    """Why."""
    field: str
    """Where, as a path in the datum (`header.occurred_on`, `pieces[2]`); empty for the whole."""
    mend: str
    """How to mend it, one sentence in English; never repeats the content."""
    start: int | None = None
    """First character concerned, from 0, where the place within the text matters."""
    length: int | None = None
    """Number of characters concerned."""


class UnsoundEventError(ValueError):
    """An event that cannot be taken; `problems` say why. The message never repeats the content."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{p.field or 'event'}: {p.code.value}" for p in problems))
        self.problems = problems
