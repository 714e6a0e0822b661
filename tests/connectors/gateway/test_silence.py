"""What silence has done, as the gateway answers it: its date, whether it was learnt late, what follows, what can be invoked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from connectors.gateway import openapi
from connectors.gateway.asking import Asking
from connectors.gateway.bus import Order
from connectors.status.model import ReadModel
from schemas.codec import events
from streams.engine.counting import midnight, to_day
from streams.engine.visibility import BodyViewer, Person
from tests.support.facts import KEYS, event
from tests.support.loop import Town

PERMIT, GRANT = "case:viriat/PC-1", "case:viriat/S-1"
MAIRIE = BodyViewer("viriat")


def on(text: str) -> int:
    return to_day(date.fromisoformat(text))


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.database.close()


async def asked(town: Town, reference: str, today: str, *facts: bytes, viewer: Any = MAIRIE) -> dict[str, Any]:
    """The first file of a journey as it is answered on a day, after some facts."""
    await town.bus.write([Order("case-events", 0, b"", fact) for fact in facts])
    noon = midnight(on(today), "Europe/Paris") + 12 * 3_600_000
    model = ReadModel(town.database)
    answer = Asking(model, KEYS, events(), town.book, now=lambda: noon).journey(reference, viewer)
    assert answer is not None
    case: dict[str, Any] = answer["cases"][0]
    return case


def clock(case: dict[str, Any], rule: str) -> dict[str, Any]:
    (found,) = [c for c in case["clocks"] if c["rule"] == rule]
    return dict(found)


def opened(subject: str, day: str, procedure: str, **payload: Any) -> bytes:
    return event("case.opened", subject, on(day), 1, procedure=procedure, **payload)


async def test_a_tacit_permit_is_dated_the_day_after_and_may_be_withdrawn_for_three_months(town: Town) -> None:
    """C. urb. R*424-1 and L424-5; domain.md 2.7: deposit 2 March 2026, the permit arises on 3 May."""
    filed = opened(PERMIT, "2026-03-02", "urbanisme.pc-maison", channel="counter")
    before = await asked(town, PERMIT, "2026-05-02", filed)
    assert clock(before, "decision")["silence"] is None
    assert before["opposability"] is None
    after = await asked(town, PERMIT, "2026-05-03")
    silence = clock(after, "decision")["silence"]
    assert (silence["effect"], silence["on"], silence["withdrawable_until"]) == ("granted", "2026-05-03", "2026-08-03")
    assert silence["observed_late"] is True  # the test states the deposit after the fact
    assert silence["words"]["en"] == (
        "Silence took effect on Sunday 3 May 2026: the request is granted. This was only learnt after that day."
    )
    assert "illégal" in silence["to_do"]["fr"]
    withdrawal = clock(after, "withdrawal")
    assert (withdrawal["follows"], withdrawal["due_on"]) == ("decision", "2026-08-03")
    assert withdrawal["derivation"]
    assert after["opposability"] is None  # nothing to contest
    person = await asked(town, PERMIT, "2026-05-03", viewer=Person())
    assert clock(person, "decision")["silence"] == silence


async def test_an_implied_refusal_cannot_be_invoked_without_acknowledgement(town: Town) -> None:
    """CRPA L231-4, L112-6, L112-12."""
    filed = opened(GRANT, "2026-03-02", "association.subvention", channel="electronic")
    case = await asked(town, GRANT, "2026-05-20", filed)
    silence = clock(case, "decision")["silence"]
    assert (silence["effect"], silence["on"], silence["withdrawable_until"]) == ("refused", "2026-05-02", None)
    found = case["opposability"]
    assert (found["can_be_invoked"], found["why"]) == (False, "not-acknowledged")
    assert found["articles"] == ["CRPA L112-12"]
    assert found["words"]["fr"].startswith("Le délai de recours ne peut pas être opposé")
    assert (clock(case, "appeal")["follows"], clock(case, "appeal")["due_on"]) == ("decision", "2026-07-03")


async def test_an_express_refusal_starts_the_time_to_appeal_again(town: Town) -> None:
    """CJA R421-2: only while the time to appeal against the implied refusal runs."""
    facts = [opened(GRANT, "2026-03-02", "association.subvention", channel="post")]
    facts.append(event("case.decided", GRANT, on("2026-06-01"), 2, outcome="refused", routes_stated=True))
    facts.append(event("case.notified", GRANT, on("2026-06-03"), 3))
    case = await asked(town, GRANT, "2026-06-10", *facts)
    appeal = clock(case, "appeal")
    assert (appeal["follows"], appeal["started_on"], appeal["due_on"]) == (None, "2026-06-03", "2026-08-04")
    assert clock(case, "decision")["silence"]["on"] == "2026-05-02"
    assert case["opposability"]["can_be_invoked"] is True


async def test_a_refusal_after_that_time_only_confirms(town: Town) -> None:
    facts = [opened(GRANT, "2026-03-02", "association.subvention", channel="post")]
    facts.append(event("case.notified", GRANT, on("2026-09-01"), 3))
    appeal = clock(await asked(town, GRANT, "2026-09-10", *facts), "appeal")
    assert (appeal["follows"], appeal["due_on"]) == ("decision", "2026-07-03")


async def test_the_document_names_every_field(town: Town) -> None:
    case = await asked(town, GRANT, "2026-05-20", opened(GRANT, "2026-03-02", "association.subvention", channel="post"))
    models = openapi.document(1)["components"]["schemas"]
    decision = clock(case, "decision")
    for name, value in (
        ("Case", case), ("Clock", decision), ("Silence", decision["silence"]), ("Opposability", case["opposability"])
    ):  # fmt: skip
        assert set(value) <= set(models[name]["properties"]), name
        assert set(models[name]["required"]) <= set(value), name
