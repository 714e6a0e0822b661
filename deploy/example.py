"""The living example: what the bodies of the example territory state, as CloudEvents.

A first act lies in the past, so that there is something to see at once: a building permit handed over that goes on, one that
nobody took over and that raises its alert, one that has reached the préfecture. Then requests come in one by one. Every event has
an id of its own that does not change, so that telling it again is the same fact.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

from schemas.cloudevents import PREFIX

TOWN, EPCI, DEPARTMENT, PREFECTURE = "viriat", "grand-bourg", "departement-ain", "prefecture-ain"
NEIGHBOUR, ARCHITECT, WELFARE = "peronnas", "udap-01", "ccas-bourg-en-bresse"
BODIES = (TOWN, EPCI, DEPARTMENT, PREFECTURE, NEIGHBOUR, ARCHITECT, WELFARE, "bourg-en-bresse")
"""Bodies that get a token; all but the last speak in the example."""
PERMIT = "urbanisme.pc-maison"

ONGOING = "case:viriat/PC-001451-26-00014"
"""The permit that is handed over and goes on."""
STALLED = "case:viriat/PC-001451-26-00009"
"""The permit that the addressee never took over."""
GRANTED = "case:viriat/PC-001451-26-00002"
"""The permit that was granted and sent to the préfecture."""

REPORT, WORKS, HELP = "voirie.signalement", "urbanisme.declaration-prealable", "social.apa-domicile"
SLOT_S = 30
"""Seconds between two requests that come in."""
LIFE = 6
"""Slots from a request to the last that is said of it."""
OLDEST = 40
"""Days from the oldest fact to the day of the first start."""


class Word(NamedTuple):
    """An event and the body that states it."""

    body: str
    event: dict[str, Any]


def handoff(body: str, name: str) -> str:
    """Reference of a handoff of the example, the same at every start."""
    return f"handoff:{body}:{blake2b(name.encode(), digest_size=16).hexdigest()}"


def _said(type_: str, case: str, name: str, on: date, **data: Any) -> Word:
    body = case.removeprefix("case:").partition("/")[0]
    event = {
        "specversion": "1.0",
        "id": name,
        "source": f"{body}/exemple",
        "type": PREFIX + type_,
        "subject": case,
        "data": {"occurred_on": on.isoformat(), **data},
    }
    return Word(body, event)


def first_act(today: date) -> list[Word]:
    """What has happened before `today`, in its order."""

    def ago(days: int) -> date:
        return today - timedelta(days)

    examined, road = "case:grand-bourg/ADS-2026-0311", "case:departement-ain/DR-2026-118"
    to_epci, to_road = handoff(TOWN, "14 instruction"), handoff(EPCI, "14 route")
    stalled, sent = handoff(TOWN, "9 instruction"), handoff(TOWN, "2 transmission")
    return [
        _said("case.opened", GRANTED, "depot", ago(OLDEST), procedure=PERMIT, channel="counter", complete=True),
        _said("case.acknowledged", GRANTED, "recepisse", ago(OLDEST), kind="receipt", complete=True),
        _said("case.step-completed", GRANTED, "affichage", ago(OLDEST - 1), step="notice"),
        _said("case.decided", GRANTED, "decision", ago(16), outcome="granted", signed_on=ago(16).isoformat()),
        _said("case.notified", GRANTED, "notification", ago(14), means="electronic"),
        _said("handoff.sent", GRANTED, "transmission", ago(13), handoff=sent, to=PREFECTURE, kind="transmission"),
        _said("handoff.received", "case:prefecture-ain/CL-2026-0447", "reception", ago(12), handoff=sent, procedure=PERMIT),
        _said("case.opened", STALLED, "depot", ago(12), procedure=PERMIT, channel="post", complete=True),
        _said("case.acknowledged", STALLED, "recepisse", ago(12), kind="receipt", complete=True),
        _said("case.step-completed", STALLED, "affichage", ago(11), step="notice"),
        _said("handoff.sent", STALLED, "transmission", ago(9), handoff=stalled, to=EPCI, kind="transfer"),
        _said("case.opened", ONGOING, "depot", ago(20), procedure=PERMIT, channel="electronic", complete=True),
        _said("case.acknowledged", ONGOING, "recepisse", ago(20), kind="receipt", complete=True),
        _said("case.step-completed", ONGOING, "affichage", ago(19), step="notice"),
        _said("handoff.sent", ONGOING, "transmission", ago(19), handoff=to_epci, to=EPCI, kind="transfer"),
        _said("handoff.received", examined, "reception", ago(18), handoff=to_epci, procedure=PERMIT),
        _said("handoff.accepted", examined, "prise-en-charge", ago(17), handoff=to_epci),
        _said("case.step-started", examined, "instruction", ago(17), step="examination"),
        _said("handoff.sent", examined, "consultation", ago(14), handoff=to_road, to=DEPARTMENT, kind="consultation"),
        _said("handoff.received", road, "reception", ago(13), handoff=to_road, procedure=PERMIT),
        _said("handoff.accepted", road, "prise-en-charge", ago(12), handoff=to_road),
        _said("handoff.completed", road, "avis", ago(5), handoff=to_road, result="favourable_with_conditions"),
    ]  # fmt: skip


def arrival(slot: int, since: int, until: int, today: date) -> list[Word]:
    """What is said in a slot of time: a request that comes in, and what becomes of those before it; of slots since, until alone."""
    ages = range(LIFE + 1)
    return [word for age in ages if since <= slot - age < until for word in _request(slot - age, age, today)]


def _request(slot: int, age: int, today: date) -> Iterable[Word]:
    """One request, so many slots after it came. Some are taken over, some wait, some are sent back."""
    r = random.Random(slot)  # noqa: S311 - an example, the same at every start
    tell = r.choice((_report, _report, _works, _help))
    return tell(slot, age, today, r)


def _report(slot: int, age: int, today: date, r: random.Random) -> Iterable[Word]:
    """A hole in the road: whose road is it?"""
    to = r.choice((DEPARTMENT, EPCI))
    fate = r.choice(("done", "done", "waits", "refused"))
    case, taken, link = f"case:{TOWN}/SIG-{slot}", f"case:{to}/V-{slot}", handoff(TOWN, f"signalement {slot}")
    if age == 0:
        yield _said(
            "case.opened", case, "signalement", today, procedure=REPORT, channel=r.choice(("phone", "electronic"))
        )
    elif age == 1:
        yield _said("handoff.sent", case, "transmission", today, handoff=link, to=to, kind="transfer", reason="voirie")
    elif age == 2 and fate != "waits":
        yield _said("handoff.received", taken, "reception", today, handoff=link, procedure=REPORT)
    elif age == 3 and fate == "refused":
        yield _said("handoff.refused", taken, "refus", today, handoff=link, reason="not_competent")
    elif age == 3 and fate == "done":
        yield _said("handoff.accepted", taken, "prise-en-charge", today, handoff=link)
    elif age == LIFE and fate == "done":
        yield _said("handoff.completed", taken, "fait", today, handoff=link, result="done")


def _works(slot: int, age: int, today: date, r: random.Random) -> Iterable[Word]:
    """Works near a monument: examined by the agglomeration, which asks the heritage architect."""
    answered = r.choice((True, False))
    case, taken, asked = f"case:{NEIGHBOUR}/DP-{slot}", f"case:{EPCI}/DP-{slot}", f"case:{ARCHITECT}/A-{slot}"
    link, opinion = handoff(NEIGHBOUR, f"declaration {slot}"), handoff(EPCI, f"avis {slot}")
    if age == 0:
        yield _said("case.opened", case, "depot", today, procedure=WORKS, channel="counter")
        yield _said("case.acknowledged", case, "recepisse", today, kind="receipt")
    elif age == 1:
        yield _said("handoff.sent", case, "transmission", today, handoff=link, to=EPCI, kind="transfer")
    elif age == 2:
        yield _said("handoff.accepted", taken, "prise-en-charge", today, handoff=link, procedure=WORKS)
    elif age == 3:
        yield _said(
            "handoff.sent", taken, "avis", today, handoff=opinion, to=ARCHITECT, kind="consultation", step="abf"
        )
    elif age == LIFE and answered:
        yield _said("handoff.received", asked, "reception", today, handoff=opinion, procedure=WORKS)
        yield _said("handoff.completed", asked, "avis", today, handoff=opinion, result="favourable")


def _help(slot: int, age: int, today: date, r: random.Random) -> Iterable[Word]:
    """Help at home for somebody old: filed with the welfare office, decided by the département, which may lack a document."""
    lacks = r.choice((True, False))
    case, taken = f"case:{WELFARE}/APA-{slot}", f"case:{DEPARTMENT}/APA-{slot}"
    link, piece = handoff(WELFARE, f"apa {slot}"), ["dernier avis d'imposition"]
    if age == 0:
        yield _said("case.opened", case, "depot", today, procedure=HELP, channel="counter")
    elif age == 1:
        yield _said("handoff.sent", case, "transmission", today, handoff=link, to=DEPARTMENT, kind="transfer")
    elif age == 2:
        yield _said("handoff.accepted", taken, "prise-en-charge", today, handoff=link, procedure=HELP)
        yield _said("case.opened", taken, "ouverture", today, procedure=HELP)
    elif age == 3 and lacks:
        due = (today + timedelta(30)).isoformat()
        yield _said("case.pieces-requested", taken, "pieces", today, pieces=piece, due_on=due)
    elif age == 3:
        yield _said("case.acknowledged", taken, "complet", today, kind="receipt", complete=True)
