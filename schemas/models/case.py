"""The life of a case."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from schemas.models.base import Day, Flag, Small, Text
from schemas.models.document import Document, Envelope
from schemas.models.header import Event


class Acknowledgement(StrEnum):
    """registration: accusé d'enregistrement électronique; receipt: accusé de réception."""

    REGISTRATION = "registration"
    RECEIPT = "receipt"


class Closing(StrEnum):
    """Why a file is closed."""

    DONE = "done"
    WITHDRAWN = "withdrawn"
    TRANSFERRED = "transferred"
    ABANDONED = "abandoned"
    DUPLICATE = "duplicate"
    ERROR = "error"


class Outcome(StrEnum):
    """What was decided; a file found inadmissible is not refused."""

    GRANTED = "granted"
    GRANTED_IN_PART = "granted_in_part"
    REFUSED = "refused"
    INADMISSIBLE = "inadmissible"
    NO_FURTHER_ACTION = "no_further_action"


class Unit(StrEnum):
    """Unit of a time limit: calendar days, jours ouvrés (working days), jours ouvrables (all but Sundays and
    holidays), weeks, months, years."""

    DAYS = "days"
    OUVRES = "ouvres"
    OUVRABLES = "ouvrables"
    WEEKS = "weeks"
    MONTHS = "months"
    YEARS = "years"


class Means(StrEnum):
    """How the person was told."""

    ELECTRONIC = "electronic"
    REGISTERED_POST = "registered_post"
    POST = "post"
    BY_HAND = "by_hand"
    DISPLAY = "display"


class Channel(StrEnum):
    """How the request came."""

    ELECTRONIC = "electronic"
    COUNTER = "counter"
    POST = "post"
    PHONE = "phone"
    EXCHANGE = "exchange"


class Reopening(StrEnum):
    """Why a file is reopened."""

    APPEAL = "appeal"
    ERROR = "error"
    NEW_ELEMENT = "new_element"
    COURT = "court"


class CaseAcknowledged(Event):
    """The body has told the person that the request came (CRPA L112-3, L112-11)."""

    type: Literal["case.acknowledged"] = "case.acknowledged"
    kind: Acknowledgement
    """registration: AEE, within one working day; receipt: AR or ARE."""
    complete: Flag | None = None
    """Whether the file is complete."""
    admissible: Flag | None = None
    """Whether the request is admissible."""
    mentions: tuple[Text, ...] | None = None
    """Mandatory mentions that the acknowledgement carries (CRPA R112-5, R112-11-1)."""


class CaseClosed(Event):
    """The file is closed."""

    type: Literal["case.closed"] = "case.closed"
    reason: Closing
    """Why it is closed."""


class CaseDecided(Event):
    """The body has decided."""

    type: Literal["case.decided"] = "case.decided"
    outcome: Outcome
    """What was decided."""
    signed_on: Day | None = None
    """Date of the act, if not occurred_on."""
    reasons_stated: Flag | None = None
    """Whether an unfavourable decision states its reasons (CRPA L211-2, L211-5)."""
    routes_stated: Flag | None = None
    """Whether the decision states appeal routes and time limits (CJA R421-5)."""
    note: Envelope | None = None
    """What the person needs to know of it."""


class CaseExtended(Event):
    """The time limit of the case is made longer, or set to a new date."""

    type: Literal["case.extended"] = "case.extended"
    length: Small | None = None
    """How much is added, in `unit`."""
    unit: Unit | None = None
    """Unit of `length`."""
    due_on: Day | None = None
    """New date, instead of a length."""
    notified_on: Day | None = None
    """Day on which the person was told: an extension that is not notified in time has no effect."""
    cause: Text
    """Cause, as the journey definition names it."""
    legal_basis: Text | None = None
    """Article under which it is extended."""


class CaseNotified(Event):
    """The person has been told of the decision (CRPA L221-8)."""

    type: Literal["case.notified"] = "case.notified"
    means: Means
    """How the person was told."""
    available_on: Day | None = None
    """Day on which an electronic notification was made available."""


class CaseOpened(Event):
    """A body has a file for one request."""

    type: Literal["case.opened"] = "case.opened"
    channel: Channel | None = None
    """How the request came; an electronic one is acknowledged by the hour."""
    place: Text | None = None
    """Commune that the request concerns, INSEE code."""
    received_on: Day | None = None
    """Legal date of receipt of the request, if not occurred_on."""
    first_received_on: Day | None = None
    """Day on which another body, seized first though not competent, received the request (CRPA L114-3)."""
    complete: Flag | None = None
    """Whether the file was complete at once."""
    access_code: Text | None = None
    """Salted hash of the secret code given to the person: scrypt$<salt hex>$<hash hex>."""
    applicant: Envelope | None = None
    """Who asks and how to reach them."""


class CasePiecesReceived(Event):
    """The person has supplied pieces."""

    type: Literal["case.pieces-received"] = "case.pieces-received"
    pieces: tuple[Text, ...]
    """Labels of the pieces received."""
    complete: Flag
    """Whether the file is complete with them."""
    documents: tuple[Document, ...] | None = None
    """The pieces, by reference."""


class CasePiecesRequested(Event):
    """The body has asked the person for missing pieces (CRPA L114-5)."""

    type: Literal["case.pieces-requested"] = "case.pieces-requested"
    pieces: tuple[Text, ...]
    """Labels of the pieces asked for, in the words of the procedure."""
    due_on: Day | None = None
    """Limit set to the person."""
    notified_on: Day | None = None
    """Day on which the person was told, if not occurred_on."""
    listed: Flag | None = None
    """Whether every piece is on the list that the text allows to ask for."""
    legal_basis: Text | None = None
    """Article under which they are asked for."""


class CaseReopened(Event):
    """A closed file lives again."""

    type: Literal["case.reopened"] = "case.reopened"
    reason: Reopening | None = None
    """Why it is reopened."""


class CaseResumed(Event):
    """The time limit of the case runs again."""

    type: Literal["case.resumed"] = "case.resumed"
    cause: Text | None = None
    """Cause of the suspension that ends; absent: all."""


class CaseStepCompleted(Event):
    """A step of the procedure has ended."""

    type: Literal["case.step-completed"] = "case.step-completed"
    step: Text
    """Id of the step in the journey definition, or the body's own."""


class CaseStepStarted(Event):
    """A step of the procedure has begun."""

    type: Literal["case.step-started"] = "case.step-started"
    step: Text
    """Id of the step in the journey definition, or the body's own."""


class CaseSuspended(Event):
    """The time limit of the case stands still."""

    type: Literal["case.suspended"] = "case.suspended"
    cause: Text
    """Cause, as the journey definition names it."""
    until: Day | None = None
    """Day on which the suspension ends at the latest."""
    notified_on: Day | None = None
    """Day on which the person was told, if not occurred_on."""
    legal_basis: Text | None = None
    """Article under which it is suspended."""


class CaseWithdrawn(Event):
    """The person has withdrawn the request."""

    type: Literal["case.withdrawn"] = "case.withdrawn"
