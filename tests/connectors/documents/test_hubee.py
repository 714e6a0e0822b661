"""Documents that stay at HubEE: their digest is learnt when they come, and they are fetched through the gateway."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx2
import pytest
import yaml

from connectors import hubee
from connectors.documents import links, shelf
from connectors.hubee.config import Role
from connectors.kit.contract import Batch, ConfigError, Record
from connectors.kit.mapper import Mapper
from connectors.kit.stating import Stating
from schemas.codec import events
from schemas.references import Keys
from tests.connectors.documents.test_documents import HOME, gateway, town  # noqa: F401 - fixtures
from tests.connectors.hubee.hub import PDF, Hub, hub_at, hub_of_two
from tests.support.loop import Town
from tests.support.serving import serving, using

HANDOFF = f"handoff:gba:{'7' * 32}"
ARRETE = b"%PDF-1.7 an order"


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    fake = hub_of_two()
    async with serving(fake.app()) as url, hub_at(url, fake) as made:
        yield made


@pytest.fixture
async def store(town: Town, gateway: str, hub: Hub, tmp_path: Path) -> AsyncIterator[Path]:  # noqa: F811
    """The file of the gateway's store, by which the gateway fetches from HubEE as the online service that we are."""
    (tmp_path / "documents").mkdir()
    pair = {"client_id": "OSL-EtatCivil", "client_secret": "secret of EtatCivil"}
    at = {"api": hub.url, "token": f"{hub.url}/oauth2/token", "role": "OSL", "processes": {"EtatCivil": pair}}
    given = {"address": gateway, "key": "k" * 32, "folder": str(tmp_path / "documents")}
    file = tmp_path / "documents.yaml"
    file.write_text(yaml.safe_dump(given | {"hubee": at | {"out": {"private": ["127.0.0.1"]}}}))
    town.gateway.documents = made = shelf.read(file)
    yield file
    await made.close()


async def answered(hub: Hub) -> tuple[str, str]:
    """A body that works in HubEE's portal has done the work of a handoff, and attached its order: case and attachment."""
    case = await hub.send("TD-1", said=f"relais={HANDOFF}")
    await hub.say(Role.SI, case, "DONE")
    event = hub.fake.cases[case]["events"][-1]
    attachment = str(uuid4())
    event["attachments"] = [
        {
            "id": attachment,
            "type": "Arrete",
            "mimeType": "application/pdf",
            "size": len(ARRETE),
            "fileName": "MARTIN.pdf",
        }
    ]
    hub.fake.binaries[attachment] = ARRETE
    return case, attachment


async def taken(hub: Hub, store: Path) -> list[Record]:
    relay = {"store": store, "body": "viriat", "days": 30}
    async with using(hub.source(Role.OSL, documents=relay)) as source:
        batches: list[Batch] = [batch async for batch in source.read(None)]
    found = [record for batch in batches for record in batch.records]
    assert all(isinstance(record, Record) for record in found)
    return found  # type: ignore[return-value]


async def test_a_document_of_hubee_is_in_the_manifest_and_fetched_through_the_gateway(
    town: Town,  # noqa: F811
    hub: Hub,
    store: Path,
) -> None:
    await answered(hub)
    (record,) = await taken(hub, store)
    (line,) = record.content["event"]["documents"]
    until = datetime.now(UTC).date() + timedelta(days=30)
    assert (line["sha256"], line["until"]) == (hashlib.sha256(ARRETE).hexdigest(), until.isoformat())
    assert "to=gba" in line["location"], "for whoever sent the handoff"
    (own,) = record.content["case"]["documents"]
    assert (own["sha256"], own["size"]) == (hashlib.sha256(PDF).hexdigest(), len(PDF))
    asked = [path for _, path in hub.fake.calls if "attachments" in path]
    assert await taken(hub, store) == [record], "read again it is the same record"
    assert [path for _, path in hub.fake.calls if "attachments" in path] == asked, "and no document is read again"
    assert await links.fetch(line, HOME) == ARRETE
    mapper = Mapper(Path(hubee.__file__).parent / "maps" / "osl.yaml", "udap", "hubee", ZoneInfo("Europe/Paris"))
    stating = Stating("udap", "hubee", events(), Keys(bytes(16)), 1, None)
    (fact,) = [stating.fact(said, str(n), n) for n, said in enumerate(mapper.said(record.content))]
    assert fact.type == "handoff.completed"
    assert [one.sha256 for one in fact.event.documents] == [line["sha256"]]  # type: ignore[union-attr]
    assert b"MARTIN" not in fact.value


async def test_what_hubee_has_no_longer_is_a_dead_link(town: Town, hub: Hub, store: Path) -> None:  # noqa: F811
    case, attachment = await answered(hub)
    (record,) = await taken(hub, store)
    (line,) = record.content["event"]["documents"]
    shown: dict[str, Any] = line | {"until": None}
    one = {"handoff": HANDOFF, "from_body": "udap", "to": "gba", "documents": [shown]}
    assert await links.dead([one], HOME) == []
    hub.fake.events[hub.fake.cases[case]["events"][-1]["id"]]["attachments"] = []
    del hub.fake.binaries[attachment]
    assert [(dead.sender, dead.fault.value) for dead in await links.dead([one], HOME)] == [("udap", "gone")]
    async with httpx2.AsyncClient() as http:
        assert (await http.get(line["location"])).status_code == 404


async def test_what_is_wrong_is_told(hub: Hub, store: Path) -> None:
    await answered(hub)
    relay = {"store": store, "body": "viriat"}
    (event,) = hub.fake.events.values()
    event["attachments"][0]["size"] = 2**40
    async with using(hub.source(Role.OSL, documents=relay)) as source:
        with pytest.raises(ConfigError, match=r"out\.max_body"):
            _ = [batch async for batch in source.read(None)]
    async with using(hub.source(Role.OSL, documents=relay | {"store": store.with_name("none.yaml")})) as source:
        (finding,) = [finding for finding in (await source.check()).findings if not finding.ok]
        assert "none.yaml" in finding.what and "cannot be read" in finding.mend
        with pytest.raises(ConfigError, match="cannot be read"):
            _ = [batch async for batch in source.read(None)]
