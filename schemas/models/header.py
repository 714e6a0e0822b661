"""What every fact says of itself, and the base of all events."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from schemas.models.base import DATUM, Day, Instant, Model, Text, Whole, plain


class Attestation(StrEnum):
    """Who vouches that the source said it."""

    BODY = "body"
    GATEWAY = "gateway"
    OPERATOR = "operator"


class Visibility(StrEnum):
    """Who may see it beside the stating body."""

    EVERYONE = "everyone"
    BODIES = "bodies"
    PERSON = "person"
    OWNER = "owner"


class Header(Model):
    """What every fact says: who states it, about what, when it happened."""

    id: Text
    """Given by the source, unique with source and subject; the same id with the same content is the same fact."""
    source: Text
    """The stating system: body/system, one writer."""
    attested_by: Attestation
    """Who vouches that the source said it. Not canonical."""
    subject: Text
    """The reference that the fact is about: a case of the stating body, or the body itself."""
    references: tuple[Text, ...]
    """Other references that say what it is about: a journey id, a handoff, another case, an external id."""
    procedure: Text | None = None
    """Kind of request, such as urbanisme.pc-maison."""
    from_body: Text | None = None
    """Body from which the work came, for an id that neither body issued."""
    occurred_on: Day
    """Legal date: local date, at the stating body, on which it happened."""
    occurred_at: Text | None = None
    """Instant, RFC 3339 with its offset, if the hour is known; its date is occurred_on."""
    recorded_at: Instant | None = None
    """When the source wrote it down. Not canonical."""
    sequence: Whole | None = None
    """Order given by the source (outbox id, log position); gaps are allowed."""
    previous: Text | None = None
    """Digest of this source's previous fact on this subject, 64 hexadecimal characters."""
    visibility: Visibility | None = None
    """everyone: the person and the bodies of the journey; bodies: not the person; person: not the other bodies;
    owner: the stating body alone. Absent: as the journey definition says."""
    key_id: Text | None = None
    """Key of the signature. Not canonical."""
    signature: Text | None = None
    """Signature of the source over the canonical bytes, base64. Not canonical."""
    traceparent: Text | None = None
    """W3C trace context. Not canonical."""


class Event(Model):
    """A fact: its header and, in each subclass, what it states."""

    header: Header
    """Who states it, about what, when."""

    def to_datum(self) -> dict[str, Any]:
        """The datum that the codec writes: dates as days since 1970-01-01, instants as milliseconds since the epoch."""
        datum: dict[str, Any] = plain(self)
        del datum["type"]
        return datum

    @classmethod
    def from_datum(cls, datum: dict[str, Any]) -> Self:
        """The event of a datum that the codec read. Raises pydantic's ValidationError."""
        return cls.model_validate(datum, context=DATUM)
