"""Moving a case: an event that tells the other side, then the status itself; each at most once, whatever was interrupted."""

from __future__ import annotations

from connectors.hubee.client import Hubee, Json
from connectors.hubee.words import Status, status

AUTHOR = "relais"


async def move(hubee: Hubee, process: str, case_id: str, to: Status, said: str = "", found: Json | None = None) -> None:
    """Bring a case to a status. `said`: partner attributes of the event. `found`: the case, if it was just read. Raises `GoneError`.

    A status that changes without an event tells nobody (description of `PATCH /cases/{caseId}`), so the event comes first; the last
    event of the case says whether an interrupted move has told it already.
    """
    case = await hubee.case(process, case_id) if found is None else found
    now = status(case.get("status"))
    if now == to:
        return
    moves = [e for e in case.get("events") or () if e.get("caseNewStatus")]
    last = sorted(moves, key=lambda e: str(e.get("createDateTime")))[-1:]
    if not last or status(last[0]["caseNewStatus"]) != to:
        event: Json = {
            "actionType": "STATUS_UPDATE",
            "author": AUTHOR,
            "notification": True,
            "caseCurrentStatus": now,
            "caseNewStatus": to.value,
        }
        await hubee.add_event(process, case_id, event | ({"partnerAttributes": said} if said else {}))
    await hubee.move_case(process, case_id, to.value)
