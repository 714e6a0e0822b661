"""A hub with two processes, a town hall and an online service, as tests of the connector use it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from connectors.hubee.client import Hubee
from connectors.hubee.config import Credentials, Recipient, Role, SinkConfig, SourceConfig
from connectors.hubee.sink import HubeeSink
from connectors.hubee.source import HubeeSource
from connectors.kit.secret import Secret
from tests.support.hubee import Client, FakeHubee
from tests.support.serving import LOOPBACK, Switched

MAIRIE = {"siret": "21010451400013", "counter": "01451"}
PDF = b"%PDF-1.7 a plan"


@dataclass
class Hub:
    fake: FakeHubee
    url: str
    others: dict[tuple[Role, str], Hubee] = field(default_factory=dict)

    def other(self, role: Role, process: str = "EtatCivil") -> Hubee:
        """A client of the other side."""
        made = self.others.get((role, process)) or Hubee(SourceConfig(**self.settings(role, process)))
        return self.others.setdefault((role, process), made)

    def credentials(self, role: Role, *processes: str) -> dict[str, Credentials]:
        return {
            p: Credentials(client_id=f"{role.value}-{p}", client_secret=Secret.model_validate(f"secret of {p}"))
            for p in processes or ("EtatCivil",)
        }

    def settings(self, role: Role, *processes: str) -> dict[str, Any]:
        token = f"{self.url}/oauth2/token"
        return {
            "api": self.url,
            "token": token,
            "role": role,
            "processes": self.credentials(role, *processes),
            "out": LOOPBACK,
        }

    def source(self, role: Role = Role.SI, *processes: str, **more: Any) -> HubeeSource:
        return HubeeSource(SourceConfig(**self.settings(role, *processes), **more))

    def sink(self, role: Role = Role.OSL, **more: Any) -> HubeeSink:
        return HubeeSink(SinkConfig(**self.settings(role), **more))

    async def send(self, number: str, process: str = "EtatCivil", said: str | None = None, external: str = "") -> str:
        """Send a folder as its online service does; the id of its case."""
        case_number = external or f"{number}-1"
        osl = self.other(Role.OSL, process)
        file = {
            "fileName": "JEANNE-MARTIN.pdf",
            "type": "ActeEtatCivil-PDF",
            "size": len(PDF),
            "mimeType": "application/pdf",
        }
        made = await osl.create_folder(process, {
            "processCode": process, "externalId": number, "applicant": {"firstName": "Jeanne", "lastName": "MARTIN"},
            "cases": [{
                "externalId": case_number, "partnerAttributes": said,
                "recipient": {"type": "SI", "companyRegister": MAIRIE["siret"], "branchCode": MAIRIE["counter"]},
            }],
            "attachments": [file | {"recipients": [case_number]}],
        })  # fmt: skip
        await osl.put_attachment(process, made["id"], made["attachments"][0]["id"], PDF)
        await osl.complete_folder(process, made["id"])
        case: str = made["cases"][0]["id"]
        return case

    async def say(self, role: Role, case: str, to: str, **more: Any) -> None:
        """State a change of status as the other side does."""
        other = self.other(role)
        event = {"actionType": "STATUS_UPDATE", "notification": True, "caseNewStatus": to, **more}
        await other.add_event("EtatCivil", case, event)
        await other.move_case("EtatCivil", case, to)


def hub_of_two() -> FakeHubee:
    """A hub with credentials of both sides for two processes."""
    clients = {}
    for process in ("EtatCivil", "CERTDC"):
        clients[f"SI-{process}"] = Client(f"secret of {process}", "SI", process, MAIRIE["siret"], MAIRIE["counter"])
        clients[f"OSL-{process}"] = Client(f"secret of {process}", "OSL", process, "13002526500013", "0")
    return FakeHubee(clients)


@asynccontextmanager
async def hub_at(url: str, fake: FakeHubee) -> AsyncIterator[Hub]:
    """The hub, with the clients of the other side."""
    hub = Hub(fake, url)
    try:
        yield hub
    finally:
        for other in hub.others.values():
            await other.close()


MAPPING = """
case: "'R-' & case.external_id"
events:
  - states: case.opened
    at: $instant(notified_at)
    from: {references: "['external:hubee:' & case.id]"}
"""


class HubeePlace(Switched):
    """HubEE as the contracts of sources and sinks handle a system; to a body that works there a handoff comes once, as it was sent."""

    mapping = MAPPING
    zone = "America/Cayenne"
    keeps_states = True
    receipts = False

    def __init__(self, folder: Path) -> None:
        self.fake = hub_of_two()
        super().__init__(self.fake.app())
        self._folder = folder

    def waiting(self, role: str) -> list[dict[str, Any]]:
        """Notifications that one side has not acknowledged."""
        return [n for n in self.fake.notifications.values() if n["recipient"]["type"] == role]

    def source(self) -> HubeeSource:
        made = Hub(self.fake, self.address).source(page=10)
        made.patience_s = 0.2
        return self.used_by(made)

    async def write(self, numbers: Iterable[int], at: datetime) -> None:
        async with hub_at(self.address, self.fake) as hub:
            for number in numbers:
                await hub.send(f"TD-{number}", external=str(number))
                list(self.fake.notifications.values())[-1]["dateTime"] = at.astimezone(UTC).isoformat()

    async def write_bad(self) -> None:
        async with hub_at(self.address, self.fake) as hub:
            await hub.send(f"bad-{uuid4().hex[:8]}")
        del self.fake.cases[list(self.fake.cases)[-1]]

    def sink(self) -> HubeeSink:
        to = Recipient(siret=MAIRIE["siret"], counter=MAIRIE["counter"])
        hub = Hub(self.fake, self.address)
        made = hub.sink(recipient=to, process="EtatCivil", ledger=self._folder / "ledger.db", await_receipt=False)
        return self.used_by(made)

    async def received(self) -> list[dict[str, str]]:
        found = []
        for case in self.fake.cases.values():
            [told] = [a["id"] for a in case["attachments"] if a["type"] == "relais"]
            found.append({"id": case["externalId"], "state": json.loads(self.fake.binaries[told])["state"]})
        return found
