"""What the operations pages show, from the read model and the workers. Synchronous but for the workers."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx2

from connectors.gateway import words
from connectors.gateway.problems import ProblemError, Trouble
from connectors.kit import lines
from connectors.pages import labels
from connectors.pages.facts import CHOICES
from connectors.pages.site import Site
from connectors.status.model import Snapshot
from schemas.references import Keys, ReferenceFormatError
from streams.engine.book import Book
from streams.engine.counting import to_day
from streams.engine.visibility import Operator

Json = dict[str, Any]
MOST = 2_000
"""Alerts looked at for one page."""
OPEN = ("sent", "received", "accepted")
STALLED = frozenset({"not-delivered", "not-taken", "silent", "ping-pong"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What an address asks for; empty asks for all."""

    sender: str = ""
    to: str = ""
    body: str = ""
    reason: str = ""
    procedure: str = ""
    topic: str = ""
    days: int = 15
    page: int = 1
    size: int = field(default=50, kw_only=True)

    @property
    def offset(self) -> int:
        """Rows before this page."""
        return (self.page - 1) * self.size


class Watching:
    """Looks at the whole bus."""

    def __init__(self, book: Book, keys: Keys, today: date) -> None:
        self._book, self._keys, self._today = book, keys, today

    def _name(self, id_: str | None) -> str:
        return labels.body(self._book, id_) if id_ else "—"

    def alert(self, record: Json) -> Json:
        """An alert for a row of a table."""
        last = record["episodes"][-1]
        tag, meaning = labels.ALERTS.get(record["reason"], (record["reason"], ""))
        return {
            "id": record["alert"].hex(),
            "tag": tag,
            "meaning": labels.limit(self._book, record["procedure"], record["rule"], self._today) or meaning,
            "critical": record["severity"] == "critical",
            "from": self._name(record["other"]) if record["handoff"] else None,
            "to": self._name(record["body"]),
            "procedure": labels.procedure(self._book, record["procedure"], self._today),
            "case": record["case"],
            "number": labels.number(record["case"]),
            "raised_on": last["raised_on"],
            "days": to_day(self._today) - last["raised_on"],
            "due_on": record["due_on"],
            "contact": words.contact(self._book, record["body"], record["procedure"]),
            "acknowledged_on": record["acknowledged_on"],
            "silent_until": record["silent_until"],
        }

    def alerts(self, now: Snapshot, wanted: Filter, *, handoffs: bool | None = None) -> list[Json]:
        """Open alerts as records, the most pressing first: legal limits, then by day."""
        found = [
            a
            for a in now.alerts(limit=MOST)
            if (not wanted.reason or a["reason"] == wanted.reason)
            and (not wanted.procedure or a["procedure"] == wanted.procedure)
            and (not wanted.body or wanted.body in (a["body"], a["other"]))
            and (not wanted.sender or a["other"] == wanted.sender)
            and (not wanted.to or a["body"] == wanted.to)
            and (handoffs is None or (a["handoff"] is not None) is handoffs)
        ]
        return sorted(found, key=lambda a: (a["severity"] != "critical", a["episodes"][-1]["raised_on"], a["alert"]))

    def pairs(self, now: Snapshot, alerts: list[Json]) -> list[Json]:
        """Handoffs by pair of bodies: how many are open, how many stall, and why."""
        stalled: dict[tuple[str, str], Counter[str]] = {}
        handoffs: dict[tuple[str, str], set[str]] = {}
        for record in alerts:
            if record["handoff"] and record["other"]:
                pair = (record["other"], record["body"])
                stalled.setdefault(pair, Counter())[record["reason"]] += 1
                handoffs.setdefault(pair, set()).add(record["handoff"])
        rows = {
            (sender, to): {"open": count, "first": first} for sender, to, count, first in now.pairs(OPEN)
        }  # fmt: skip
        for pair in stalled:
            rows.setdefault(pair, {"open": 0, "first": None})
        return sorted(
            (
                {
                    "sender": sender, "to": to, "from_name": self._name(sender), "to_name": self._name(to), **row,
                    "stalled": len(handoffs.get((sender, to), ())),
                    "reasons": {r: stalled.get((sender, to), Counter())[r] for r in STALLED},
                }
                for (sender, to), row in rows.items()
            ),
            key=lambda row: (-row["stalled"], -row["open"], row["sender"], row["to"]),
        )  # fmt: skip

    def ending(self, now: Snapshot, wanted: Filter) -> list[Json]:
        """Files and handoffs of which a limit has passed or ends within some days, the first first.

        A limit that was handed over with its request is one row, with all the bodies that it concerns.
        """
        until = to_day(self._today) + wanted.days + 1
        take = wanted.offset + wanted.size + 1
        shared: dict[tuple[bytes, str | None, int | None], Json] = {}
        for status, case, procedure, state, _, due in now.worklist(wanted.body or None, due_before=until, limit=take):
            told = shared.setdefault((status, procedure, due), {
                "what": "dossier", "case": case, "number": labels.number(case), "procedure": procedure, "who": [],
                "state": labels.CASE_STATES.get(state, state), "due_on": due,
            })  # fmt: skip
            told["who"].append(case.removeprefix("case:").partition("/")[0])
        rows = list(shared.values())
        rows += [
            {
                "what": "passage", "case": h["from_case"], "number": labels.number(h["from_case"]), "procedure": h["procedure"],
                "who": [h["to"]], "state": labels.HANDOFF_STATES[h["state"]], "due_on": due,
            }
            for h in now.open_handoffs(states=OPEN, due_before=until, to=wanted.body or None, limit=take)
            if (due := words.due_on(h)) is not None
        ]  # fmt: skip
        for row in rows:
            row["who_name"] = ", ".join(dict.fromkeys(map(self._name, row["who"])))
            row["procedure_name"] = labels.procedure(self._book, row["procedure"], self._today)
            row["left"] = row["due_on"] - to_day(self._today)
        return sorted(rows, key=lambda r: (r["due_on"], r["what"], r["case"]))

    def claims(self, now: Snapshot, wanted: Filter) -> list[Json]:
        """References that a body named, and of which the owner has said nothing yet."""
        found = []
        for ref, case, body, issuer, on in now.waiting_claims(wanted.body or None, limit=wanted.size):
            found.append({
                "case": _text(now, self._keys, case), "ref": _text(now, self._keys, ref), "body": self._name(body),
                "issuer": self._name(issuer), "issuer_id": issuer, "on": on, "days": to_day(self._today) - on,
            })  # fmt: skip
        return found


def whole(site: Site, case: str) -> Json:
    """All of the request of a case. Raises `ProblemError` if there is none."""
    try:
        found = site.gateway.asking.journey(case, Operator())
    except ReferenceFormatError:
        found = None
    if found is None:
        raise ProblemError(Trouble.NOT_FOUND, "there is no such case")
    procedure = found["procedure"]["id"] if found["procedure"] else None
    return {
        "number": labels.number(case), "procedure": labels.procedure(site.book, procedure, site.today()),
        "cases": [
            c | {"number": labels.number(c["case"]), "state_words": labels.CASE_STATES[c["state"]],
                 "clocks": [clock | {"of": None} for clock in c["clocks"] if clock["state"] != "not-started"]}
            for c in sorted(found["cases"], key=lambda c: (c["opened_on"] is None, c["opened_on"] or c["since"]))
        ],
        "handoffs": found["handoffs"], "steps": found["steps"], "kinds": CHOICES, "handoff_states": labels.HANDOFF_STATES,
        "alerts": [a | {"words": labels.ALERTS.get(a["reason"], (a["reason"], ""))} for a in found["alerts"]],
    }  # fmt: skip


def _text(now: Snapshot, keys: Keys, key: bytes) -> str | None:
    """The text of a reference, if it is a case that shows."""
    row = now.resolve(key)
    return next((c["case"] for c in row.datum["cases"] if keys.of(c["case"]) == key), None) if row else None


def sources(site: Site) -> list[Json]:
    """The software of bodies that states heartbeats; the silent first."""
    if site.sources is None:
        return []
    found = []
    for heard, silent in site.sources.all():
        at = datetime.fromtimestamp(heard.at, ZoneInfo("Europe/Paris"))
        found.append({
            "body": labels.body(site.book, heard.body), "source": heard.source, "silent": silent,
            "on": to_day(at.date()), "at": f"{at:%H:%M}", "every": None if heard.every is None else -(-heard.every // 60),
        })  # fmt: skip
    return found


async def workers(addresses: tuple[str, ...]) -> list[Json]:
    """What each worker says of itself; one that does not answer says so."""

    async def ask(client: httpx2.AsyncClient, address: str) -> Json:
        try:
            answer = await client.get(f"{address.rstrip('/')}/readyz")
            status = answer.json()
            partitions = sorted(status["partitions"], key=lambda p: (p["stage"], p["topic"], p["partition"]))
            return {
                "address": address,
                "ready": answer.status_code == 200,
                "answers": True,
                **status,
                "partitions": partitions,
            }
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            return {"address": address, "ready": False, "answers": False, "partitions": []}

    async with httpx2.AsyncClient(timeout=2.0, trust_env=False, verify=lines.context(None, None)) as client:
        return list(await asyncio.gather(*(ask(client, address) for address in addresses)))
