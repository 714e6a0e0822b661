"""One fact that an agent is about to state: its form, what was typed, and the message that it makes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from connectors.gateway.codes import ALPHABET
from connectors.gateway.inbox import ACTIONS
from connectors.gateway.problems import ProblemError, Trouble
from connectors.pages import facts, labels
from connectors.pages.desk import own_journey
from connectors.pages.forms import Input, Options, Said, data_of, inputs
from connectors.pages.site import Site
from schemas.cloudevents import PREFIX
from streams.engine.counting import to_day

Json = dict[str, Any]
_ACTION = {f"handoff.{state}": action for action, state in ACTIONS.items()}
SOURCE = "page"
"""Name of the system that the pages of agents are, within the body."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """A fact of one kind, on a case, on an item of the inbox, or on an alert."""

    type_: str
    body: str
    case: str = ""
    """The case that it is about; empty for one that it opens, or for an item."""
    handoff: str = ""
    alert: str = ""
    fields: list[Input] = field(default_factory=list)
    initial: Said = field(default_factory=dict)
    heading: str = ""
    """What it is about, for people."""

    @property
    def title(self) -> str:
        """What is done."""
        return facts.TITLES[self.type_]


def draft(site: Site, body: str, query: Mapping[str, str]) -> Draft:
    """The draft that an address asks for. Raises `ProblemError` if it is not the body's to state."""
    made = Draft(
        type_=query.get("fait", ""), body=body, case=query.get("dossier", ""), handoff=query.get("passage", ""),
        alert=query.get("alerte", ""),
    )  # fmt: skip
    if made.type_ not in facts.TITLES:
        raise ProblemError(Trouble.NOT_FOUND, "there is no such form")
    known: dict[str, Options] = {}
    made.initial = {"occurred_on": site.today(body).isoformat()}
    if made.type_ in _ACTION:
        item = site.gateway.inbox.shown(body, made.handoff)
        made.heading = f"{item['from']['name']} – {labels.procedure(site.book, item['procedure'], site.today(body))}"
        known["redirect_to"] = _bodies(site, body)
        made.fields = [f for f in inputs(made.type_, known) if f.name != "handoff"]
        if not item["to_case"]:
            made.fields.append(_extra("case"))
    elif made.type_ == "case.opened":
        _open(site, made)
    else:
        _on_case(site, made, known, query)
    return made


def _open(site: Site, made: Draft) -> None:
    today = site.today(made.body)
    procedures = [(j.procedure, j.title.fr) for j in site.book.procedures(to_day(today))]
    known: dict[str, Options] = {"procedure": sorted(procedures, key=lambda p: p[1])}
    made.initial |= {"number": _number(today), "channel": "counter"}
    if (place := site.book.body(made.body)) is not None and place.kind == "commune" and place.insee:
        made.initial["place"] = place.insee
    extra = [_extra("procedure", known["procedure"], required=True), _extra("number", required=True)]
    made.fields = [*extra, *inputs(made.type_, known), _extra("known"), _extra("code")]


def _on_case(site: Site, made: Draft, known: dict[str, Options], query: Mapping[str, str]) -> None:
    both = own_journey(site, made.body, made.case)
    if both is None:
        raise ProblemError(Trouble.NOT_FOUND, "the body has no such case")
    journey, own = both
    made.heading = (
        f"{labels.number(made.case)} – {labels.procedure(site.book, own['procedure'], site.today(made.body))}"
    )
    known |= {"to": _bodies(site, made.body), "step": _steps(site, own)}
    if made.type_ == "handoff.cancelled":
        known["handoff"] = [
            (record["handoff"], f"à {h['to']['name']}, du {h['sent_on']}")
            for h in journey["handoffs"]
            if (record := h["record"]) is not None and record["from"]["id"] == made.body and not record["ended_on"]
        ]
    if made.type_ == "correction.retracted":
        known["fact"] = _own_facts(site, made)
    hidden = {"alert.acknowledged": {"alert"}, "handoff.sent": {"handoff"}}.get(made.type_, set())
    made.fields = [f for f in inputs(made.type_, known) if f.name not in hidden]
    if made.type_ == "handoff.sent":
        made.handoff = f"handoff:{made.body}:{secrets.token_hex(16)}"
    made.initial |= {f.name: query[f.name][:200] for f in made.fields if f.name == "references" and f.name in query}


def _extra(name: str, options: Options = (), required: bool = False) -> Input:
    label, hint = facts.FIELDS[name]
    return Input(
        name=name, label=label, hint=hint, options=options, required=required, kind="choice" if options else "text"
    )


def _bodies(site: Site, own: str) -> Options:
    return sorted(((b.id, b.name) for b in site.book.directory if b.id != own), key=lambda p: p[1])


def _steps(site: Site, own: Json) -> Options:
    day = to_day(date.fromisoformat(own["opened_on"] or own["since"]))
    return [(s.id, s.title.fr) for s in site.book.rules(own["procedure"] or "", day).journey.steps]


def _own_facts(site: Site, made: Draft) -> Options:
    """Facts that were stated on this case by these pages: a source takes back its own alone."""
    with site.model.snapshot() as now:
        kept = [site.events.decode(copy["value"]) for copy in now.facts_of([site.keys.of(made.case)])]
    source = f"{made.body}/{SOURCE}"
    mine = [(d["header"], s.name) for s, d in kept if d["header"]["source"] == source]
    return [
        (
            header["id"],
            f"{facts.TITLES.get(name, name)}, {date.fromordinal(header['occurred_on'] + 719_163).isoformat()}",
        )
        for header, name in sorted(mine, key=lambda pair: (pair[0]["occurred_on"], pair[0]["id"]))
    ]


def _number(today: date) -> str:
    return f"{today.year}-" + "".join(secrets.choice(ALPHABET) for _ in range(6))


def message(site: Site, made: Draft, said: Said, journey: str | None = None) -> Json:
    """The CloudEvent of what was typed. Raises `ProblemError`."""
    data = data_of(made.type_, said)
    if made.type_ in _ACTION:
        number = said.get("case", "").strip()
        extra = {"case": number if number.startswith("case:") else f"case:{made.body}/{number}"} if number else {}
        event = site.gateway.inbox.event(
            made.body, made.handoff, _ACTION[made.type_], data | extra | {"id": said["id"], "source": _source(made)}
        )
        if event is None:
            raise ProblemError(Trouble.CONFLICT, "the item is in that state already")
        return event
    case = made.case
    if made.type_ == "case.opened":
        case = f"case:{made.body}/{said.get('number', '').strip()}"
        data |= {"procedure": said.get("procedure", "")} | ({"references": [journey]} if journey else {})
    elif made.type_ == "handoff.sent":
        data["handoff"] = said.get("_handoff", "")
    elif made.type_ == "alert.acknowledged":
        data["alert"] = made.alert
    return {
        "specversion": "1.0", "id": said["id"], "source": _source(made), "type": f"{PREFIX}{made.type_}", "subject": case,
        "data": data,
    }  # fmt: skip


def _source(made: Draft) -> str:
    return f"{made.body}/{SOURCE}"
