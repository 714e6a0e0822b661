"""HubEE's words: statuses with their documented spelling differences, and what of a case or an event is told to a mapping.

What is told never changes once it is there, so that a notification that is read again says the same: not the status of the case, but
the status that an event brings. The applicant's name and address, authors, file names, messages and comments stay in HubEE.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class Status(StrEnum):
    """Status of a case (`api_folder_v1.2.7.yaml`, and the functional description for ARCHIVED)."""

    HUBEE_RECEIVED = "HUBEE_RECEIVED"
    HUBEE_COMPLETED = "HUBEE_COMPLETED"
    HUBEE_NOTIFIED = "HUBEE_NOTIFIED"
    SENT = "SENT"
    SI_RECEIVED = "SI_RECEIVED"
    SI_INTG_ERROR = "SI_INTG_ERROR"
    IN_PROGRESS = "IN_PROGRESS"
    ADD_AWAITING = "ADD_AWAITING"
    REFUSED = "REFUSED"
    DONE = "DONE"
    CLOSED = "CLOSED"
    ARCHIVED = "ARCHIVED"


NOT_RECEIVED = frozenset({Status.HUBEE_RECEIVED, Status.HUBEE_COMPLETED, Status.HUBEE_NOTIFIED, Status.SENT})
"""Statuses of a case that nobody has read yet."""
_SPELLINGS = {"ADD_WAITING": Status.ADD_AWAITING, "ADDAWAITING": Status.ADD_AWAITING}
"""The collection of examples says ADD_WAITING where the description says ADD_AWAITING."""


def status(text: object) -> str | None:
    """A status by its one name; one that nobody has documented as it is, for curation."""
    if not isinstance(text, str) or not text.strip():
        return None
    folded = text.strip().upper().replace("-", "_").replace(" ", "_")
    return _SPELLINGS.get(folded, folded)


def attributes(text: object) -> dict[str, str]:
    """`statut=17;type=SIGNALEMENT`: partner attributes as the description's example writes them; what has no `=` says nothing."""
    pairs = (part.partition("=") for part in str(text or "").split(";"))
    return {name.strip(): value.strip() for name, sign, value in pairs if sign and name.strip()}


def case(found: Json) -> Json:
    """What a mapping is told of a case."""
    return {
        "id": found["id"],
        "external_id": found.get("externalId"),
        "process": found.get("processCode"),
        "recipient": body(found.get("recipient")),
        "created_at": found.get("createDateTime"),
        "attributes": attributes(found.get("partnerAttributes")),
        "documents": documents(found.get("attachments"), f"cases/{found['id']}"),
    }


def event(found: Json, case_id: str, refusal_attribute: str) -> Json:
    """What a mapping is told of an event. `label` is what a person maps: the new status, and for REFUSED the reason beside it."""
    brought, said = status(found.get("caseNewStatus")), attributes(found.get("partnerAttributes"))
    why = said.get(refusal_attribute) if brought == Status.REFUSED else None
    return {
        "id": found["id"],
        "action": found.get("actionType"),
        "from": status(found.get("caseCurrentStatus")),
        "to": brought,
        "label": f"{brought}: {why}" if why else brought,
        "by": body(found.get("transmitter")),
        "created_at": found.get("createDateTime"),
        "attributes": said,
        "documents": documents(found.get("attachments"), f"cases/{case_id}/events/{found['id']}"),
    }


def body(found: Json | None) -> Json | None:
    """A body by the triple that names it."""
    if not found:
        return None
    return {"type": found.get("type"), "siret": found.get("companyRegister"), "counter": found.get("branchCode")}


def documents(found: list[Json] | None, path: str) -> list[Json]:
    """Attachments by reference; their names may name a person, their types do not."""
    return [
        {
            "label": one.get("type"),
            "type": one.get("mimeType"),
            "size": one.get("size"),
            "location": f"/teledossiers/v1/{path}/attachments/{one.get('id')}",
        }
        for one in found or ()
    ]
