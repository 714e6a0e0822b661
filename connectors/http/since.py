"""Asking an API for what changed since a moment."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from connectors.kit.contract import ConnectorConfig, Json
from connectors.kit.pointer import Pointer, at


class Since(ConnectorConfig):
    """How to ask for what changed."""

    param: str
    """Parameter that takes the moment."""
    modified: Pointer
    """Where a record says when it last changed."""
    form: Literal["iso", "seconds", "milliseconds"] = "iso"
    """How moments are written: ISO 8601, or numbers since 1970."""
    overlap_s: float = Field(300.0, ge=0)
    """What changed so long before the newest record is read again: records become visible after the moment that they bear."""
    first: str = ""
    """The moment of a pass that asks for everything, as the API takes it; empty: no such parameter."""

    def asked(self, moment: float | None) -> str:
        """A moment, in seconds since 1970, as the parameter takes it."""
        if moment is None:
            return self.first
        match self.form:
            case "seconds":
                return str(int(moment))
            case "milliseconds":
                return str(int(moment * 1000))
        return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=moment)).isoformat(timespec="milliseconds")

    def moment(self, record: Json, zone: ZoneInfo) -> float | None:
        """When a record changed, in seconds since 1970. None: it does not say so. A moment to come counts as now.

        So a record that bears the year 2099 does not hide all that change before it.
        """
        value = at(record, self.modified)
        try:
            if self.form == "iso":
                read = datetime.fromisoformat(value)
                moment = (read if read.tzinfo else read.replace(tzinfo=zone)).timestamp()
            else:
                moment = float(value) / (1000 if self.form == "milliseconds" else 1)
        except (ValueError, TypeError, OverflowError):
            return None
        return min(moment, time.time())
