"""Files that were handed over: who takes a request on by a transfer takes on its file, with the time limit of the answer. Pure.

A transfer is the act of the body that sends: by it the addressee sees that body's file as far as bodies may, and the limit that runs in it
is the addressee's concern too (CRPA L114-2, L114-3; C. urb. R*423-8). A consultation hands nothing over, and work that was refused,
returned or taken back is no longer handed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.engine.handoffs import Handoff

Datum = Mapping[str, Any]

_HANDED = frozenset({"sent", "received", "accepted", "completed"})
_TO_BODIES = frozenset({"everyone", "bodies"})


def handed_to(status: Datum, body: str) -> frozenset[str]:
    """The files (case references) of a status (bus record) that were handed over to a body, through several hands too."""
    transfers = [h for h in status["handoffs"] if h["kind"] == "transfer" and h["state"] in _HANDED]
    found: set[str] = set()
    reached, todo = {body}, [body]
    while todo:
        taker = todo.pop()
        for sender in {h["from_body"] for h in transfers if h["to"] == taker} - reached:
            reached.add(sender)
            todo.append(sender)
            found.update(_files(status["cases"], sender, body))
    return frozenset(found)


def _files(cases: Iterable[Datum], sender: str, body: str) -> set[str]:
    """The sender's file; of several, those of the procedure of the addressee's own file, since a status does not say which was sent."""
    files = [c for c in cases if c["body"] == sender and c["visibility"] in _TO_BODIES]
    if len(files) > 1:
        own = {c["procedure"] for c in cases if c["body"] == body}
        files = [c for c in files if c["procedure"] in own]
    return {c["case"] for c in files}


def holder(case: str, handoffs: Iterable[Handoff]) -> str | None:
    """The body that has a file's request now, if it was handed over: the last of the transfers that begin with the file."""
    taken = [h for h in handoffs if h.kind == "transfer" and h.state in _HANDED]
    found: str | None = None
    seen: set[str] = set()
    here: str | None = case
    while here is not None and here not in seen:
        seen.add(here)
        last = max((h for h in taken if h.from_case == here), key=lambda h: (h.sent.date, h.key), default=None)
        if last is None:
            break
        found, here = last.to, last.to_case
    return found


def first_due(status: Datum, case: Datum) -> int | None:
    """The first time limit that runs for a file: its own, or else that of a file that was handed over to its body. Days since 1970."""
    own = first_running(case["clocks"])
    if own is not None:
        return own
    handed = handed_to(status, case["body"])
    others = (c for c in status["cases"] if c["case"] in handed and c["procedure"] == case["procedure"])
    return min((due for c in others if (due := first_running(c["clocks"])) is not None), default=None)


def first_running(limits: Iterable[Datum]) -> int | None:
    """The end of the first of some limits that runs, days since 1970-01-01."""
    return min((c["due_on"] for c in limits if c["state"] == "running" and c["due_on"] is not None), default=None)
