"""Whether what a manifest leads to is there, and fetching it. What is dead is told to its sender: by Alertmanager, where alerts go out.

A dead link is no fact, since nobody stated it, and no output of the engine, which knows facts alone: it is seen from outside, now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from connectors.documents.shelf import checked
from connectors.kit.contract import ConfigError, Unavailable
from connectors.kit.outgoing import Client, Outgoing


class Fault(StrEnum):
    """Why a document cannot be fetched."""

    GONE = "gone"
    """There is nothing at its address, or no right to it any more."""
    ALTERED = "altered"
    """Its size or digest is not that of the manifest."""
    UNREACHABLE = "unreachable"
    """Its server does not answer, or its address must not be called."""


_SUMMARIES = {
    Fault.GONE: "Un document transmis par {sender} n'est plus à son adresse",
    Fault.ALTERED: "Un document transmis par {sender} n'est pas celui qui avait été annoncé",
    Fault.UNREACHABLE: "Un document transmis par {sender} est à une adresse qui ne répond pas",
}


@dataclass(frozen=True, slots=True)
class Dead:
    """A document that its addressee cannot fetch."""

    handoff: str
    sender: str
    to: str
    sha256: str
    fault: Fault

    def alert(self, now: datetime, lasts: timedelta) -> dict[str, Any]:
        """As Alertmanager takes it (API v2): to the body that has to mend it; it ends by itself unless it is told again."""
        labels = {
            "alertname": "RelaisDeadDocument", "reason": f"document-{self.fault}", "severity": "warning", "body": self.sender,
            "other": self.to, "document": self.sha256[:16],
        }  # fmt: skip
        summary = _SUMMARIES[self.fault].format(sender=self.sender)
        ends = (now + lasts).isoformat()
        return {"labels": labels, "annotations": {"summary": summary}, "startsAt": now.isoformat(), "endsAt": ends}


async def fetch(document: dict[str, Any], outgoing: Outgoing) -> bytes:
    """The content of a document of a manifest, if it is that of the manifest. Its declared type is not believed.

    Raises:
        ConfigError: its address must not be called, or gives nothing.
        Unavailable: not now.
        Rejected: these are other bytes.
    """
    limited = outgoing.model_copy(update={"max_body": min(outgoing.max_body, document["size"] + 1)})
    async with Client(limited) as client:
        answer = (await client.request("GET", document["location"], headers={"accept-encoding": "identity"})).good()

    async def whole() -> Any:
        yield answer.body

    return b"".join([part async for part in checked(whole(), document["size"], document["sha256"])])


async def dead(handoffs: Iterable[dict[str, Any]], outgoing: Outgoing, today: date | None = None) -> list[Dead]:
    """The documents of open handoffs (records of the bus) that cannot be fetched now, though their day has not passed."""
    now = today or datetime.now(UTC).date()
    day = now.toordinal() - date(1970, 1, 1).toordinal()
    found = []
    async with Client(outgoing) as client:
        for record in handoffs:
            for document in record["documents"]:
                if document["until"] is not None and document["until"] < day:
                    continue
                fault = await _fault(document, client)
                if fault is not None:
                    found.append(Dead(record["handoff"], record["from_body"], record["to"], document["sha256"], fault))
    return found


async def _fault(document: dict[str, Any], client: Client) -> Fault | None:
    try:
        answer = await client.request("HEAD", document["location"], headers={"accept-encoding": "identity"})
    except (Unavailable, ConfigError):
        return Fault.UNREACHABLE
    if answer.status >= 500 or answer.status in (408, 429):
        return Fault.UNREACHABLE
    if answer.status not in (200, 204):
        return Fault.GONE
    size = answer.headers.get("content-length", "")
    return Fault.ALTERED if size.isdecimal() and int(size) != document["size"] else None


async def tell(found: Sequence[Dead], alertmanager: str, outgoing: Outgoing, lasts: timedelta) -> None:
    """Tell the senders. Raises `ConfigError`, `Unavailable` or `Rejected`."""
    now = datetime.now(UTC)
    async with Client(outgoing) as client:
        url = f"{alertmanager.rstrip('/')}/api/v2/alerts"
        (await client.request("POST", url, json=[one.alert(now, lasts) for one in found])).good("Alertmanager")
