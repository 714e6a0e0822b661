"""What an agent sees before acting: cases by legal date, items received, one case, links to confirm. Synchronous."""

from __future__ import annotations

from datetime import date
from typing import Any

from connectors.gateway import words
from connectors.pages import labels, papers
from connectors.pages.site import Site
from connectors.status.model import Snapshot
from schemas.references import ReferenceFormatError
from streams.engine.book import Book
from streams.engine.counting import to_day
from streams.engine.visibility import BodyViewer, without_journey_ids

Json = dict[str, Any]
SIZE = 50
OPEN = ("sent", "received", "accepted")
GOING_ON = ("open", "waiting_for_person", "suspended", "decided", "notified")


def cases(site: Site, body: str, state: str, page: int) -> tuple[list[Json], bool]:
    """Cases of a body, the first limit first; and whether there are more."""
    today = site.today(body)
    wanted = (state,) if state in labels.CASE_STATES else GOING_ON
    with site.model.snapshot() as now:
        rows = now.worklist(body, states=wanted, offset=(page - 1) * SIZE, limit=SIZE + 1)
    found = [
        {
            "case": case, "number": labels.number(case), "procedure": labels.procedure(site.book, procedure, today),
            "state": labels.CASE_STATES[kept], "since": since, "due_on": due,
            "left": None if due is None else due - to_day(today),
        }
        for _, case, procedure, kept, since, due in rows
    ]  # fmt: skip
    return found[:SIZE], len(found) > SIZE


def items(site: Site, body: str, page: int) -> tuple[list[Json], bool]:
    """What is handed to a body and not done yet, the first limit first; and whether there are more."""
    today = site.today(body)
    with site.model.snapshot() as now:
        rows = now.open_handoffs(states=OPEN, to=body, offset=(page - 1) * SIZE, limit=SIZE + 1)
    found = []
    for record in rows:
        due = words.due_on(record)
        found.append({
            "handoff": record["handoff"], "from": labels.body(site.book, record["from_body"]),
            "kind": labels.KINDS.get(record["kind"], record["kind"]), "sent_on": record["sent_on"], "due_on": due,
            "procedure": labels.procedure(site.book, record["procedure"], today), "state": labels.HANDOFF_STATES[record["state"]],
            "unread": record["state"] == "sent", "left": None if due is None else due - to_day(today),
        })  # fmt: skip
    return found[:SIZE], len(found) > SIZE


def waiting(site: Site, body: str) -> int:
    """How many items nobody of a body has read."""
    with site.model.snapshot() as now:
        return len(now.open_handoffs(states=("sent",), to=body, limit=100))


def item(site: Site, body: str, handoff: str) -> Json:
    """An item of the inbox, with what may be done. Raises `ProblemError`."""
    found = site.gateway.inbox.shown(body, handoff)
    with site.model.snapshot() as now:
        papers_ = papers.shown(now, found, site.today(body).isoformat())
    allowed = {
        "sent": ("handoff.received", "handoff.accepted", "handoff.refused"),
        "received": ("handoff.accepted", "handoff.refused"),
        "accepted": ("handoff.completed", "handoff.returned"),
    }.get(found["state"], ())
    return found | {
        "papers": papers_,
        "allowed": allowed,
        "state_words": labels.HANDOFF_STATES[found["state"]],
        "kind_words": labels.KINDS.get(found["kind"], found["kind"]),
        "procedure_words": labels.procedure(site.book, found["procedure"], site.today(body)),
        "step_words": _step(site.book, found),
    }


def _step(book: Book, found: Json) -> str:
    day = to_day(date.fromisoformat(found["sent_on"]))
    steps = book.rules(found["procedure"] or "", day).journey.steps
    return next((s.title.fr for s in steps if s.id == found["step"]), "")


def own_journey(site: Site, body: str, case: str) -> tuple[Json, Json] | None:
    """The journey of a case of a body, as the body may see it, and the case in it; None if it has no such case."""
    try:
        found = site.gateway.asking.journey(case, BodyViewer(body))
    except ReferenceFormatError:
        return None
    own = next((c for c in found["cases"] if c.get("case") == case), None) if found else None
    return None if found is None or own is None or own["body"]["id"] != body else (found, own)


def has_case(site: Site, body: str, case: str) -> bool:
    """Whether a body has a case of this reference."""
    return own_journey(site, body, case) is not None


def journey(site: Site, body: str, case: str) -> Json | None:
    """One case of a body, with all of its journey that the body may see; None if it has no such case."""
    both = own_journey(site, body, case)
    if both is None:
        return None
    found, own = both
    with site.model.snapshot() as now:
        lost = papers.lost(now, site, body, case)
    handed = [c | {"number": labels.number(c["case"])} for c in found["cases"] if c.get("handed")]
    return found | {
        "own": own,
        "handed": handed,
        "lost": lost,
        "clocks": [c | {"of": None} for c in own["clocks"]]
        + [c | {"of": file["body"]} for file in handed for c in file["clocks"] if c["state"] != "not-started"],
        "others": [c for c in found["cases"] if c["neutral"]],
        "state_words": labels.CASE_STATES[own["state"]],
        "procedure_words": labels.procedure(site.book, own["procedure"], site.today(body)),
        "alerts": [a | {"words": labels.ALERTS.get(a["reason"], (a["reason"], ""))} for a in found["alerts"]],
    }


def links(site: Site, body: str) -> list[Json]:
    """Claims on what a body issued, of which it has not said anything: its own case, and the case that asks."""
    found = []
    with site.model.snapshot() as now:
        for ref, case, asking, _issuer, on in now.waiting_claims(body):
            texts = [_case(now, site, key) for key in (ref, case)]
            if texts[0] is not None and texts[1] is not None and texts[0].startswith(f"case:{body}/"):
                found.append({"own": texts[0], "other": texts[1], "body": labels.body(site.book, asking), "on": on})
    return [without_journey_ids(link) for link in found]


def _case(now: Snapshot, site: Site, key: bytes) -> str | None:
    row = now.resolve(key)
    return next((c["case"] for c in row.datum["cases"] if site.keys.of(c["case"]) == key), None) if row else None
