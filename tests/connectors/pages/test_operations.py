"""The pages of operators: where work stalls, alerts taken care of, dead letters put back; closed to everybody else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from connectors.gateway.bus import Order
from connectors.gateway.codes import Limiter
from connectors.pages import watching
from connectors.pages.accounts import changing
from connectors.status.sources import Heard
from connectors.status.writing import Batch
from schemas.codec import bus
from tests.connectors.pages.place import AUTONOMY, GBA, PASSWORD, VIRIAT, Place, before
from tests.connectors.pages.test_citizen import text, title
from tests.support.outputs import record

PAGES = ("", "/delais", "/alertes", "/rejets", "/liens", "/marche")


def field(answer: httpx2.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', answer.text)
    assert found is not None, name
    return found[1]


@pytest.fixture
async def operator(place: Place, http: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client of somebody who runs the bus."""
    place.account("camille", operator=True)
    answer = await http.post("/entrer", data={"name": "camille", "password": PASSWORD})
    assert answer.url.path == "/pilotage"
    yield http


def letter(**changes: Any) -> dict[str, Any]:
    return {
        "reason": "unknown-body", "detail": "add the body to the directory", "field": "source", "topic": "loop.case-events",
        "partition": 0, "offset": 7, "timestamp": 1_700_000_000_000, "key": b"k" * 16, "value": b"bytes", "digest": "ab" * 32,
        "size": 5, "headers": [{"name": "stamp", "value": b"1"}], "retriable": True,
    } | changes  # fmt: skip


def drop(place: Place, *letters: dict[str, Any]) -> None:
    records = [record(None, bus().encode("dead-letter", datum), i, at=2_000 + i) for i, datum in enumerate(letters)]
    batch = Batch("dead-letters", 0, 0, len(records), records)
    place.bus.writer.apply(place.bus.tables, [batch])


async def test_handoffs_that_stall_by_pair_and_one_by_one(place: Place, operator: httpx2.AsyncClient) -> None:
    place.stall()
    answer = await operator.get("/pilotage")
    assert title(answer).startswith("2 passages demandent quelqu'un")
    said = text(answer)
    assert "Mairie de Viriat Grand Bourg Agglomération 2 2" in said
    assert "04 00 00 00 42" in said
    assert [w for w in ("pas remis", "pas pris", "Déclaration préalable de travaux") if w not in said] == []
    one = await operator.get("/pilotage", params={"de": VIRIAT, "vers": GBA, "motif": "not-taken"})
    assert title(one).startswith("1 passage demande quelqu'un")
    assert "DP-001-451-27-00012" in one.text
    assert "PC-001-451-27-00087" not in one.text
    none = await operator.get("/pilotage?de=udap-01&page=99999999&jours=x")
    assert title(none).startswith("Aucun passage bloqué")


async def test_limits_that_end_soon(place: Place, operator: httpx2.AsyncClient) -> None:
    place.stall()
    late = await operator.get("/pilotage/delais?jours=0")
    assert title(late).startswith("4 délais dépassés")
    assert "X-1" not in late.text
    soon = await operator.get("/pilotage/delais", params={"organisme": "peronnas", "jours": "30"})
    assert "X-1" in soon.text
    assert "A-1" not in soon.text


async def test_one_request_from_end_to_end(place: Place, operator: httpx2.AsyncClient) -> None:
    place.apa()
    page = await operator.get("/pilotage/demande", params={"dossier": AUTONOMY})
    said = text(page)
    order = (
        "CCAS de Bourg-en-Bresse → Département de l'Ain",
        "CCAS de Bourg-en-Bresse 2027-0033",
        "Département de l'Ain APA-2027-01933",
    )
    assert [said.index(words) for words in order] == sorted(said.index(words) for words in order)
    assert "2 mois à compter du" in said
    assert "Visite à domicile" in said
    for other in ("case:viriat/none", "nonsense", ""):
        assert (await operator.get("/pilotage/demande", params={"dossier": other})).status_code == 404


async def test_an_alert_is_taken_care_of(place: Place, operator: httpx2.AsyncClient) -> None:
    place.stall()
    page = await operator.get("/pilotage/alertes?motif=not-delivered")
    assert title(page).startswith("1 alerte, dont 1")
    data = {"_csrf": field(page, "_csrf"), "alert": field(page, "alert"), "until": before(-20)}
    wrong = await operator.post("/pilotage/alertes/prendre", data=data | {"_csrf": "x"})
    assert wrong.status_code == 403
    assert (await operator.post("/pilotage/alertes/prendre", data=data | {"until": "soon"})).status_code == 400
    answer = await operator.post("/pilotage/alertes/prendre", data=data)
    assert "L'alerte est prise en charge." in text(answer)
    place.ring()
    again = await operator.get("/pilotage/alertes?motif=not-delivered")
    assert "dont 0 que personne" in title(again)
    assert "silence jusqu'au" in text(again)
    assert (await operator.post("/pilotage/alertes/prendre", data=data | {"alert": "00"})).status_code == 409
    datum = place.gateway.asking._reader._codec.decode(place.bus.log[-1].value or b"")[1]
    assert datum["header"]["attested_by"] == "operator"
    assert datum["header"]["source"] == f"{VIRIAT}/operations"


async def test_a_dead_letter_is_put_back_as_it_was(
    place: Place, operator: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "<script>alert(1)</script>"
    drop(place, letter(detail=hostile), letter(reason="invalid", retriable=False), letter(value=None, size=9))
    page = await operator.get("/pilotage/rejets")
    assert text(page).count("loop.case-events/0/7") == 3
    assert page.text.count("Remettre loop") == 1
    assert hostile in text(page)
    assert "<script" not in page.text
    orders: list[Order] = []

    async def write(some: list[Order]) -> None:
        orders.extend(some)

    monkeypatch.setattr(place.bus, "write", write)
    data = {"_csrf": field(page, "_csrf"), "part": "0", "place": "0"}
    answer = await operator.post("/pilotage/rejets/remettre", data=data)
    assert "remis sur le bus" in text(answer)
    assert orders == [Order("case-events", 0, b"k" * 16, b"bytes", (("stamp", b"1"),))]
    for place_ in ("1", "2", "9"):
        assert (await operator.post("/pilotage/rejets/remettre", data=data | {"place": place_})).status_code == 409
    only = await operator.get("/pilotage/rejets?motif=invalid&sujet=loop.case-events")
    assert text(only).count("loop.case-events/0/7") == 1


async def test_claims_wait_for_their_owner(place: Place, operator: httpx2.AsyncClient) -> None:
    place.stall()
    said = text(await operator.get("/pilotage/liens"))
    assert "Mairie de Péronnas case:peronnas/X-1 Mairie de Viriat case:viriat/DP-001-451-27-00012" in said
    assert "Aucun lien" in text(await operator.get(f"/pilotage/liens?organisme={GBA}"))


async def test_workers_say_how_they_are(
    place: Place, operator: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ready(_request: Request) -> JSONResponse:
        partition = {
            "stage": "correlate",
            "topic": "main.case-events",
            "partition": 3,
            "ready": True,
            "offset": 41,
            "lag": 7,
        }
        status = {"partitions": [partition], "holds_time": "case-events/3", "holds_time_s": 1.5, "ending": None}
        return JSONResponse(status)

    transport = httpx2.ASGITransport(Starlette(routes=[Route("/readyz", ready)]))
    client = httpx2.AsyncClient

    def through(**kwargs: Any) -> httpx2.AsyncClient:
        return client(transport=transport, **kwargs)

    monkeypatch.setattr(watching.httpx2, "AsyncClient", through)
    place.site.workers = ("http://one.test", "http://two.test/elsewhere")
    answer = await operator.get("/pilotage/marche")
    assert title(answer).startswith("1 sur 2 prêts")
    assert "correlate main.case-events 3 prête 41 7" in text(answer)
    assert "ne répond pas" in text(answer)
    assert "Aucun logiciel n'a encore donné de nouvelles" in text(answer)


async def test_software_of_bodies_that_is_not_heard(place: Place, operator: httpx2.AsyncClient) -> None:
    now = 1_767_225_600.0  # 2026-01-01, one in the morning in Paris
    place.hear(now, Heard("viriat", "viriat/oxalis", now - 60, 90), Heard("udap-01", "udap-01/fluid", now - 7200, 60))
    shown = text(await operator.get("/pilotage/marche"))
    assert "udap-01/fluid muet 31 décembre 2025 , 23:00 1" in shown
    assert "viriat/oxalis entendu 1er janvier 2026 , 00:59 2" in shown
    assert shown.index("udap-01/fluid") < shown.index("viriat/oxalis")


async def test_only_operators_come_in(place: Place, http: httpx2.AsyncClient) -> None:
    for path in PAGES:
        assert (await http.get(f"/pilotage{path}")).url.path == "/entrer"
    for path in ("/alertes/prendre", "/rejets/remettre"):
        assert (await http.post(f"/pilotage{path}", data={"_csrf": ""})).status_code == 401
    place.account("agnes", VIRIAT)
    await http.post("/entrer", data={"name": "agnes", "password": PASSWORD})
    for path in PAGES:
        assert (await http.get(f"/pilotage{path}")).status_code == 403


async def test_who_signs_in(place: Place, http: httpx2.AsyncClient) -> None:
    place.account("camille", operator=True)
    wrong = await http.post("/entrer", data={"name": "camille", "password": "no"})
    unknown = await http.post("/entrer", data={"name": "nobody", "password": PASSWORD})
    assert (wrong.status_code, wrong.text.replace("camille", "nobody")) == (422, unknown.text)
    inside = await http.post("/entrer?vers=//evil.test", data={"name": "camille", "password": PASSWORD})
    assert inside.url == "http://relais.test/pilotage"
    with changing(place.site.agents_file) as people:
        people["camille"] = people["camille"].model_copy(update={"password": "another"})
    assert (await http.get("/pilotage")).url.path == "/entrer"
    place.account("camille", operator=True)
    await http.post("/entrer", data={"name": "camille", "password": PASSWORD})
    page = await http.get("/pilotage")
    assert (await http.post("/sortir", data={"_csrf": field(page, "_csrf")})).url.path == "/entrer"
    assert (await http.get("/pilotage")).url.path == "/entrer"
    place.site.tries = Limiter(per_minute=1, burst=2)
    seen = {(await http.post("/entrer", data={"name": "x", "password": "y"})).status_code for _ in range(4)}
    assert seen == {422, 429}
