"""Parts of an event: a document by reference, an encrypted text."""

from __future__ import annotations

from schemas.models.base import Day, Model, Text, Whole


class Envelope(Model):
    """Text that may hold personal data, encrypted under a key of the case. Only the commitment is canonical, so that
    destroying the key erases the text and leaves the proof."""

    key_id: Text
    """Key of the case under which the text is encrypted."""
    ciphertext: Text
    """Salt (16 bytes) and text, encrypted, base64. Not canonical."""
    commitment: Text
    """SHA-256 of the salt followed by the UTF-8 text, 64 hexadecimal characters."""


class Document(Model):
    """A document by reference: what it is and where the addressee may fetch it; never its content."""

    label: Text
    """What the document is, in the words of the procedure (no personal data)."""
    type: Text
    """Media type, such as application/pdf."""
    size: Whole
    """Bytes."""
    sha256: Text
    """SHA-256 of the content, 64 hexadecimal characters."""
    location: Text
    """Address at which the addressee fetches it."""
    until: Day | None = None
    """Last day on which it can be fetched."""
    envelope: Envelope | None = None
    """What the receiver needs to open it."""
