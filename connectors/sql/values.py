"""Values of a database as JSON values, exactly: nothing is rounded, and every time says its offset."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from connectors.kit.contract import Json

_AS_IT_IS = frozenset({str, int, bool, type(None)})
_AS_TEXT = (UUID, IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)


class UnreadableError(ValueError):
    """A value that has no exact form in JSON; the text says what to do, never the value."""


def to_json(value: Any, zone: ZoneInfo) -> Json:  # noqa: C901, PLR0911, PLR0912 - one line a type
    """A value as JSON. Decimals become text with all their digits, bytes base64, naive times local times of `zone`.

    A local time of the hour that the clocks go through twice in autumn is taken as the earlier one.
    """
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, (str, int)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, datetime):
        return local(value, zone).isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnreadableError("holds what is not a number")
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return b64encode(value).decode()
    if isinstance(value, timedelta):
        return duration(value)
    if isinstance(value, _AS_TEXT):
        return str(value)
    if isinstance(value, Enum):
        return to_json(value.value, zone)
    if isinstance(value, (list, tuple)):
        return [to_json(one, zone) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted(to_json(one, zone) for one in value)
    if isinstance(value, Mapping):
        return {str(name): to_json(one, zone) for name, one in value.items()}
    raise UnreadableError("is of a type that has no form in JSON: leave it out in `columns`, or cast it in a `query`")


def local(value: datetime, zone: ZoneInfo) -> datetime:
    """A time with the offset of the zone; a naive one is a local time there."""
    return value.replace(tzinfo=zone) if value.tzinfo is None else value.astimezone(zone)


def duration(value: timedelta) -> str:
    """A length of time by ISO 8601, in seconds: `PT5400S`."""
    whole, rest = divmod(abs(value), timedelta(seconds=1))
    fraction = f".{rest.microseconds:06}".rstrip("0") if rest else ""
    return f"{'-' if value < timedelta() else ''}PT{whole}{fraction}S"


def key_of(values: list[Any], zone: ZoneInfo) -> str | None:
    """The key of a record as one text; None if a part of it is empty."""
    parts = [to_json(value, zone) for value in values]
    if any(part is None or part == "" for part in parts):
        return None
    texts = [part if isinstance(part, str) else str(part) for part in parts]
    if len(texts) == 1:
        return texts[0]
    return "|".join(text.replace("\\", "\\\\").replace("|", "\\|") for text in texts)


Moment = int | date | datetime
"""A value of the column that says when a row was modified: a time, a day, or a number that grows."""


def moment_text(value: Moment) -> Json:
    """Such a value in a cursor."""
    return value if isinstance(value, int) else value.isoformat()


def moment_of(kept: Json) -> Moment:
    """Back from a cursor. Raises `ValueError`."""
    if isinstance(kept, int):
        return kept
    return datetime.fromisoformat(kept) if "T" in kept else date.fromisoformat(kept)


def before(value: Moment, overlap: int, zone: ZoneInfo) -> Moment:
    """The least value that a row committed within `overlap` (seconds, or steps of a number) before `value` can bear."""
    if isinstance(value, datetime):
        start = local(value, zone).astimezone(UTC) - timedelta(seconds=overlap)
        if value.tzinfo is not None:
            return start
        here, later = start.astimezone(zone), (start + timedelta(hours=3)).astimezone(zone)
        shift = (here.utcoffset() or timedelta()) - (later.utcoffset() or timedelta())
        # Where the clocks go back within the hours to come, what is written after may bear an earlier time.
        return here.replace(tzinfo=None) - max(shift, timedelta())
    if isinstance(value, date):
        return value - timedelta(days=-(-overlap // 86_400))
    return value - overlap


def no_later(value: Moment, now: datetime, zone: ZoneInfo) -> Moment:
    """The value, or now if it lies in the future: a row with a wrong date must not hide those that come after it."""
    if isinstance(value, datetime):
        return min(value, now if value.tzinfo else now.astimezone(zone).replace(tzinfo=None))
    if isinstance(value, date):
        return min(value, now.astimezone(zone).date())
    return value
