"""Documents on an agent's pages: taken by a link, while the right lasts; what is dead is told in plain words, to both sides."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import yaml

from connectors.documents import shelf
from connectors.status.documents import DeadDocument, keep
from tests.connectors.pages.place import AIN, APA, CCAS, HANDOFF, PASSWORD, TODAY, Place, before
from tests.connectors.pages.test_citizen import text

PLAN = b"%PDF-1.7 plan" * 1000
TAKE = "/agent/document"


@pytest.fixture
async def documents(place: Place, http: httpx2.AsyncClient, tmp_path: Path) -> list[dict[str, Any]]:
    """A handoff with four documents: kept here, kept elsewhere, no address at all, and one whose right is over; its addressee is there."""
    folder, file = tmp_path / "documents", tmp_path / "documents.yaml"
    folder.mkdir()
    file.write_text(yaml.safe_dump({"address": "https://bus.exemple.fr", "key": "k" * 32, "folder": str(folder)}))
    place.gateway.documents = shelf.read(file)
    here = await place.gateway.documents.put(PLAN, "Plan de masse", "application/pdf", AIN, TODAY + timedelta(days=3))
    plain = {"type": "text/html", "size": 3}
    told = [
        here.model_dump(mode="json", exclude_none=True),
        plain | {"label": "Photo", "sha256": "1" * 64, "location": "https://photos.exemple.fr/1?right=a%20b"},
        plain | {"label": "Fichier", "sha256": "2" * 64, "location": "sftp://photos.exemple.fr/2"},
        plain | {"label": "Ancien", "sha256": "3" * 64, "location": "https://photos.exemple.fr/3", "until": before(30)},
    ]
    place.state("case.opened", APA, 35, procedure="social.apa-domicile", channel="counter")
    place.state("handoff.sent", APA, 32, handoff=HANDOFF, to=AIN, kind="transfer", documents=told)
    place.account("agnes", AIN)
    place.account("claire", CCAS)
    await enter(http, "agnes")
    return told


async def enter(http: httpx2.AsyncClient, name: str) -> None:
    http.cookies.clear()
    assert (await http.post("/entrer", data={"name": name, "password": PASSWORD})).url.path == "/agent"


async def item(http: httpx2.AsyncClient) -> httpx2.Response:
    return await http.get("/agent/recu", params={"passage": HANDOFF})


async def take(http: httpx2.AsyncClient, number: object, *, follow: bool = True) -> httpx2.Response:
    return await http.get(TAKE, params={"passage": HANDOFF, "n": str(number)}, follow_redirects=follow)


async def test_a_document_is_taken_by_its_link(
    place: Place, http: httpx2.AsyncClient, documents: list[dict[str, Any]]
) -> None:
    page = await item(http)
    assert page.text.count(f'href="{TAKE}?') == 2, "no link to what is no address, or over"
    for secret in ("right=", "sftp:"):
        assert secret not in page.text
    assert "Le droit de le prendre est passé" in text(page)
    answer = await take(http, 0)
    assert (answer.content, answer.headers["content-type"]) == (PLAN, "application/octet-stream")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''Plan%20de%20masse.pdf"
    away = await take(http, 1, follow=False)
    assert (away.status_code, away.headers["location"]) == (303, documents[1]["location"])
    assert away.headers["referrer-policy"] == "no-referrer"
    assert (await take(http, 2)).status_code == 404
    assert "le droit de prendre ce document est passé" in text(await take(http, 3)).lower()
    for wrong in (4, -1, "x", ""):
        assert (await take(http, wrong)).status_code == 404


async def test_nobody_else_takes_it(http: httpx2.AsyncClient, documents: list[dict[str, Any]]) -> None:
    await enter(http, "claire")
    assert (await take(http, 0)).status_code == 404
    http.cookies.clear()
    assert (await take(http, 0)).url.path == "/entrer"


async def test_what_is_dead_is_told_to_both(
    place: Place, http: httpx2.AsyncClient, documents: list[dict[str, Any]]
) -> None:
    assert place.gateway.documents is not None
    await place.gateway.documents.remove(urlsplit(documents[0]["location"]).path.rpartition("/")[2])
    page = await take(http, 0)
    assert page.url.path == "/agent/recu"
    assert "n'est plus là" in text(page)
    dead = DeadDocument(HANDOFF, hashlib.sha256(PLAN).hexdigest(), CCAS, "gone")
    keep(place.database, [dead], TODAY - timedelta(days=1))
    keep(place.database, [dead], TODAY)
    assert "introuvable Ce document n'est plus à son adresse" in text(await item(http))
    await enter(http, "claire")
    sent = text(await http.get("/agent/dossier", params={"dossier": APA}))
    assert "document perdu « Plan de masse », transmis à Département de l'Ain, n'est plus à son adresse" in sent
    with place.model.snapshot() as now:
        ((_, since),) = now.dead_documents(handoff=HANDOFF)
    assert since == (TODAY - timedelta(days=1)).toordinal() - 719_163, "since when it is dead, not since the last look"
    keep(place.database, [], TODAY)
    assert "document perdu" not in text(await http.get("/agent/dossier", params={"dossier": APA}))
