"""Documents that stay where they are: HubEE keeps them, and they are fetched there, by our credentials, when their addressee asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import blake2b

from pydantic import BaseModel, ConfigDict

from connectors.hubee.client import GoneError, Hubee
from connectors.hubee.config import HubeeConfig
from connectors.kit.contract import ConfigError, Rejected


class Origin(BaseModel):
    """Where in HubEE a document is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    process: str
    case: str
    event: str | None = None
    attachment: str

    @property
    def id(self) -> str:
        """Id of the document here: the same whenever it is told again."""
        told = "\0".join(("hubee", self.process, self.case, self.event or "", self.attachment))
        return blake2b(told.encode(), digest_size=16).hexdigest()


class AtHubee:
    """Fetches documents that HubEE keeps."""

    def __init__(self, config: HubeeConfig) -> None:
        self._processes = frozenset(config.processes)
        self._hubee = Hubee(config)

    async def there(self, origin: Origin) -> bool:
        """Whether HubEE has it still. Raises `ConfigError` and `Unavailable`."""
        if origin.process not in self._processes:
            raise ConfigError(
                f"there are no credentials for {origin.process}, by which a document came", "hubee.processes"
            )
        try:
            if origin.event is None:
                found = await self._hubee.case(origin.process, origin.case)
            else:
                found = await self._hubee.event(origin.process, origin.case, origin.event)
        except GoneError:
            return False
        return any(one.get("id") == origin.attachment for one in found.get("attachments") or ())

    async def read(self, origin: Origin) -> AsyncIterator[bytes]:
        """Its bytes."""
        try:
            yield await self._hubee.attachment(origin.process, origin.case, origin.event, origin.attachment)
        except GoneError:
            raise Rejected("HubEE has it no longer: ask the sender for the document again") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._hubee.close()
