"""Documents that came by HubEE, as lines of a manifest: each is read once for its digest, which HubEE does not tell, and stays at HubEE."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from connectors.documents.origin import Origin
from connectors.documents.shelf import Shelf, read
from connectors.hubee.client import GoneError, Hubee, Json
from connectors.hubee.config import SourceConfig
from connectors.kit.contract import ConfigError

_SENT_BY = re.compile(r"handoff:([^:]+):[0-9a-f]{32}")
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")


class Relaying:
    """Gives documents of HubEE through the gateway."""

    def __init__(self, config: SourceConfig, hubee: Hubee) -> None:
        """Raises `ConfigError` if the store cannot be used."""
        assert config.documents is not None
        self._config, self._relay = config, config.documents
        self._hubee = hubee
        self._shelf: Shelf = read(config.documents.store)

    async def close(self) -> None:
        """Let go of the store."""
        await self._shelf.close()

    async def lines(self, told: Sequence[Json], found: Json, process: str, case: Json, event: str | None) -> list[Json]:
        """What is told of the attachments of a case or an event (`found`), with digest and address; what HubEE has no longer as it is."""
        sent = _SENT_BY.fullmatch(case["attributes"].get("relais", ""))
        to = sent[1] if sent else self._relay.body
        came = datetime.fromisoformat(found["createDateTime"]).date()
        until = came + timedelta(days=self._relay.days)
        lines = []
        for one, attachment in zip(told, found.get("attachments") or (), strict=True):
            origin = Origin(process=process, case=case["id"], event=event, attachment=attachment["id"])
            line = await self._shelf.knows(origin, to, until)
            if line is None and await self._refer(origin, one):
                line = await self._shelf.knows(origin, to, until)
            lines.append(one if line is None else line.model_dump(mode="json", exclude_none=True))
        return lines

    async def _refer(self, origin: Origin, told: Json) -> bool:
        """Read a document for its digest; False: HubEE has it no longer."""
        most = self._config.out.max_body
        if int(told["size"] or 0) > most:
            raise ConfigError(
                f"a document of {told['size']} bytes came, and {most} are taken: raise it", "out.max_body"
            )
        try:
            content = await self._hubee.attachment(origin.process, origin.case, origin.event, origin.attachment)
        except GoneError:
            return False
        type_ = str(told["type"] or "")
        plain = type_ if _TYPE.fullmatch(type_) else "application/octet-stream"
        await self._shelf.refer(origin, content, told["label"] or "document", plain)
        return True
