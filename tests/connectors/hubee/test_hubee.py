"""The HubEE connector in both roles against a hub built from the public contract."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from connectors import hubee
from connectors.hubee.config import Credentials, Recipient, Role, SourceConfig
from connectors.hubee.ledger import Ledger
from connectors.hubee.sink import HubeeSink
from connectors.hubee.source import HubeeSource
from connectors.hubee.words import attributes, status
from connectors.kit.contract import Batch, ConfigError, Item, Record, Refused, Reject, Retry, Sent, Unavailable
from connectors.kit.intake import Outcome
from connectors.kit.mapper import Mapper
from connectors.kit.secret import Secret
from connectors.kit.stating import Stating
from deploy.connectors import trial
from schemas.codec import events
from schemas.references import Keys
from tests.connectors.hubee.hub import MAIRIE, PDF, Hub, HubeePlace, hub_at, hub_of_two
from tests.support.connector_contract import SourceContract
from tests.support.hubee import FakeHubee
from tests.support.serving import serving, using
from tests.support.sink_contract import SinkBed, SinkContract

MAPS = Path(hubee.__file__).parent / "maps"
HANDOFF = f"handoff:gba:{'7' * 32}"


@pytest.fixture
def fake() -> FakeHubee:
    return hub_of_two()


@pytest.fixture
async def hub(fake: FakeHubee) -> AsyncIterator[Hub]:
    async with serving(fake.app()) as url, hub_at(url, fake) as made:
        yield made


async def read(source: HubeeSource, since: Any = None) -> list[Batch]:
    return [batch async for batch in source.read(since)]


def records(batches: list[Batch]) -> list[Record]:
    found = [r for batch in batches for r in batch.records]
    assert all(isinstance(r, Record) for r in found)
    return found  # type: ignore[return-value]


async def test_a_folder_becomes_a_record_that_names_nobody_and_is_the_same_when_read_again(hub: Hub) -> None:
    case = await hub.send("TD-1", said="statut=17;type=SIGNALEMENT")
    async with using(hub.source()) as source:
        (record,) = records(await read(source))
        assert record.key == case
        assert record.content["case"]["external_id"] == "TD-1-1"
        assert record.content["case"]["attributes"] == {"statut": "17", "type": "SIGNALEMENT"}
        assert record.content["case"]["documents"][0]["size"] == len(PDF)
        assert record.content["event"] is None
        told = json.dumps(record.content) + record.place + record.original().decode()
        assert "MARTIN" not in told
        assert "Jeanne" not in told
        await hub.say(Role.SI, case, "IN_PROGRESS")  # somebody works on it in the portal
        (again,) = records(await read(source))
        assert again == record


async def test_notifications_come_until_they_are_acknowledged_and_a_new_case_is_then_told_as_received(hub: Hub) -> None:
    case = await hub.send("TD-1")
    async with using(hub.source()) as source:
        (batch,) = await read(source)
        assert len(hub.fake.notifications) == 1
        await source.ack(batch)
        await source.ack(batch)  # a crash may ask for it again
        assert await read(source) == []
    assert hub.fake.cases[case]["status"] == "SI_RECEIVED"
    (told,) = hub.fake.notifications.values()
    assert told["recipient"]["type"] == "OSL"
    assert hub.fake.events[told["eventId"]]["caseNewStatus"] == "SI_RECEIVED"


async def test_what_was_committed_but_not_acknowledged_is_acknowledged_at_the_next_start(hub: Hub) -> None:
    await hub.send("TD-1")
    async with using(hub.source()) as first:
        (batch,) = await read(first)
    async with using(hub.source()) as second:
        assert await read(second, json.loads(json.dumps(batch.cursor))) == []
    assert [n["recipient"]["type"] for n in hub.fake.notifications.values()] == ["OSL"]


async def test_pages_of_every_process_each_with_its_own_credentials(hub: Hub) -> None:
    sent = [await hub.send(f"TD-{n}") for n in range(5)] + [await hub.send("CD-1", "CERTDC")]
    async with using(hub.source(Role.SI, "EtatCivil", "CERTDC", page=2)) as source:
        seen = []
        async for batch in source.read(None):
            assert len(batch.records) <= 2
            seen += records([batch])
            await source.ack(batch)
    assert sorted(r.key for r in seen) == sorted(sent)
    assert {r.content["process"] for r in seen} == {"EtatCivil", "CERTDC"}
    assert not [n for n in hub.fake.notifications.values() if n["recipient"]["type"] == "SI"]


async def test_a_queue_that_nobody_acknowledges_ends_the_read(hub: Hub) -> None:
    for n in range(5):
        await hub.send(f"TD-{n}")
    async with using(hub.source(page=2)) as source:
        source.patience_s = 0.01
        assert len(records(await read(source))) == 2


@pytest.mark.parametrize("override", [False, True])
async def test_an_event_is_told_by_its_status_and_taken_into_account(hub: Hub, override: bool) -> None:
    case = await hub.send("TD-1")
    hub.fake.notifications.clear()
    await hub.say(
        Role.SI, case, "REFUSED", partnerAttributes="motif=incomplete", message="Il manque la pièce de Jeanne MARTIN"
    )
    hub.fake.no_patch = override
    async with using(hub.source(Role.OSL, override_patch=override)) as source:
        (batch,) = await read(source)
        (record,) = records([batch])
        event = record.content["event"]
        assert (event["to"], event["label"]) == ("REFUSED", "REFUSED: incomplete")
        assert record.version == event["id"]
        assert "MARTIN" not in json.dumps(record.content)
        await source.ack(batch)
    assert hub.fake.events[event["id"]]["status"] == "RECEIVED"
    assert not hub.fake.notifications


async def test_a_status_that_comes_and_goes_is_three_records(hub: Hub) -> None:
    case = await hub.send("TD-1")
    hub.fake.notifications.clear()
    for to in ("IN_PROGRESS", "ADD_AWAITING", "IN_PROGRESS"):
        await hub.say(Role.SI, case, to)
    async with using(hub.source(Role.OSL)) as source:
        found = records(await read(source))
    assert [r.content["event"]["to"] for r in found] == ["IN_PROGRESS", "ADD_AWAITING", "IN_PROGRESS"]
    assert len({r.version for r in found}) == 3


async def test_both_documented_spellings_are_one_status_and_an_unknown_one_stays_for_curation(hub: Hub) -> None:
    hub.fake.spelling["ADD_AWAITING"] = "ADD_WAITING"
    case = await hub.send("TD-1")
    hub.fake.notifications.clear()
    await hub.say(Role.SI, case, "ADD_AWAITING", actionType="ADD_AWAITING")
    async with using(hub.source(Role.OSL)) as source:
        (record,) = records(await read(source))
    assert record.content["event"]["to"] == "ADD_AWAITING"
    assert status("Add awaiting") == "ADD_AWAITING"
    assert status("EN_PAUSE") == "EN_PAUSE"
    assert attributes("a=1; b = 2=3;free text;=x") == {"a": "1", "b": "2=3"}


async def test_a_case_that_was_purged_is_refused_and_the_queue_goes_on(hub: Hub) -> None:
    gone, kept = await hub.send("TD-1"), await hub.send("TD-2")
    del hub.fake.cases[gone]
    async with using(hub.source()) as source:
        (batch,) = await read(source)
        refused, record = batch.records
        assert isinstance(refused, Refused)
        assert "purged" in refused.mend
        assert json.loads(refused.raw)["caseId"] == gone
        assert isinstance(record, Record)
        assert record.key == kept
        await source.ack(batch)
        assert await read(source) == []


async def test_a_token_that_ends_is_replaced_and_the_hub_being_down_is_waited_out(hub: Hub) -> None:
    case = await hub.send("TD-1")
    async with using(hub.source()) as source:
        assert len(await read(source)) == 1
        hub.fake.tokens.clear()
        assert records(await read(source))[0].key == case
        hub.fake.down = 1
        with pytest.raises(Unavailable):
            await read(source)
        hub.fake.token_s = 0.0
        hub.fake.tokens.clear()
        with pytest.raises(ConfigError, match=r"processes\.EtatCivil: HubEE answers 401"):
            await read(source)


async def test_a_wrong_secret_names_its_process_and_never_itself(hub: Hub) -> None:
    settings = hub.settings(Role.SI, "EtatCivil", "CERTDC")
    wrong = Credentials(client_id="SI-CERTDC", client_secret=Secret.model_validate("not this"))
    settings["processes"]["CERTDC"] = wrong
    async with using(HubeeSource(SourceConfig(**settings))) as source:
        report = await source.check()
        assert [f.ok for f in report.findings] == [True, False]
        assert "processes.CERTDC" in report.findings[1].mend
        with pytest.raises(ConfigError) as caught:
            await read(source)
    assert "not this" not in f"{caught.value}{report}"
    assert not hub.fake.notifications


def handoff(state: str = "sent", **more: Any) -> Item:
    content = {"handoff": HANDOFF, "from": {"id": "gba", "name": "Grand Bourg"}, "to": {"id": "viriat"}, "state": state}
    return Item(f"{HANDOFF}-{state}", "handoff", HANDOFF, content, **more)


def osl(hub: Hub, folder: Path, **more: Any) -> HubeeSink:
    to = Recipient(siret=MAIRIE["siret"], counter=MAIRIE["counter"])
    return hub.sink(recipient=to, process="EtatCivil", ledger=folder / "ledger.db", **more)


async def test_a_handoff_becomes_one_folder_with_its_documents_and_is_received_when_the_body_has_it(
    fake: FakeHubee, tmp_path: Path
) -> None:
    async def plan(_: Any) -> Response:
        return Response(PDF)

    async with serving(Starlette(routes=[Route("/plan.pdf", plan), Mount("/", fake.app())])) as url:
        hub = Hub(fake, url)
        document = {
            "label": "Plan de masse", "type": "application/pdf", "size": len(PDF), "sha256": sha256(PDF).hexdigest(),
            "location": f"{url}/plan.pdf",
        }  # fmt: skip
        async with using(osl(hub, tmp_path)) as sink:
            assert (await sink.check()).ok
            assert await sink.send([handoff(documents=[document])]) == [Retry(60.0)]
            (case,) = fake.cases.values()
            assert {a["mimeType"]: fake.binaries[a["id"]] for a in case["attachments"]}["application/pdf"] == PDF
            assert attributes(case["partnerAttributes"]) == {"relais": HANDOFF}
            async with using(hub.source()) as town_hall:
                for batch in await read(town_hall):
                    await town_hall.ack(batch)
            assert await sink.send([handoff(documents=[document])]) == [Sent(receipt=True)]
            assert len(fake.folders) == 1
            dead = replace(handoff(documents=[document | {"sha256": "0" * 64}]), key="another")
            (outcome,) = await sink.send([dead])
            assert isinstance(outcome, Reject)
            assert len(fake.folders) == 1


async def test_wherever_it_is_cut_a_handoff_is_seen_once(hub: Hub, tmp_path: Path) -> None:
    for cut in range(1, 9):
        item = replace(handoff(), key=f"cut-{cut}")
        sink = osl(hub, tmp_path, await_receipt=False)
        calls = 0
        request = sink._hubee.out.request

        async def failing(method: str, url: str, _ask: Any = request, _cut: int = cut, **sent: Any) -> Any:
            nonlocal calls
            calls += 1
            answer = await _ask(method, url, **sent)
            if calls == _cut:
                raise Unavailable("cut after the hub had done it")
            return answer

        sink._hubee.out.request = failing  # type: ignore[method-assign]
        async with using(sink):
            try:
                await sink.send([item])
            except Unavailable:
                await sink.send([item])
    async with using(hub.source(tell_received=False)) as town_hall:
        seen = records(await read(town_hall))
    assert len(seen) == 8
    assert len({r.content["case"]["external_id"] for r in seen}) == 8


async def test_a_handoff_that_is_cancelled_is_closed_and_what_the_addressee_said_itself_is_no_news(
    hub: Hub, tmp_path: Path
) -> None:
    async with using(osl(hub, tmp_path, await_receipt=False)) as sink:
        assert await sink.send([handoff(), handoff("accepted"), handoff("cancelled")]) == [Sent()] * 3
        assert await sink.send([handoff("cancelled")]) == [Sent()]
        (case,) = hub.fake.cases.values()
        assert (case["status"], len(case["events"])) == ("CLOSED", 1)
        assert await sink.send([handoff(gone=True)]) == [Sent()]
    ledger = Ledger(tmp_path / "ledger.db")
    assert ledger.get(HANDOFF) is None
    ledger.close()


async def test_a_document_that_the_hub_refuses_and_software_that_cannot_take_it_are_told(
    hub: Hub, tmp_path: Path
) -> None:
    async with using(osl(hub, tmp_path)) as sink:
        bad = replace(handoff(), key="virus", content={**handoff().content, "reason": "EICAR"})
        outcomes = await sink.send([bad, handoff()])
        assert isinstance(outcomes[0], Reject)
        assert isinstance(outcomes[1], Retry)
        (case,) = hub.fake.cases
        await hub.say(Role.SI, case, "SI_INTG_ERROR")
        (outcome,) = await sink.send([handoff()])
        assert isinstance(outcome, Reject)
        assert "SI_INTG_ERROR" in outcome.mend


async def test_a_sink_that_lacks_something_says_which_field(hub: Hub) -> None:
    async with using(hub.sink()) as sink:
        report = await sink.check()
    assert not report.ok
    assert "process" in report.findings[0].what


async def test_statuses_of_cases_that_came_by_hubee_are_told_once(hub: Hub) -> None:
    case = await hub.send("TD-1")
    hub.fake.notifications.clear()

    def item(state: str, outcome: str | None = None) -> Item:
        cases = [
            {"case": f"case:viriat/EtatCivil-{case}", "state": state, "outcome": outcome},
            {"case": None, "state": "open"},
        ]
        return Item(state, "status", "s", {"cases": cases})

    async with using(hub.sink(Role.SI)) as sink:
        assert await sink.send([item("open"), item("open"), item("waiting_for_person"), item("open")]) == [Sent()] * 4
        assert await sink.send([item("decided", "inadmissible"), item("notified", "inadmissible")]) == [Sent()] * 2
    told = [(e["caseCurrentStatus"], e["caseNewStatus"]) for e in hub.fake.cases[case]["events"]]
    assert told == [
        ("HUBEE_NOTIFIED", "IN_PROGRESS"), ("IN_PROGRESS", "ADD_AWAITING"), ("ADD_AWAITING", "IN_PROGRESS"),
        ("IN_PROGRESS", "REFUSED"),
    ]  # fmt: skip
    assert hub.fake.cases[case]["status"] == "REFUSED"
    async with using(hub.source(Role.OSL)) as source:
        assert records(await read(source))[-1].content["event"]["label"] == "REFUSED: inadmissible"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[HubeePlace]:
    place = HubeePlace(tmp_path)
    await place.bring_back()
    yield place
    await place.close()


class TestHubee(SourceContract):
    """The contract of sources."""


class TestHubeeSink(SinkContract):
    """The contract of sinks, but that a body is not told what it said itself."""

    async def test_states_of_a_handoff_come_in_order(self, bed: SinkBed) -> None:
        async with bed.running() as outlet:
            for number, state in ((1, "sent"), (1, "received"), (1, "accepted"), (2, "sent")):
                await bed.say(number, state)
            await bed.until(["sent", "sent"])
            assert outlet.counts[Outcome.REFUSED] == 0


@pytest.mark.parametrize("name", ["si", "osl"])
def test_the_ready_mappings_pass_their_own_tests(name: str) -> None:
    path = MAPS / f"{name}.yaml"
    stating = Stating("viriat", "hubee", events(), Keys(bytes(32)), 1, None)
    results = list(trial.test(Mapper(path, "viriat", "hubee", ZoneInfo("Europe/Paris")), stating))
    assert len(results) >= 5
    assert not [(test, wrong) for test, wrong in results if wrong]
