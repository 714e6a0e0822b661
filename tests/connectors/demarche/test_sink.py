"""Where a journey stands, written into an annotation of a platform of our own: once, for our dossiers alone, with clear refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.responses import Response

from connectors.demarche.sink import Annotation, AnnotationConfig
from connectors.kit.contract import ConfigError, Item, Reject, Sent, Unavailable
from tests.connectors.demarche.platform import ANNOTATION, INSTRUCTEUR, READ_ONLY, TOKEN, Platform
from tests.support.serving import LOOPBACK

Make = Callable[..., Annotation]
HANDOFF = {
    "from": "viriat", "to": "gba", "kind": "consultation", "step": None, "state": "sent", "visibility": "everyone",
    "sent_on": "2026-03-01", "since": "2026-03-01", "due_on": "2026-04-01",
}  # fmt: skip


def status(*cases: str, gone: bool = False) -> Item:
    told: list[dict[str, Any]] = [
        {"body": c.partition("/")[0], "state": "open", "neutral": False, "case": f"case:{c}"} for c in cases
    ]
    told.append({"body": "prefecture-01", "state": "in_progress", "neutral": True})
    return Item("i", "status", "k", {} if gone else {"cases": told, "handoffs": [HANDOFF]}, gone=gone)


@pytest.fixture
def platform(platform: Platform) -> Platform:
    """The platform with two dossiers."""
    for number in (345, 346):
        platform.deposit(number, 1_772_000_000)
    return platform


@pytest.fixture
async def sink(platform: Platform) -> AsyncIterator[Make]:
    """Make sinks; they are closed afterwards."""
    made: list[Annotation] = []

    def make(**more: Any) -> Annotation:
        fields = {"url": platform.url, "token": TOKEN, "demarche": 12, "body": "viriat", "annotation": ANNOTATION}
        fields |= {"instructeur": INSTRUCTEUR, "names": {"gba": "Grand Bourg"}, "outgoing": LOOPBACK}
        made.append(Annotation(AnnotationConfig.model_validate(fields | more)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_written_once_into_our_dossiers_alone(platform: Platform, sink: Make) -> None:
    one = sink()
    assert (await one.check()).ok
    handoff = Item("h", "handoff", "k", {"state": "sent"})
    assert (
        await one.send([status("viriat/345", "gba/346"), handoff, status(gone=True), status("viriat/A-7")])
        == [Sent()] * 4
    )
    assert platform.rows[345].annotations[ANNOTATION].splitlines() == [
        "Suivi du parcours par relais",
        "- Demande d'avis de viriat à Grand Bourg : envoyé, pas lu depuis le 01/03/2026, attendu le 01/04/2026",
        "- Grand Bourg : dossier à l'étude",
        "- prefecture-01 : dossier en cours",
    ]
    assert platform.rows[346].annotations == {}
    written = sum("mutation" in question for question in platform.questions)
    assert await one.send([status("viriat/345", "gba/346")]) == [Sent()]
    assert sum("mutation" in question for question in platform.questions) == written == 1


async def test_what_cannot_be_written_says_why(platform: Platform, sink: Make) -> None:
    for fields in ({"instructeur": "x"}, {"annotation": "y"}):
        (outcome,) = await sink(**fields).send([status("viriat/345")])
        assert isinstance(outcome, Reject)
        assert "instructeur" in outcome.mend
    assert isinstance((await sink().send([status("viriat/999")]))[0], Reject)
    with pytest.raises(ConfigError, match="token"):
        await sink(token=READ_ONLY).send([status("viriat/345")])
    assert not (await sink(demarche=99).check()).ok
    platform.failures = [Response(status_code=503)]
    with pytest.raises(Unavailable):
        await sink().send([status("viriat/345")])
