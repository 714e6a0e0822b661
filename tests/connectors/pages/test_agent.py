"""The pages of an agent: work by legal date, every kind of fact as a form, what it would change told before it is sent."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from enum import Enum

import httpx2
import pytest

from connectors.gateway.access import Member, Register
from connectors.gateway.access import changing as policies
from connectors.pages import facts
from connectors.pages.accounts import Role
from connectors.pages.forms import inputs
from schemas.models import MODELS
from schemas.models import case as case_models
from schemas.models import handoff as handoff_models
from schemas.problems import ProblemCode
from schemas.types import ABOUT_A_BODY
from streams.engine.words import day_in_words
from tests.connectors.pages.place import AIN, APA, AUTONOMY, CCAS, GBA, HANDOFF, PASSWORD, TODAY, VIRIAT, Place, before
from tests.connectors.pages.test_citizen import text, title

Values = dict[str, str]


class Desk:
    """Somebody who works for the département."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def enter(self, name: str = "agnes") -> httpx2.Response:
        return await self.http.post("/entrer", data={"name": name, "password": PASSWORD})

    async def get(self, path: str, **query: str) -> httpx2.Response:
        return await self.http.get(path, params=query or None)

    def hidden(self, page: httpx2.Response) -> Values:
        """What a form brings back by itself: the last form of the page that has an id."""
        inside = page.text[page.text.index("<main") :]
        found = re.findall(r'<input[^>]*? name="([^"]+)"[^>]*? value="([^"]*)"', inside)
        found += re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', inside)
        return {name: html.unescape(value) for name, value in found}

    async def fill(self, query: Values, said: Values, step: str = "verifier") -> httpx2.Response:
        """Open a form, fill it in, and see what it would change."""
        page = await self.get("/agent/fait", **query)
        assert page.status_code == 200, text(page)
        return await self.http.post("/agent/fait", params=query, data=self.hidden(page) | said | {"etape": step})

    async def confirm(self, page: httpx2.Response, query: Values, step: str = "envoyer") -> httpx2.Response:
        """Send what was checked."""
        assert page.status_code == 200, text(page)
        return await self.http.post("/agent/fait", params=query, data=self.hidden(page) | {"etape": step})

    async def state(self, query: Values, said: Values) -> httpx2.Response:
        return await self.confirm(await self.fill(query, said), query)


def words(days: int) -> str:
    """A day so many days from now, in words."""
    return day_in_words(TODAY.toordinal() - 719_163 + days, "fr")


@pytest.fixture
async def agent(place: Place, http: httpx2.AsyncClient) -> AsyncIterator[Desk]:
    place.account("agnes", AIN)
    desk = Desk(http)
    assert (await desk.enter()).url.path == "/agent"
    yield desk


async def test_what_a_fact_would_change_is_told_before_it_is_sent(place: Place, agent: Desk) -> None:
    place.apa("asked")
    query = {"fait": "case.acknowledged", "dossier": AUTONOMY}
    page = await agent.fill(query, {"kind": "receipt", "complete": "yes"})
    said = text(page)
    assert f"Délai : Décision sur l'APA Aujourd'hui n'est pas parti Ensuite Part le {words(0)}." in said
    assert "l'aide est accordée pour un montant forfaitaire" in said
    assert "2 mois à compter du" in said
    assert len(place.bus.log) == 5
    back = await agent.confirm(page, query, "corriger")
    assert 'value="receipt" selected' in back.text
    page = await agent.http.post(
        "/agent/fait",
        params=query,
        data=agent.hidden(back) | {"kind": "receipt", "complete": "yes", "etape": "verifier"},
    )
    done = await agent.confirm(page, query)
    assert done.url.path == "/agent/dossier"
    assert "C'est enregistré." in text(done)
    twice = await agent.confirm(page, query)
    assert twice.url.path == "/agent/dossier"
    datum = place.site.events.decode(place.bus.log[-1].value or b"")[1]
    assert datum["header"] | {"source": f"{AIN}/page", "attested_by": "gateway"} == datum["header"]
    first, second = (r.value for r in place.bus.log[-2:])
    assert first == second  # sent twice, it is the same fact
    assert "Décision sur l'APA" in text(twice)


async def test_work_by_legal_date_and_one_case(place: Place, agent: Desk) -> None:
    place.apa("visit")
    place.state("case.opened", f"case:{AIN}/OLD", 300, procedure="social.apa-domicile")
    page = await agent.get("/agent")
    said = text(page)
    assert said.index("OLD") < said.index("APA-2027-01933")
    assert "dépassé de" in said
    assert "Aucun dossier" in text(await agent.get("/agent", etat="closed"))
    case = text(await agent.get("/agent/dossier", dossier=AUTONOMY))
    assert "Repris de CCAS de Bourg-en-Bresse 2027-0033" in case
    for other in (APA, "case:viriat/none", "nonsense", HANDOFF, ""):
        assert (await agent.get("/agent/dossier", dossier=other)).status_code == 404


async def test_an_item_from_received_to_done(place: Place, agent: Desk) -> None:
    place.apa("sent")
    listed = await agent.get("/agent/recus")
    assert title(listed).startswith("Reçus (1 à lire)")
    item = await agent.get("/agent/recu", passage=HANDOFF)
    assert "Prendre connaissance" in item.text
    seen = await agent.fill({"fait": "handoff.received", "passage": HANDOFF}, {})
    assert "Passage de CCAS de Bourg-en-Bresse à Département de l'Ain" in text(seen)
    assert "Aujourd'hui envoyé, pas lu" in text(seen)
    taken = await agent.state({"fait": "handoff.accepted", "passage": HANDOFF}, {"case": "APA-7"})
    assert taken.url.path == "/agent/recu"
    assert "Pris en charge" in text(taken)
    assert "Voir votre dossier" in taken.text
    wrong = await agent.fill({"fait": "handoff.returned", "passage": HANDOFF}, {})
    assert (wrong.status_code, "Motif : Remplissez ce champ." in text(wrong)) == (422, True)
    await agent.state({"fait": "handoff.completed", "passage": HANDOFF}, {"result": "favourable"})
    assert "Résultat favorable" in text(await agent.get("/agent/recu", passage=HANDOFF))
    late = await agent.fill({"fait": "handoff.accepted", "passage": HANDOFF}, {})
    assert late.status_code == 409
    assert (await agent.get("/agent/recu", passage=f"handoff:{CCAS}:" + "0" * 32)).status_code == 404


async def test_a_case_opened_at_the_counter_gives_reference_and_code(place: Place, agent: Desk) -> None:
    query = {"fait": "case.opened"}
    page = await agent.fill(query, {"procedure": "social.apa-domicile", "number": "G-1", "channel": "counter"})
    ticket = await agent.confirm(page, query)
    found = re.findall(r'class="code">([^<]+)<', ticket.text[ticket.text.index("ticket") :])
    assert found[0] == f"{AIN}/G-1"
    assert re.fullmatch(r"([0-9A-Z]{4}-){2}[0-9A-Z]{4}", found[1])
    assert (await agent.confirm(page, query)).text == ticket.text
    person = await agent.http.post("/suivi", data={"reference": found[0], "code": found[1]})
    assert person.url.path == "/suivi/demande"
    taken = await agent.fill(query, {"procedure": "social.apa-domicile", "number": "G-1"})
    assert "Numéro du dossier chez vous : Ce numéro est déjà pris." in text(taken)
    wrong = await agent.fill(query, {"procedure": "social.apa-domicile", "number": "a b"})
    assert wrong.status_code == 422


async def test_a_person_who_brings_reference_and_code_is_joined(place: Place, agent: Desk) -> None:
    code = place.apa("filed")
    query = {"fait": "case.opened"}
    said = {"procedure": "social.apa-domicile", "number": "J-1", "known": f"{CCAS}/2027-0033"}
    wrong = await agent.fill(query, said | {"code": "AAAA"})
    assert "La référence et le code ne vont pas ensemble." in text(wrong)
    page = await agent.fill(query, said | {"code": code})
    assert code not in text(page)
    assert "journey:" not in page.text
    await agent.confirm(page, query)
    assert "CCAS de Bourg-en-Bresse : en cours" in text(await agent.get("/agent/dossier", dossier=f"case:{AIN}/J-1"))


async def test_sending_cancelling_retracting_and_looking_after_an_alert(place: Place, agent: Desk) -> None:
    place.apa("visit")
    sent = await agent.state({"fait": "handoff.sent", "dossier": AUTONOMY}, {"to": GBA, "kind": "execution"})
    assert "Grand Bourg Agglomération" in text(sent)
    form = await agent.get("/agent/fait", fait="handoff.cancelled", dossier=AUTONOMY)
    (handoff,) = re.findall(rf'value="(handoff:{AIN}:[0-9a-f]{{32}})"', form.text)
    cancelled = await agent.state({"fait": "handoff.cancelled", "dossier": AUTONOMY}, {"handoff": handoff})
    assert "annulé" in text(cancelled)
    await agent.state({"fait": "case.suspended", "dossier": AUTONOMY}, {"cause": "enquête"})
    form = await agent.get("/agent/fait", fait="correction.retracted", dossier=AUTONOMY)
    (fact,) = re.findall(r'value="([0-9a-f]{32})">Suspendre le délai', form.text)
    back = await agent.fill({"fait": "correction.retracted", "dossier": AUTONOMY}, {"fact": fact})
    assert "État du dossier Aujourd'hui suspendu Ensuite à l'étude" in text(back)
    place.ring(400)
    case = await agent.get("/agent/dossier", dossier=AUTONOMY)
    alert = re.findall(r"alerte=([0-9a-f]{32})", case.text)[0]
    query = {"fait": "alert.acknowledged", "dossier": AUTONOMY, "alerte": alert}
    done = await agent.state(query, {"until": before(-5)})
    assert "Prise en charge le" in text(done)


async def test_the_owner_confirms_a_link(place: Place, agent: Desk) -> None:
    place.apa("visit")
    place.state("case.opened", "case:peronnas/X-1", 5, references=[AUTONOMY])
    page = await agent.get("/agent/liens")
    assert "Mairie de Péronnas case:peronnas/X-1 case:departement-ain/APA-2027-01933" in text(page)
    query = {"fait": "correction.linked", "dossier": AUTONOMY, "references": "case:peronnas/X-1"}
    assert "case:peronnas/X-1</textarea>" in (await agent.get("/agent/fait", **query)).text
    done = await agent.state(query, {"references": "case:peronnas/X-1"})
    assert "Mairie de Péronnas : en cours" in text(done)
    assert "Aucun lien" in text(await agent.get("/agent/liens"))


@pytest.mark.parametrize("type_", [t for t in facts.TITLES if not t.startswith("handoff.") or t in ("handoff.sent",)])
async def test_every_kind_of_fact_has_a_form_that_refuses_nonsense(place: Place, agent: Desk, type_: str) -> None:
    place.apa("asked")
    query = {"fait": type_, "dossier": AUTONOMY, "alerte": "0" * 32}
    hostile = '<script>alert("1")</script>'
    said = {"occurred_on": hostile} | {i.name: hostile for i in inputs(type_, {}) if i.name != "occurred_on"}
    answer = await agent.fill(query, said)
    assert answer.status_code == 422
    assert "Date : Ce n'est pas la forme attendue." in text(answer)
    assert "<script" not in answer.text


def test_no_kind_and_no_word_is_missing() -> None:
    assert set(facts.TITLES) == set(MODELS) - {t.value for t in ABOUT_A_BODY}
    for type_ in facts.TITLES:
        assert inputs(type_, {})[0].name == "occurred_on"
    for module in (case_models, handoff_models):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Enum) and kind is not Enum:
                assert {member.value for member in kind if str(member.value) not in facts.CHOICES} == set()
    assert set(facts.FLAWS) - {c.value for c in ProblemCode} == {"unknown-body", "not-allowed"}


async def test_a_reader_sees_and_states_nothing(place: Place, http: httpx2.AsyncClient) -> None:
    place.apa("asked")
    place.account("denis", AIN, role=Role.READER)
    desk = Desk(http)
    await desk.enter("denis")
    case = await desk.get("/agent/dossier", dossier=AUTONOMY)
    assert "Ce que vous pouvez faire" not in text(case)
    query = {"fait": "case.closed", "dossier": AUTONOMY}
    assert (await desk.get("/agent/fait", **query)).status_code == 403
    csrf = re.findall(r'name="_csrf" value="([^"]+)"', case.text)[0]
    answer = await http.post("/agent/fait", params=query, data={"_csrf": csrf, "id": "1", "etape": "envoyer"})
    assert answer.status_code == 403


async def test_a_policy_binds_the_page_too(place: Place, agent: Desk) -> None:
    place.apa("asked")
    with policies(place.site.bodies_file) as held:
        held[0] = Register(bodies={AIN: Member(types=("handoff.*",))})
    answer = await agent.fill({"fait": "case.closed", "dossier": AUTONOMY}, {"reason": "done"})
    assert (answer.status_code, "pas habilité" in text(answer)) == (422, True)


async def test_nobody_acts_without_a_session_of_theirs(place: Place, agent: Desk) -> None:
    place.apa("asked")
    query = {"fait": "case.closed", "dossier": AUTONOMY}
    for form in ({}, {"_csrf": "x"}):
        answer = await agent.http.post("/agent/fait", params=query, data={"etape": "envoyer", "reason": "done"} | form)
        assert answer.status_code == 403
    assert (await agent.get("/agent/fait", fait="case.closed", dossier=APA)).status_code == 404
    assert (await agent.get("/agent/fait", fait="body.connected", dossier=AUTONOMY)).status_code == 404
    agent.http.cookies.clear()
    for path in ("", "/recus", "/recu", "/dossier", "/liens", "/fait"):
        assert (await agent.get(f"/agent{path}")).url.path == "/entrer"
    assert (await agent.http.post("/agent/fait", params=query, data={"_csrf": "x"})).status_code == 401


async def test_somebody_who_works_for_two_bodies_chooses(place: Place, http: httpx2.AsyncClient) -> None:
    place.account("denis", GBA, VIRIAT)
    desk = Desk(http)
    page = await desk.enter("denis")
    assert title(page) == "Mes dossiers – Grand Bourg Agglomération"
    csrf = re.findall(r'name="_csrf" value="([^"]+)"', page.text)[0]
    page = await http.post("/changer", data={"_csrf": csrf, "body": VIRIAT})
    assert title(page) == "Mes dossiers – Mairie de Viriat"
    csrf = re.findall(r'name="_csrf" value="([^"]+)"', page.text)[0]
    assert (await http.post("/changer", data={"_csrf": csrf, "body": AIN})).status_code == 403
