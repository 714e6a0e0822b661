"""The inbox of a body: what is handed to it, and the facts that taking, refusing, returning or completing an item is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from connectors.gateway import words
from connectors.gateway.problems import Flaw, ProblemError, Trouble
from connectors.gateway.words import Json
from connectors.status.model import Cursor, ReadModel, Snapshot
from schemas.cloudevents import PREFIX
from schemas.references import Keys, Kind, ReferenceFormatError, case_of_handoff, parse
from streams.engine.book import Book
from streams.engine.handoffs import ENDS
from streams.engine.visibility import without_journey_ids

ACTIONS = {
    "receive": "received", "accept": "accepted", "refuse": "refused", "return": "returned", "complete": "completed",
}  # fmt: skip
"""What may be done with an item, and the state that it brings."""
_OWN = frozenset({"id", "source", "case", "occurred_on", "time", "procedure"})
_ORDER = ("sent", "received", "accepted")


class Page(NamedTuple):
    """Some items of a feed."""

    items: list[Json]
    cursor: str
    more: bool


class Inbox:
    """Reads the feed and makes events of what is done with its items. Synchronous."""

    def __init__(self, model: ReadModel, keys: Keys, book: Book) -> None:
        self._model = model
        self._keys = keys
        self.book = book

    def page(self, body: str, cursor: Cursor | None, limit: int) -> Page:
        """Items changed after a cursor, each in its newest state. Raises `NotReadyError`."""
        with self._model.snapshot() as now:
            found = now.inbox(body, cursor, limit=limit + 1)
            place = found[:limit][-1].cursor if found else str(cursor or Cursor(now.generation, 0, b""))
            shown = self._shown(now, body, [item.datum for item in found[:limit]])
        items = [what | {"cursor": item.cursor} for what, item in zip(shown, found, strict=False)]
        return Page(items, place, len(found) > limit)

    def _shown(self, now: Snapshot, body: str, records: Sequence[Mapping[str, Any]]) -> list[Json]:
        """Items as their addressee sees them, with the limit that runs for the request itself where it was passed on as a whole."""
        passed = [r["from_case"] for r in records if r["kind"] == "transfer" and r["state"] in _ORDER]
        limits = now.limits_of({self._keys.of(case) for case in passed})
        items = []
        for record in records:
            due = limits.get(self._keys.of(record["from_case"])) if record["from_case"] in passed else None
            shown = words.handoff(record, body, self.book) | {"request_due_on": words.day(due)}
            items.append(without_journey_ids(shown))
        return items

    def item(self, body: str, handoff: str) -> dict[str, Any]:
        """The record of an item addressed to a body; a problem "not found" for any other."""
        with self._model.snapshot() as now:
            return self._item(now, body, handoff)

    def _item(self, now: Snapshot, body: str, handoff: str) -> dict[str, Any]:
        try:
            reference = parse(handoff)
        except ReferenceFormatError:
            raise _unknown() from None
        if reference.kind is not Kind.HANDOFF:
            raise _unknown()
        key = self._keys.of(handoff)
        record = now.handoffs([key]).get(key)
        if record is None or record["to"] != body:
            raise _unknown()
        return record

    def shown(self, body: str, handoff: str) -> Json:
        """An item as its addressee sees it."""
        with self._model.snapshot() as now:
            return self._shown(now, body, [self._item(now, body, handoff)])[0]

    def reached(self, handoff: str, state: str) -> bool:
        """Whether a handoff is seen in a state, or has passed it."""
        key = self._keys.of(handoff)
        with self._model.snapshot() as now:
            record = now.handoffs([key]).get(key)
        return record is not None and _has_reached(record, state)

    def event(self, body: str, handoff: str, action: str, said: dict[str, Any]) -> dict[str, Any] | None:
        """The CloudEvent that an action is; None if the item already is in that state.

        `said`: what the agent or program gives, all optional: `case`, `id`, `source`, `occurred_on` or `time`, `procedure`, and
        the fields of the event itself. Raises `ProblemError`.
        """
        record = self.item(body, handoff)
        state = ACTIONS[action]
        if _has_reached(record, state):
            return None
        if record["state"] in ENDS or (state in _ORDER and _ORDER.index(state) < _ORDER.index(record["state"])):
            detail = f"the item is {record['state']}: it cannot be {state} any more"
            raise ProblemError(Trouble.CONFLICT, detail)
        known = self.book.body(body)
        today = datetime.now(ZoneInfo(known.zone if known else "Europe/Paris")).date().isoformat()
        case = said.get("case") or record["to_case"] or case_of_handoff(body, handoff)
        if not isinstance(case, str):
            flaw = Flaw("wrong-type", "case", "write the reference of a case of your own: case:<body>/<number>")
            raise ProblemError(Trouble.UNSOUND_EVENT, "1 to mend: see problems", [flaw])
        data = {name: value for name, value in said.items() if name not in _OWN} | {"handoff": handoff}
        if "time" not in said:
            data["occurred_on"] = said.get("occurred_on", today)
        elif "occurred_on" in said:
            data["occurred_on"] = said["occurred_on"]
        procedure = said.get("procedure") or (record["procedure"] if not record["to_case"] else None)
        if procedure is not None:
            data["procedure"] = procedure
        day = data.get("occurred_on", today)
        message: dict[str, Any] = {
            "specversion": "1.0",
            "id": said.get("id") or f"{state}:{handoff.rpartition(':')[2]}:{day}",
            "source": said.get("source") or f"{body}/inbox",
            "type": f"{PREFIX}handoff.{state}",
            "subject": case,
            "data": data,
        }
        if "time" in said:
            message["time"] = said["time"]
        return message


def _has_reached(record: dict[str, Any], state: str) -> bool:
    passed = record[f"{state}_on"] is not None if state in ("received", "accepted") else False
    return passed or record["state"] == state


def _unknown() -> ProblemError:
    return ProblemError(Trouble.NOT_FOUND, "there is no such item in the inbox of this body")
