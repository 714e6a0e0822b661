"""The time zone of a system: said once, in the connector's file, and handed to whatever reads its times."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

from connectors.kit.contract import ConnectorConfig

FIELD = "time_zone"
"""Where it stands in a connector's file."""


def _known(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("there is no such time zone: write one such as Europe/Paris or Indian/Reunion") from None
    return name


Zone = Annotated[str, AfterValidator(_known)]
"""Name of a time zone that there is."""


class Zoned(ConnectorConfig):
    """Base of the configuration of a connector that meets times without an offset."""

    time_zone: Zone = "Europe/Paris"
    """Time zone of the system. Not to be set here: the kit hands over that of the connector's file."""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.time_zone)
