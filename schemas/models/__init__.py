"""Events as Python values: one frozen model per event type, equal to its Avro schema field by field."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from schemas.models import alert, body, case, correction, handoff
from schemas.models.base import DATUM
from schemas.models.document import Document, Envelope
from schemas.models.header import Attestation, Event, Header, Visibility

AnyEvent = Annotated[
    case.CaseAcknowledged
    | case.CaseClosed
    | case.CaseDecided
    | case.CaseExtended
    | case.CaseNotified
    | case.CaseOpened
    | case.CasePiecesReceived
    | case.CasePiecesRequested
    | case.CaseReopened
    | case.CaseResumed
    | case.CaseStepCompleted
    | case.CaseStepStarted
    | case.CaseSuspended
    | case.CaseWithdrawn
    | handoff.HandoffAccepted
    | handoff.HandoffCancelled
    | handoff.HandoffCompleted
    | handoff.HandoffReceived
    | handoff.HandoffRefused
    | handoff.HandoffReturned
    | handoff.HandoffSent
    | correction.CorrectionLinked
    | correction.CorrectionRetracted
    | correction.CorrectionUnlinked
    | alert.AlertAcknowledged
    | body.BodyConnected
    | body.BodySucceeded
    | body.SourceHeartbeat,
    Field(discriminator="type"),
]
"""Any event, told apart by `type`."""

ANY_EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
"""Validates any event."""


def _all(base: type[Event]) -> dict[str, type[Event]]:
    return {str(model.model_fields["type"].default): model for model in base.__subclasses__()}


MODELS: dict[str, type[Event]] = _all(Event)
"""The model of each event type."""


def from_datum(name: str, datum: dict[str, Any]) -> AnyEvent:
    """The event of a datum that the codec read, by the name of its schema. Raises pydantic's ValidationError."""
    return ANY_EVENT.validate_python({**datum, "type": name}, context=DATUM)


__all__ = [
    "ANY_EVENT",
    "MODELS",
    "AnyEvent",
    "Attestation",
    "Document",
    "Envelope",
    "Event",
    "Header",
    "Visibility",
    "from_datum",
]
