"""Events as a program builds them, and as they go over the line: CloudEvents 1.0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import sha256
from typing import Any

PREFIX = "fr.relais."


@dataclass(frozen=True, slots=True)
class Event:
    """One fact that a body states."""

    type: str
    """Such as `case.opened` or `handoff.sent`."""
    subject: str
    """What it is about: `case:<body>/<number>`."""
    id: str
    """Names this fact among those of its subject, for ever: take your software's own number of this change. Sent again with the same id
    it is the same fact."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The fields of its type."""
    occurred_on: date | None = None
    """The legal date, where the body is; may be left out where `occurred_at` is given."""
    occurred_at: datetime | None = None
    """The instant with its offset, if it is known."""

    def cloudevent(self, source: str) -> dict[str, Any]:
        """As it goes over the line. Raises `ValueError` if it says no date."""
        if self.occurred_at is not None and self.occurred_at.tzinfo is None:
            raise ValueError("occurred_at needs an offset")
        on = self.occurred_on or (self.occurred_at.date() if self.occurred_at else None)
        if on is None:
            raise ValueError("give occurred_on, or occurred_at")
        time = {"time": self.occurred_at.isoformat()} if self.occurred_at else {}
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": source,
            "type": PREFIX + self.type,
            "subject": self.subject,
            "datacontenttype": "application/json",
            **time,
            "data": {"occurred_on": on.isoformat(), **self.data},
        }


def handoff_reference(body: str, *names: str) -> str:
    """The reference of a handoff that `body` sends, drawn from what names it in the body's software: the same names, the same reference."""
    return f"handoff:{body}:{sha256('|'.join(names).encode()).hexdigest()[:32]}"
