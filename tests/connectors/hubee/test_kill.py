"""`relais connector run` with HubEE and a SOAP service, killed (-9) in the middle: every folder and every file once, the queue empty."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from connectors import hubee
from deploy.local_kafka import LocalKafka
from tests.connectors.hubee.hub import HubeePlace, hub_at
from tests.connectors.soap.application import MAPPING, WSDL, SoapPlace
from tests.support.connector_process import Runs, lay_file

OUT = {"private": ["127.0.0.0/8"]}


def lay(folder: Path, hub: str, soap: str) -> list[Path]:
    """A connector to each; HubEE's with the mapping that comes with it, and the label of a process mapped later."""
    credentials = {"EtatCivil": {"client_id": "SI-EtatCivil", "client_secret": "secret of EtatCivil"}}
    config = {
        "hubee": {
            "api": hub, "token": f"{hub}/oauth2/token", "role": "SI", "processes": credentials, "page": 10, "out": OUT,
        },
        "soap": {
            "wsdl": str(WSDL), "address": soap, "operation": "ListerModifies", "arguments": {"service": "ADS"}, "since": "depuis",
            "begin": "2020-01-01T00:00:00", "records": "/dossier", "key": "/numero", "changed": "/modifie", "out": OUT,
        },
    }  # fmt: skip
    shutil.copy(Path(hubee.__file__).parent / "maps" / "si.yaml", folder / "hubee.map.yaml")
    (folder / "hubee.map.labels.yaml").write_text("procedure: {EtatCivil: etat-civil.acte}\n")
    (folder / "soap.map.yaml").write_text(MAPPING)
    return [lay_file(folder, name, name, given) for name, given in config.items()]


async def _killed(runs: Runs, kills: int, count: int) -> None:
    await runs.prepare()
    hub, soap = HubeePlace(runs.folder), SoapPlace()
    try:
        await hub.bring_back()
        await soap.bring_back()
        files = lay(runs.folder, hub.address, soap.service)
        soap.application.rows = [
            (str(n), "DEPOSE", f"2026-03-02T{n // 60 % 24:02}:{n % 60:02}:00", 1) for n in range(count)
        ]
        async with hub_at(hub.address, hub.fake) as other:
            cases = [await other.send(f"TD-{n}") for n in range(count)]
        await runs.killed(files, kills, 2 * count)

        async def done() -> bool:
            return len(await runs.stated()) >= 2 * count and not hub.waiting("SI")

        await runs.finished(files, done)
    finally:
        await soap.close()
        await hub.close()
    expected = {f"case:viriat/EtatCivil-{case}" for case in cases} | {f"case:viriat/R-{n}" for n in range(count)}
    assert await runs.stated() == Counter(expected)
    assert {case["status"] for case in hub.fake.cases.values()} == {"SI_RECEIVED"}
    assert len(hub.waiting("OSL")) == count, "the sender is told once of each"
    assert "secret of EtatCivil" not in runs.log


@pytest.mark.system
async def test_killed_in_the_middle_every_record_is_stated_once(
    kafka: LocalKafka, instance: str, tmp_path: Path
) -> None:
    await _killed(Runs(kafka, instance, tmp_path), kills=1, count=25)


@pytest.mark.long
@pytest.mark.system
async def test_killed_again_and_again_every_record_is_stated_once(
    kafka: LocalKafka, instance: str, tmp_path: Path
) -> None:
    await _killed(Runs(kafka, instance, tmp_path), kills=10, count=300)
