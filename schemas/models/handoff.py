"""Work that passes from one body to another."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from schemas.models.base import Day, Text
from schemas.models.document import Document, Envelope
from schemas.models.header import Event


class Opinion(StrEnum):
    """What came of it."""

    FAVOURABLE = "favourable"
    FAVOURABLE_WITH_CONDITIONS = "favourable_with_conditions"
    UNFAVOURABLE = "unfavourable"
    NO_OPINION = "no_opinion"
    DONE = "done"


class Refusal(StrEnum):
    """Why a handoff is refused."""

    NOT_COMPETENT = "not_competent"
    INCOMPLETE = "incomplete"
    DUPLICATE = "duplicate"
    UNREADABLE = "unreadable"
    OTHER = "other"


class Return(StrEnum):
    """Why work is given back."""

    NOT_COMPETENT = "not_competent"
    INCOMPLETE = "incomplete"
    ERROR = "error"
    OTHER = "other"


class HandoffKind(StrEnum):
    """transfer: the other body is competent (CRPA L114-2); consultation: an opinion is asked for; transmission: part
    of the procedure; execution: payment, production; information: nothing is expected back."""

    TRANSFER = "transfer"
    CONSULTATION = "consultation"
    TRANSMISSION = "transmission"
    EXECUTION = "execution"
    INFORMATION = "information"


class HandoffAccepted(Event):
    """The addressee takes the work."""

    type: Literal["handoff.accepted"] = "handoff.accepted"
    handoff: Text
    """Reference of the handoff."""


class HandoffCancelled(Event):
    """The sender takes the work back before it is done."""

    type: Literal["handoff.cancelled"] = "handoff.cancelled"
    handoff: Text
    """Reference of the handoff."""
    reason: Text | None = None
    """Why, in the words of the procedure."""


class HandoffCompleted(Event):
    """The addressee has done what was asked."""

    type: Literal["handoff.completed"] = "handoff.completed"
    handoff: Text
    """Reference of the handoff."""
    result: Opinion | None = None
    """What came of it."""
    documents: tuple[Document, ...] | None = None
    """Documents given back, by reference."""
    note: Envelope | None = None
    """What the sender needs to know."""


class HandoffReceived(Event):
    """The addressee has read the handoff."""

    type: Literal["handoff.received"] = "handoff.received"
    handoff: Text
    """Reference of the handoff."""


class HandoffRefused(Event):
    """The addressee does not take the work."""

    type: Literal["handoff.refused"] = "handoff.refused"
    handoff: Text
    """Reference of the handoff."""
    reason: Refusal
    """Why."""
    redirect_to: Text | None = None
    """Body that the addressee believes competent."""
    note: Envelope | None = None
    """What the sender needs to know."""


class HandoffReturned(Event):
    """The addressee gives back work that it had taken."""

    type: Literal["handoff.returned"] = "handoff.returned"
    handoff: Text
    """Reference of the handoff."""
    reason: Return
    """Why."""
    note: Envelope | None = None
    """What the sender needs to know."""


class HandoffSent(Event):
    """A body passes work to another."""

    type: Literal["handoff.sent"] = "handoff.sent"
    handoff: Text
    """Reference of the handoff, issued by the sender."""
    to: Text
    """Addressee, the id of a body."""
    kind: HandoffKind
    """What is expected of the addressee."""
    step: Text | None = None
    """Step of the journey definition that the work is."""
    due_on: Day | None = None
    """Date by which an answer is needed."""
    reason: Text | None = None
    """Why, in the words of the procedure (no personal data)."""
    documents: tuple[Document, ...] | None = None
    """Documents handed over, by reference."""
    note: Envelope | None = None
    """What the agent of the other body needs to know."""
