"""Documents of an item as an agent gets them: a link while the right to them lasts, and in plain words why there is none."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

import structlog
from starlette.responses import RedirectResponse, Response

from connectors.documents.giving import file_name, given
from connectors.gateway.problems import ProblemError, Trouble
from connectors.kit.contract import ConnectorError
from connectors.pages import labels
from connectors.pages.site import Site, go
from connectors.status.model import Snapshot

Json = dict[str, Any]
log = structlog.get_logger()
FAULTS = {
    "gone": "n'est plus à son adresse",
    "altered": "n'est plus celui qui avait été annoncé",
    "unreachable": "est à une adresse qui ne répond pas",
}
"""What the last check found of a document, by fault."""


def shown(now: Snapshot, item: Json, today: str) -> list[Json]:
    """The documents of an item, each with its link (`href`, none where there is nothing to fetch) and what is wrong with it (`dead`)."""
    dead = {
        one.sha256: (FAULTS.get(one.fault, FAULTS["gone"]), since)
        for one, since in now.dead_documents(handoff=item["handoff"])
    }
    found = []
    for number, document in enumerate(item["documents"]):
        over = document["until"] is not None and document["until"] < today
        address = urlsplit(document["location"])
        usable = not over and address.scheme in ("https", "http") and bool(address.hostname)
        query = urlencode({"passage": item["handoff"], "n": number})
        words, since = dead.get(document["sha256"], ("", None))
        found.append(
            document
            | {"href": f"/agent/document?{query}" if usable else None, "host": address.hostname or "", "over": over}
            | {"dead": "" if over else words, "dead_since": since}
        )
    return found


def lost(now: Snapshot, site: Site, body: str, case: str) -> list[Json]:
    """Documents that a body handed over from a case and that their addressee cannot fetch."""
    found = []
    for one, since in now.dead_documents(sender=body):
        key = site.keys.of(one.handoff)
        record = now.handoffs([key]).get(key)
        if record is None or record["from_case"] != case:
            continue
        label = next((d["label"] for d in record["documents"] if d["sha256"] == one.sha256), None)
        if label is not None:
            words = FAULTS.get(one.fault, FAULTS["gone"])
            found.append({"label": label, "to": labels.body(site.book, record["to"]), "words": words, "since": since})
    return found


async def fetched(site: Site, item: Json, number: str, body: str) -> Response:
    """A document of an item: given from here if it is kept here, else from where its sender keeps it. A page of the item if it is dead."""
    if not number.isascii() or not number.isdecimal() or int(number) >= len(item["documents"]):
        raise ProblemError(Trouble.NOT_FOUND, "the item has no such document")
    document = item["documents"][int(number)]
    back = {"passage": item["handoff"]}
    until = document["until"]
    if until is not None and until < site.today(body).isoformat():
        return go(f"/agent/recu?{urlencode(back | {'dit': 'perime'})}")
    shelf = site.gateway.documents
    place = None if shelf is None else shelf.place(document["location"])
    if shelf is None or place is None:
        if urlsplit(document["location"]).scheme not in ("https", "http"):
            raise ProblemError(Trouble.NOT_FOUND, "the document has no address that can be called")
        return RedirectResponse(
            document["location"], 303, {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
        )
    try:
        found = await shelf.give(*place)
    except ConnectorError as error:
        log.warning("the store of documents does not answer", error=error.code)
        return go(f"/agent/recu?{urlencode(back | {'dit': 'attente'})}")
    if found is None:
        return go(f"/agent/recu?{urlencode(back | {'dit': 'mort'})}")
    return given(found, name=file_name(document["label"], document["type"]))
