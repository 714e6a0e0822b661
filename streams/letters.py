"""Dead letters: a record that could not be taken, with its original bytes and the reason."""

from __future__ import annotations

from hashlib import sha256

from schemas.codec import bus
from streams.reasons import RETRIABLE, Reason
from streams.runtime.processor import Record, Send


def dead_letter(
    to: str, topic: str, partition: int, record: Record, reason: Reason, detail: str = "", field: str | None = None
) -> Send:
    """The record for the dead-letter topic `to`. `detail` says how to mend it and never repeats the content."""
    value = record.value or b""
    datum = {
        "reason": reason.value,
        "detail": detail or None,
        "field": field,
        "topic": topic,
        "partition": partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": record.key,
        "value": None if reason is Reason.PERSONAL_NUMBER else record.value,
        "digest": sha256(value).hexdigest(),
        "size": len(value),
        "headers": [{"name": n, "value": v} for n, v in record.headers],
        "retriable": reason in RETRIABLE,
    }
    return Send(to, 0, None, bus().encode("dead-letter", datum))
