"""A source that calls an operation which lists what changed since an instant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import Field

from connectors.kit.contract import (
    Batch,
    ConfigError,
    ConnectorConfig,
    ConnectorError,
    Cursor,
    Finding,
    Json,
    Record,
    Refused,
    Rejected,
    Report,
    Unavailable,
)
from connectors.kit.pointer import Pointer, at, key_at
from connectors.soap.service import Service, SoapConfig, SoapFault


class SoapSourceConfig(SoapConfig):
    """A SOAP service that is asked what changed."""

    operation: str
    """Operation that lists changes."""
    arguments: dict[str, Json] = Field(default_factory=dict)
    """Its arguments, as they are."""
    since: str
    """Name of the argument that takes the instant; what changed at that very instant must be listed too."""
    begin: datetime
    """Instant from which the first call asks; written as the service has its times, with or without an offset."""
    overlap_s: float = Field(300.0, ge=0)
    """Each call asks again for so long before the newest change it has seen, for records that become visible late."""
    records: Pointer
    """Where the list of records stands in the answer, such as `/dossier`; empty: the answer is the list."""
    key: Pointer | tuple[Pointer, ...]
    """Where a record's own key stands; several fields may make it together."""
    version: Pointer | None = None
    """Where a record's version stands, if it has one."""
    changed: Pointer
    """Where the instant of its last change stands."""


class SoapSource:
    """Asks a SOAP service what changed, again and again."""

    Config: ClassVar[type[ConnectorConfig]] = SoapSourceConfig

    def __init__(self, config: SoapSourceConfig) -> None:
        self._config = config
        self._service = Service(config)

    async def check(self) -> Report:
        """Read the WSDL, and call the operation once from where the first call asks."""
        config = self._config
        try:
            known = await self._service.operations()
            if config.operation not in known:
                raise ConfigError(f"the service has no operation of this name; it has {', '.join(known)}", "operation")
            listed = await self._listed(config.begin)
        except ConnectorError as error:
            return Report([Finding(False, f"{config.wsdl.name}: {config.operation}", str(error))])
        return Report(
            [Finding(True, f"{config.operation} lists {len(listed)} records since {config.begin.isoformat()}")]
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()

    async def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """One call, one batch."""
        newest = datetime.fromisoformat(since) if since else self._config.begin
        asked = newest - timedelta(seconds=self._config.overlap_s) if since else newest
        listed = await self._listed(asked)
        if listed:
            moments = [moment for one in listed if (moment := self._moment(one)) is not None]
            try:
                newest = max([newest, *moments])
            except TypeError:
                mend = "write it as the service has its times: with an offset, or without"
                raise ConfigError(mend, "begin") from None
            yield Batch([self._record(one) for one in listed], newest.isoformat())

    async def _listed(self, since: datetime) -> list[Json]:
        config = self._config
        try:
            answer = await self._service.call(config.operation, {**config.arguments, config.since: since})
        except SoapFault as fault:
            if fault.ours:
                raise ConfigError(f"{fault}: it says that the call is wrong", "arguments") from None
            raise Unavailable(str(fault)) from None
        except Rejected as error:
            raise ConfigError(error.mend, "arguments") from None
        found = at(answer, config.records)
        if found is None:
            return []
        if not isinstance(found, list):
            raise ConfigError("there is no list at this place of the answer", "records")
        return sorted(found, key=lambda one: str(at(one, config.changed)))

    def _moment(self, one: Json) -> datetime | None:
        try:
            return datetime.fromisoformat(str(at(one, self._config.changed)))
        except ValueError:
            return None

    def _record(self, one: Json) -> Record | Refused:
        config = self._config
        key = key_at(one, (config.key,) if isinstance(config.key, str) else config.key)
        if key is None or not isinstance(one, dict):
            return Refused(str(one).encode(), "the record has no key where `key` says", config.operation)
        version = at(one, config.version) if config.version is not None else None
        return Record(key, one, version=None if version is None else str(version), place=config.operation)
