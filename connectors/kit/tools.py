"""What a mapping may call beside plain JSONata: dates as old software writes them, references, labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from connectors.kit.contract import Json, Rejected

Labels = Mapping[str, Mapping[str, Json]]
"""Tables of local labels: table -> label of the source -> what it is here; None: it says nothing."""

_LOCAL = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(?:[ T](\d{1,2})[:h](\d{2})(?::(\d{2}))?)?")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")


class UnknownLabelError(Exception):
    """A label that nobody has mapped: the record waits for curation. The label is for the list of labels alone, never for a log."""

    def __init__(self, table: str, label: str) -> None:
        super().__init__(f"a label of {table} is not mapped")
        self.table = table
        self.label = label


class Tools:
    """The functions of one connector. Pure."""

    def __init__(self, body: str, system: str, zone: ZoneInfo, labels: Labels) -> None:
        self._body = body
        self._source = f"{body}/{system}"
        self.zone = zone
        """Time zone of the source."""
        self._labels = labels
        self._parsed = lru_cache(4_096)(partial(_parsed, zone))

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The functions by the name that expressions call them by."""
        return {
            "date": self.date,
            "instant": self.instant,
            "label": self.label,
            "case": self.case,
            "handoff": self.handoff,
        }

    def label(self, table: Json, label: Json = None) -> Json:
        """`$label('state', etat)`: what a local label is here. A label that is not mapped makes the record wait; none is none."""
        if label is None or label == "":
            return None
        known = self._labels.get(str(table), {})
        text = str(label).strip()
        if text not in known:
            raise UnknownLabelError(str(table), text)
        return known[text]

    def date(self, value: Json = None) -> str | None:
        """`$date(saisi_le)`: the legal date, `2026-03-01`, of an ISO date or instant, `01/03/2026`, `01.03.2026` or `20260301`."""
        moment = self._moment(value)
        return None if moment is None else moment.date().isoformat()

    def instant(self, value: Json = None) -> str | None:
        """`$instant(maj)`: the instant with the source's offset. A time without an offset is in the time zone of the source."""
        moment = self._moment(value)
        return (
            None
            if moment is None
            else moment.isoformat(timespec="seconds" if not moment.microsecond else "milliseconds")
        )

    def case(self, number: Json = None) -> str | None:
        """`$case(numero)`: the reference of a case of the stating body."""
        return None if number in (None, "") else f"case:{self._body}/{number}"

    def handoff(self, number: Json = None) -> str | None:
        """`$handoff(id_envoi)`: the reference of a handoff that the body issues, always the same for the same number."""
        if number in (None, ""):
            return None
        return f"handoff:{self._body}:{blake2b(f'{self._source}|{number}'.encode(), digest_size=16).hexdigest()}"

    def _moment(self, value: Json) -> datetime | None:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        try:
            return self._parsed(str(value).strip())
        except ValueError:
            raise Rejected(
                "a date is not of a form that is known: write 2026-03-01, 01/03/2026 or an ISO 8601 instant"
            ) from None


def _parsed(zone: ZoneInfo, text: str) -> datetime:
    if match := _LOCAL.fullmatch(text):
        day, month, year, hour, minute, second = (int(g) if g else 0 for g in match.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=zone)
    if match := _COMPACT.fullmatch(text):
        year, month, day = map(int, match.groups())
        return datetime(year, month, day, tzinfo=zone)
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def today(zone: ZoneInfo, now: float) -> date:
    """The local date at an instant (seconds since the epoch)."""
    return datetime.fromtimestamp(now, zone).date()
