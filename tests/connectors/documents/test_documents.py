"""Documents by reference: fetched by whoever shows the right, whole and unaltered or not at all; a dead link is told to its sender."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner

from connectors.documents import links, shelf
from connectors.documents.rights import Right, granted
from connectors.gateway.app import application
from connectors.kit.contract import ConfigError, Rejected
from connectors.kit.outgoing import Outgoing
from connectors.status.model import ReadModel
from deploy.cli import app as relais
from schemas.models.document import Document
from tests.support.loop import Town
from tests.support.serving import serving

KEY = "k" * 32
PLAN = b"%PDF-1.7 plan" * 1000
HOME = Outgoing(private=("127.0.0.1",))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("town"))
    yield made
    made.database.close()


@pytest.fixture
async def gateway(town: Town) -> AsyncIterator[str]:
    """A gateway that is listened to by HTTP; its bus is not needed."""
    app = application(town.gateway)

    @asynccontextmanager
    async def unconnected(_app: Starlette) -> AsyncIterator[None]:
        yield

    app.router.lifespan_context = unconnected
    async with serving(app) as address:
        yield address


@pytest.fixture
def kept(town: Town, gateway: str, tmp_path: Path) -> Path:
    """The folder of a store that this gateway gives from."""
    folder = tmp_path / "documents"
    folder.mkdir()
    file = tmp_path / "documents.yaml"
    file.write_text(yaml.safe_dump({"address": gateway, "key": KEY, "folder": str(folder)}))
    town.gateway.documents = shelf.read(file)
    return folder


async def put(town: Town, days: int = 3) -> Document:
    assert town.gateway.documents is not None
    until = datetime.now(UTC).date() + timedelta(days=days)
    return await town.gateway.documents.put(PLAN, "Plan de masse", "application/pdf", "grand-bourg", until)


async def test_the_addressee_fetches_what_was_put(town: Town, kept: Path) -> None:
    document = await put(town)
    assert (document.size, document.sha256) == (len(PLAN), hashlib.sha256(PLAN).hexdigest())
    assert await links.fetch(document.model_dump(), HOME) == PLAN
    async with httpx2.AsyncClient() as http:
        answer = await http.get(document.location)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    assert (
        answer.headers["x-content-type-options"] == "nosniff" and "sandbox" in answer.headers["content-security-policy"]
    )


async def test_a_right_is_for_one_document_one_body_and_until_a_day(town: Town, kept: Path) -> None:
    document, other, over = await put(town), await put(town), await put(town, days=-1)
    address, query = document.location.split("?")
    wrong = [
        address, f"{address}?{query}x", f"{address}?{query.replace('grand-bourg', 'viriat')}", other.location.split("?")[0] + "?" + query,
        f"{address}?{query.replace(document.until.isoformat(), '2099-01-01')}", over.location,  # type: ignore[union-attr]
        address.rpartition("/")[0] + "/..%2f..%2fetc%2fpasswd?" + query, f"{address}.json?{query}", f"{address}?{query}&right=",
    ]  # fmt: skip
    async with httpx2.AsyncClient() as http:
        for one in wrong:
            assert (await http.get(one)).status_code == 404, one
        assert (await http.get(f"{address}?{query}")).status_code == 200
    right = Right("0" * 32, "viriat", date(2026, 1, 1))
    shown = dict(part.split("=") for part in right.query(b"key").split("&"))
    assert granted("0" * 32, shown, b"key", date(2026, 1, 1)) == right
    assert granted("0" * 32, shown, b"key", date(2026, 1, 2)) is None
    assert granted("0" * 32, shown, b"other", date(2026, 1, 1)) is None


async def test_what_was_altered_is_not_given(town: Town, kept: Path) -> None:
    document = await put(town)
    file = kept / urlsplit(document.location).path.rpartition("/")[2]
    file.write_bytes(PLAN[:-1] + b"x")
    async with httpx2.AsyncClient() as http:
        with pytest.raises(httpx2.RemoteProtocolError):  # shorter than it said: cut before the last part
            await http.get(document.location)
    file.write_bytes(PLAN + b"x")
    async with httpx2.AsyncClient() as http:
        assert (await http.get(document.location)).status_code == 404


async def test_a_receiver_believes_neither_the_server_nor_the_address(town: Town, kept: Path) -> None:
    document = (await put(town)).model_dump()
    with pytest.raises(Rejected, match="not the bytes of the manifest"):
        await links.fetch(document | {"sha256": "0" * 64}, HOME)
    with pytest.raises(ConfigError, match="private"):
        await links.fetch(document, Outgoing())
    with pytest.raises(ConfigError):
        await links.fetch(document | {"location": document["location"].replace("right=", "right=x")}, HOME)


def handoff(document: Document, **changed: Any) -> dict[str, Any]:
    until = None if document.until is None else (document.until - date(1970, 1, 1)).days
    listed = document.model_dump() | {"until": until} | changed
    return {"handoff": "handoff:viriat:" + "0" * 32, "from_body": "viriat", "to": "grand-bourg", "documents": [listed]}


async def test_a_dead_link_is_told_to_its_sender(town: Town, kept: Path) -> None:
    alive, gone, altered = await put(town), await put(town), await put(town)
    assert town.gateway.documents is not None
    await town.gateway.documents.remove(urlsplit(gone.location).path.rpartition("/")[2])
    told: list[Any] = []

    async def take(request: Request) -> Response:
        told.extend(await request.json())
        return JSONResponse({})

    async def elsewhere(_request: Request) -> Response:
        return RedirectResponse("http://127.0.0.1:1/")

    routes = [Route("/api/v2/alerts", take, methods=["POST"]), Route("/moved", elsewhere)]
    async with serving(Starlette(routes=routes)) as other:
        found = await links.dead(
            [
                handoff(alive),
                handoff(gone),
                handoff(altered, size=1),
                handoff(alive, location=f"{other}/moved"),
                handoff(gone, until=0),  # its day has passed: nothing to tell
            ],
            HOME,
        )
        assert [one.fault.value for one in found] == ["gone", "altered", "unreachable"]
        await links.tell(found, other, HOME, timedelta(hours=3))
    assert [one["labels"]["body"] for one in told] == ["viriat"] * 3
    assert told[0]["labels"]["reason"] == "document-gone" and "viriat" in told[0]["annotations"]["summary"]
    assert not any("handoff:" in json.dumps(one) for one in told)


async def test_commands(town: Town, kept: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> Any:
        return CliRunner().invoke(relais, ["documents", *map(str, arguments)])

    plan, line, out = tmp_path / "plan.pdf", tmp_path / "plan.json", tmp_path / "out.pdf"
    plan.write_bytes(PLAN)
    store = tmp_path / "documents.yaml"
    done = await asyncio.to_thread(run, "put", plan, "--store", store, "--label", "Plan", "--to", "grand-bourg")
    assert done.exit_code == 0, done.output
    line.write_text(done.output)
    assert Document.model_validate_json(done.output).label == "Plan"
    done = await asyncio.to_thread(run, "fetch", line, "--out", out, "--private", "127.0.0.1")
    assert done.exit_code == 0 and out.read_bytes() == PLAN, done.output
    refused = await asyncio.to_thread(run, "fetch", line, "--out", out)
    assert refused.exit_code == 1 and "private" in str(refused.exception)
    for wrong, mend in (
        ({"key": "short", "folder": str(kept)}, "32 random"), ({"key": KEY}, "give one of"),
        ({"key": {"env": "X"}, "folder": "x"}, "not set"),
    ):  # fmt: skip
        store.write_text(yaml.safe_dump({"address": "https://bus.example.fr", **wrong}))
        with pytest.raises(ConfigError, match=mend):
            shelf.read(store)


async def test_the_check_of_open_handoffs(
    town: Town, gateway: str, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = await put(town)
    events = [
        ("case.opened", {"procedure": "test.simple"}),
        ("handoff.sent", {
            "handoff": "handoff:viriat:" + "1" * 32, "to": "udap", "kind": "transfer",
            "documents": [document.model_dump(mode="json", exclude_none=True)],
        }),
    ]  # fmt: skip
    today = datetime.now(UTC).date().isoformat()
    batch = [
        {
            "specversion": "1.0", "id": f"d{number}", "source": "viriat/back-office", "type": f"fr.relais.{type_}",
            "subject": "case:viriat/DOC-1", "data": {"occurred_on": today, **data},
        }
        for number, (type_, data) in enumerate(events)
    ]  # fmt: skip
    headers = {"Authorization": f"Bearer {town.tokens['viriat']}", "Content-Type": "application/cloudevents-batch+json"}
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{gateway}/v1/events", json=batch, headers=headers)
    assert answer.status_code in (200, 202), answer.text
    monkeypatch.setenv("RELAIS_READ_MODEL", str(town.database.engine.url))

    def check() -> Any:
        return CliRunner().invoke(relais, ["documents", "check", "--json", "--private", "127.0.0.1"])

    done = await asyncio.to_thread(check)
    assert (done.exit_code, done.output) == (0, "")
    assert town.gateway.documents is not None
    await town.gateway.documents.remove(urlsplit(document.location).path.rpartition("/")[2])
    done = await asyncio.to_thread(check)
    assert done.exit_code == 1
    told = json.loads(done.output)
    assert (told["sender"], told["to"], told["fault"]) == ("viriat", "udap", "gone")
    with ReadModel(town.database).snapshot() as now:  # where the pages find it
        ((found, _),) = now.dead_documents(sender="viriat")
    assert (found.handoff, found.sha256, found.fault) == ("handoff:viriat:" + "1" * 32, document.sha256, "gone")
