"""SOAP against a service that validates every message by its schema."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from connectors.kit.contract import Batch, ConfigError, Item, Record, Reject, Sent, Unavailable
from connectors.soap.sink import SoapSink, SoapSinkConfig
from connectors.soap.source import SoapSource
from tests.connectors.soap.application import FOLDER, WSDL, SoapPlace, SoapSinkPlace, fault, source_config
from tests.support.connector_contract import SourceContract
from tests.support.serving import LOOPBACK, using
from tests.support.sink_contract import SinkContract


@pytest.fixture
async def place() -> AsyncIterator[SoapPlace]:
    made = SoapPlace()
    await made.bring_back()
    yield made
    await made.close()


async def read(source: SoapSource, since: Any = None) -> list[Batch]:
    return [batch async for batch in source.read(since)]


class TestSoap(SourceContract):
    """The contract of sources; the fixture `place` is above."""


class TestSoapSink(SinkContract):
    @pytest.fixture
    async def place(self) -> AsyncIterator[SoapSinkPlace]:
        made = SoapSinkPlace()
        await made.bring_back()
        yield made
        await made.close()


async def test_changes_are_records_and_the_next_call_asks_from_there_less_an_overlap(place: SoapPlace) -> None:
    rows = place.application.rows = [
        ("2", "EN COURS", "2026-03-02T10:00:00", 4),
        ("1", "DEPOSE", "2026-03-01T09:00:00", 1),
    ]
    source = place.source()
    (batch,) = await read(source)
    first, second = batch.records
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert (first.key, first.version, second.key, second.version) == ("1", "1", "2", "4")
    assert second.content == {
        "numero": "2", "etat": "EN COURS", "modifie": "2026-03-02T10:00:00", "montant": "12.50", "version": 4,
    }  # fmt: skip
    assert batch.cursor == "2026-03-02T10:00:00"
    rows.append(("3", "DEPOSE", "2026-03-02T09:58:00", 1))  # became visible late
    (again,) = await read(source, batch.cursor)
    assert [r.key for r in again.records if isinstance(r, Record)] == ["3", "2"]
    rows.clear()
    assert await read(source, batch.cursor) == []


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (fault("soap:Server", "Maintenance"), Unavailable),
        (fault("soap:Server"), Unavailable),
        (fault("soap:Server", "ServiceFerme"), ConfigError),
        (fault("soap:Client"), ConfigError),
        (Response("<html>proxy</html>", 502, media_type="text/html"), Unavailable),
        (Response("<html>proxy", 200, media_type="text/html"), Unavailable),
        (Response(b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><a>&e;</a>', 200, media_type="text/xml"),
         Unavailable),
        (Response(status_code=403), ConfigError),
    ],
)  # fmt: skip
async def test_each_fault_is_of_one_kind_and_repeats_nothing(
    place: SoapPlace, failure: Response, kind: type[Exception]
) -> None:
    place.application.failures.append(failure)
    with pytest.raises(kind) as caught:
        await read(place.source())
    assert "MARTIN" not in str(caught.value)


async def test_a_check_names_what_is_wrong(place: SoapPlace, tmp_path: Path) -> None:
    ok = await place.source().check()
    assert ok.ok
    assert "0 records" in ok.findings[0].what
    for more, word in (
        ({"operation": "Lister"}, "DeposerTransmission, ListerModifies"),
        ({"arguments": {}}, "arguments"),
        ({"records": "/reste"}, "records"),
        ({"wsdl": tmp_path / "none.wsdl"}, "none.wsdl"),
        ({"out": LOOPBACK.model_copy(update={"private": ()})}, "private"),
    ):
        async with using(SoapSource(source_config(place.service, **more))) as source:
            report = await source.check()
        assert not report.ok
        assert word in report.findings[0].mend + report.findings[0].what


@pytest.mark.parametrize("place_", ["http://127.0.0.1:1/metier.xsd", "../metier.xsd", "file:///etc/hostname"])
async def test_nothing_is_imported_from_elsewhere(place: SoapPlace, tmp_path: Path, place_: str) -> None:
    folder = tmp_path / "metier"
    shutil.copytree(FOLDER, folder)
    text = (folder / "metier.wsdl").read_text().replace('schemaLocation="metier.xsd"', f'schemaLocation="{place_}"')
    (folder / "metier.wsdl").write_text(text)
    async with using(SoapSource(source_config(place.service, wsdl=folder / "metier.wsdl"))) as source:
        report = await source.check()
    assert not report.ok
    assert "keep a copy beside it" in report.findings[0].mend


def sink(place: SoapPlace, **more: Any) -> SoapSink:
    arguments = {"cle": "id", "numero": "content.from_case", "objet": "content.reason"}
    config = {
        "wsdl": WSDL,
        "address": place.service,
        "operation": "DeposerTransmission",
        "arguments": arguments,
        "out": LOOPBACK,
    }
    return SoapSink(SoapSinkConfig.model_validate(config | {"faults": {"unavailable": ["Maintenance"]}} | more))


def handoff(n: int, **more: Any) -> Item:
    content = {"state": "sent", "from_case": f"case:gba/I-{n}", "reason": "à côté"} | more
    return Item(f"id-{n}", "handoff", f"handoff-{n}", content)


async def test_each_handoff_is_told_once_by_its_id_and_its_answer_is_the_receipt(place: SoapPlace) -> None:
    async with using(sink(place)) as made:
        report = await made.check()
        assert report.ok
        assert "cle: xsd:string" in report.findings[0].what
        assert place.application.calls == []
        assert await made.send([handoff(1), handoff(2)]) == [Sent(receipt=True)] * 2
        assert await made.send([handoff(1), handoff(3, state="accepted"), Item("s", "status", "s", {})]) == [
            Sent(receipt=True), Sent(), Sent(),
        ]  # fmt: skip
    assert place.application.told == {"id-1": ("case:gba/I-1", "à côté"), "id-2": ("case:gba/I-2", "à côté")}


async def test_what_the_service_cannot_take_is_rejected_and_what_it_cannot_take_now_is_waited_for(
    place: SoapPlace,
) -> None:
    async with using(sink(place)) as made:
        too_long, none = await made.send([handoff(1, from_case="x" * 41), handoff(2, from_case=None)])
        assert isinstance(too_long, Reject)
        assert "fault Schema" in too_long.mend
        assert isinstance(none, Reject)
        assert "do not fit the WSDL" in none.mend
        place.application.failures.append(fault("soap:Server", "Maintenance"))
        with pytest.raises(Unavailable):
            await made.send([handoff(3)])
        assert await made.send([handoff(3)]) == [Sent(receipt=True)]
    async with using(sink(place, arguments={"cle": "id ("})) as made:
        report = await made.check()
        assert "arguments.cle" in report.findings[0].mend
