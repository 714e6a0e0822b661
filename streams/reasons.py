"""Why a record is a dead letter. The values are metric labels and log fields, so the list is closed."""

from __future__ import annotations

from enum import StrEnum

from schemas.codec import CodecFault


class Reason(StrEnum):
    """Reason of a dead letter."""

    UNREADABLE = "unreadable"
    """Not Avro, or broken."""
    UNKNOWN_SCHEMA = "unknown-schema"
    """Framed as Avro, by a schema that is not of the contract (yet)."""
    UNKNOWN_BODY = "unknown-body"
    """The stating body is not in the directory."""
    NOT_ALLOWED = "not-allowed"
    """The speaker may not state this: another body's word, or a message of the bus itself."""
    INVALID = "invalid"
    """Read, and refused by a check of the door."""
    TOO_LARGE = "too-large"
    """More bytes than an event may have."""
    PERSONAL_NUMBER = "personal-number"
    """It holds what looks like a national identity number; the bytes are not kept."""
    AFTER_PURGE = "after-purge"
    """About a case whose facts were dropped at the end of their retention."""
    MAPPING = "mapping"
    """A connector's mapping fails on it; replay it once the mapping is mended."""
    REJECTED = "rejected"
    """A source says that it can never be read, or a receiver that it will never take it."""
    BUG = "bug"
    """relais failed on it; replay it once relais is mended."""


RETRIABLE = frozenset({Reason.UNKNOWN_SCHEMA, Reason.UNKNOWN_BODY, Reason.MAPPING, Reason.BUG})
"""Reasons whose cause can be mended outside the record."""


def of_fault(fault: CodecFault) -> Reason:
    """Reason of bytes that the codec cannot read."""
    return Reason.UNKNOWN_SCHEMA if fault is CodecFault.UNKNOWN_SCHEMA else Reason.UNREADABLE
