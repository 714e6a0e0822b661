"""The page of a person: what it says in each situation, and that it opens to nobody else."""

from __future__ import annotations

import html
import re
from datetime import date
from typing import Any

import httpx2
import pytest

from connectors.pages.sealing import Seal
from connectors.pages.telling import subject, to_subject
from streams.engine.counting import to_day
from streams.engine.visibility import BodyViewer
from streams.engine.words import day_in_words
from tests.connectors.pages.place import AIN, APA, AUTONOMY, CCAS, GBA, HANDOFF, TODAY, VIRIAT, Place, before

REFERENCE = f"{CCAS}/2027-0033"


def text(answer: httpx2.Response) -> str:
    """What somebody reads on a page."""
    main = re.sub(r"<[^>]+>", " ", answer.text[answer.text.index("<main") :])
    return re.sub(r"\s+", " ", html.unescape(main))


def title(answer: httpx2.Response) -> str:
    found = re.search(r"<title>(.*?)</title>", answer.text)
    assert found is not None
    return html.unescape(found[1])


async def enter(http: httpx2.AsyncClient, code: str, reference: str = REFERENCE, lang: str = "") -> httpx2.Response:
    return await http.post(f"/suivi{lang}", data={"reference": reference, "code": code})


SITUATIONS: dict[str, tuple[str, list[str]]] = {
    "filed": ("Le CCAS de Bourg-en-Bresse étudie votre demande", ["Vous n'avez rien à faire pour le moment.", "quand votre dossier"]),
    "sent": ("Votre demande est transmise au Département de l'Ain", ["Qui a votre dossier Département de l'Ain", "pas encore lu"]),
    "asked": ("Le Département de l'Ain attend des documents", ["Envoyez au Département de l'Ain : relevé d'impôt, au plus tard le"]),
    "visit": ("Le Département de l'Ain étudie votre demande", ["Réponse au plus tard le", "2 mois à compter du", "montant forfaitaire"]),
    "decided": ("Votre demande est refusée", ["Vous pouvez contester jusqu'au", "Recours préalable possible"]),
}  # fmt: skip


@pytest.mark.parametrize("until", SITUATIONS)
async def test_each_situation_in_plain_words(place: Place, http: httpx2.AsyncClient, until: str) -> None:
    answer = await enter(http, place.apa(until))
    said, (head, parts) = text(answer), SITUATIONS[until]
    assert answer.status_code == 200
    assert title(answer).startswith(head)
    assert [p for p in parts if p not in said] == []
    assert "handoff" not in said
    assert "journey:" not in answer.text


async def test_the_limit_that_runs_since_the_door_counts_whoever_has_the_file(
    place: Place, http: httpx2.AsyncClient
) -> None:
    permit, handoff = f"case:{VIRIAT}/PC-001-451-27-00001", f"handoff:{VIRIAT}:" + "3" * 32
    code = place.state("case.opened", permit, 5, procedure="urbanisme.pc-maison", channel="counter").code
    place.state("handoff.sent", permit, 4, handoff=handoff, to=GBA, kind="transfer")
    for type_ in ("handoff.received", "handoff.accepted"):
        place.state(type_, f"case:{GBA}/ADS-1", 3, handoff=handoff, procedure="urbanisme.pc-maison")
    said = text(await enter(http, code or "", permit.removeprefix("case:")))
    assert "Grand Bourg Agglomération étudie votre demande" in said
    assert "Réponse au plus tard le" in said
    assert "permis tacite" in said
    asking = place.gateway.asking
    seen = asking.journey(permit, BodyViewer(GBA))
    assert seen is not None
    own, handed = sorted(seen["cases"], key=lambda c: c["handed"])
    assert (handed["case"], handed["handed"], own["handed"]) == (permit, True, False)
    due = next(c for c in handed["clocks"] if c.get("effect") == "granted")
    assert due["state"] == "running"
    assert due["derivation"]
    first = min(c["due_on"] for c in handed["clocks"] if c["state"] == "running" and c["due_on"])
    assert place.gateway.inbox.shown(GBA, handoff)["request_due_on"] == first
    with place.model.snapshot() as now:
        assert [row[5] for row in now.worklist(GBA)] == [to_day(date.fromisoformat(first))]


async def test_the_title_is_in_english_if_asked(place: Place, http: httpx2.AsyncClient) -> None:
    answer = await enter(http, place.apa(), lang="?lang=en")
    assert title(answer) == "The Département de l'Ain is looking at your request"
    assert '<html lang="en">' in answer.text
    assert "Answer at the latest on" in text(answer)


async def test_no_address_holds_the_reference_or_the_code(place: Place, http: httpx2.AsyncClient) -> None:
    code = place.apa()
    answer = await enter(http, code.lower().replace("-", " "), f" case:{REFERENCE} ")
    seen = [str(r.url) for r in (*answer.history, answer)]
    assert seen == ["http://relais.test/suivi", "http://relais.test/suivi/demande"]
    cookie = answer.history[0].headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/suivi", "Max-Age=1800"} <= set(cookie.split("; "))
    assert code not in cookie
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_unknown_and_wrong_are_told_the_same(place: Place, http: httpx2.AsyncClient) -> None:
    code = place.apa("sent")
    wrong = await enter(http, "AAAA-AAAA-AAAA")
    pages = {
        wrong.text,
        (await enter(http, code, f"{CCAS}/none")).text.replace("/none", "/2027-0033"),
        (await enter(http, code, "nonsense")).text.replace('"nonsense"', f'"{REFERENCE}"'),
        # the case of the département has no code of its own, and a handoff is a reference of the journey like any other
        (await enter(http, "BBBB", HANDOFF)).text.replace(HANDOFF, REFERENCE),
    }
    assert (wrong.status_code, len(pages)) == (422, 1)
    assert 'role="alert"' in wrong.text
    assert 'aria-invalid="true"' in wrong.text
    assert (await http.get("/suivi/demande")).url.path == "/suivi"
    assert (await enter(http, code, HANDOFF)).url.path == "/suivi/demande"


async def test_wrong_codes_open_nothing_and_are_slowed_down(place: Place, http: httpx2.AsyncClient) -> None:
    code = place.apa("filed")
    seen = [(await enter(http, f"{n:012d}")).status_code for n in range(12)]
    assert set(seen) == {422, 429}
    late = await enter(http, code)
    assert (late.status_code, int(late.headers["retry-after"]) > 0) == (429, True)
    opened = 0
    for n in range(10_000):  # by the same limiter, without the cost of a page
        opened += place.gateway.tries.wait(f"reference case:{REFERENCE}") == 0
        assert n < 100 or opened <= 12
    assert opened <= 12


async def test_both_fields_are_asked_for_by_name(http: httpx2.AsyncClient) -> None:
    answer = await enter(http, "", "")
    assert answer.status_code == 422
    for name in ("reference", "code"):
        assert f'href="#f-{name}"' in answer.text
        assert f'aria-describedby="e-{name} h-{name}"' in answer.text


@pytest.mark.parametrize("content", [b"reference=%ff&code=1", b"\xff=1", b"&".join([b"a=1"] * 500), b"x" * 70_000])
async def test_forms_that_cannot_be_read(http: httpx2.AsyncClient, content: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await http.post("/suivi", content=content, headers=headers)
    assert 400 <= answer.status_code < 500
    assert "<h1>" in answer.text


async def test_a_form_from_another_site_is_refused(place: Place, http: httpx2.AsyncClient) -> None:
    data = {"reference": REFERENCE, "code": place.apa("filed")}
    answer = await http.post("/suivi", data=data, headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, "relais_suivi" in http.cookies) == (403, False)


async def test_a_session_ends_and_cannot_be_made_up(place: Place, http: httpx2.AsyncClient) -> None:
    await enter(http, place.apa("filed"))
    assert (await http.get("/suivi/demande")).url.path == "/suivi/demande"
    assert (await http.post("/suivi/fermer")).url.path == "/suivi"
    assert (await http.get("/suivi/demande")).url.path == "/suivi"
    seal = Seal(b"another secret of some length")
    old, other = (
        place.site.seal.close("relais_suivi", {"r": APA}, -1),
        place.site.seal.close("relais_agent", {"r": APA}, 60),
    )
    for made in (seal.close("relais_suivi", {"r": APA}, 60), old, other, "x", "a.b", "é.é", "x" * 5_000, "."):
        answer = await http.get("/suivi/demande", headers={"cookie": f"relais_suivi={made}".encode()})
        assert answer.url.path == "/suivi", made


async def test_a_request_opens_with_what_was_told_to_the_person_alone(place: Place, http: httpx2.AsyncClient) -> None:
    code = place.apa("sent")
    place.state("case.opened", AUTONOMY, 20, procedure="social.apa-domicile", visibility="bodies", references=[HANDOFF])
    said = text(await enter(http, code))
    assert "APA-2027-01933" not in said


async def test_hostile_words_stay_words(place: Place, http: httpx2.AsyncClient) -> None:
    hostile = "<script>alert(1)</script>\"' {{7*7}} <img src=x onerror=alert(1)>"
    case = f"case:{VIRIAT}/<b>{{{{1}}}}</b>"
    code = place.state("case.opened", case, 9, procedure="urbanisme.pc-maison").code
    place.state("case.pieces-requested", case, 3, pieces=[hostile])
    answer = await enter(http, str(code), case)
    assert answer.status_code == 200
    assert hostile in text(answer)
    assert not re.search(r"<(script|img|b)\b", answer.text)
    again = await enter(http, hostile, hostile)
    assert not re.search(r"<(script|img)\b", again.text)


async def test_a_building_permit_in_silence_is_granted(place: Place, http: httpx2.AsyncClient) -> None:
    case = f"case:{VIRIAT}/PC-7"
    code = place.state("case.opened", case, 90, procedure="urbanisme.pc-maison", complete=True).code
    answer = await enter(http, str(code), case)
    assert title(answer).startswith("Sans réponse, ")
    assert "La date limite était le" in text(answer)


async def test_pieces_that_are_asked_for_come_with_what_happens_without_them(
    place: Place, http: httpx2.AsyncClient
) -> None:
    """C. urb. R*423-39: three months from the request, then a tacit refusal; no word of a tacit permit."""
    case = f"case:{VIRIAT}/PC-8"
    code = place.state("case.opened", case, 20, procedure="urbanisme.pc-maison", channel="counter").code
    place.state("case.pieces-requested", case, 5, pieces=["PCMI1"])
    said = text(await enter(http, str(code), case))
    assert "Si vous n'avez pas tout envoyé au plus tard le" in said
    assert "la demande est rejetée" in said
    assert "vous avez un permis tacite le lendemain" not in said


async def test_where_silence_refuses_no_tacit_permit_is_promised(place: Place, http: httpx2.AsyncClient) -> None:
    """C. urb. R*424-2: a listed building."""
    case = f"case:{VIRIAT}/PC-9"
    code = place.state("case.opened", case, 20, procedure="urbanisme.pc-maison", channel="counter").code
    place.state("case.extended", case, 5, cause="mh-inscrit", length=5, unit="months", notified_on=before(5))
    said = text(await enter(http, str(code), case))
    assert "Si vous n'avez rien reçu à la fin du" in said
    assert "la demande est rejetée" in said
    assert "vous avez un permis tacite le lendemain" not in said


async def test_each_way_to_contest_a_refusal_has_its_own_last_day(place: Place, http: httpx2.AsyncClient) -> None:
    """C. urb. L600-12-2: one month to the administration; CJA R421-1: two months to the court, whatever the former."""
    case = f"case:{VIRIAT}/PC-10"
    code = place.state("case.opened", case, 20, procedure="urbanisme.pc-maison", channel="counter").code
    place.state("case.decided", case, 4, outcome="refused")
    place.state("case.notified", case, 3, means="post")
    said = text(await enter(http, str(code), case))
    ways = re.findall(r"Vous pouvez contester jusqu'au [^(]*\(([^)]*)\)", said)
    assert ways == ["recours gracieux ou hiérarchique", "recours du demandeur devant le tribunal"]


async def test_dates_are_days_with_their_name(place: Place, http: httpx2.AsyncClient) -> None:
    said = text(await enter(http, place.apa("asked")))
    assert day_in_words(TODAY.toordinal() - 719_163 + 3, "fr") in said


async def test_what_is_not_ready_is_a_page(
    http: httpx2.AsyncClient, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(place.gateway.asking, "access_codes", fail)
    answer = await enter(http, "x")
    assert (answer.status_code, "secret detail" in answer.text) == (500, False)
    assert (await http.get("/")).url.path == "/suivi"
    assert (await http.get("/assets/relais.css")).headers["content-type"].startswith("text/css")


def test_bodies_take_their_article() -> None:
    names = ["Mairie de Viriat", "Département de l'Ain", "UDAP de l'Ain", "Grand Bourg Agglomération"]
    assert [subject(n, "fr") for n in names] == [
        "La Mairie de Viriat", "Le Département de l'Ain", "L'UDAP de l'Ain", "Grand Bourg Agglomération",
    ]  # fmt: skip
    assert [to_subject(n)[:4] for n in names] == ["à la", "au D", "à l'", "à Gr"]
    assert AIN
