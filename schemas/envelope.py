"""Texts that may hold personal data: the shape of their envelope and its commitment.

The commitment is the SHA-256 of a salt of 16 random bytes followed by the UTF-8 text. It alone is canonical. The salt
travels inside the ciphertext, so that destroying the key of the case leaves a digest from which the text cannot be
guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from hmac import compare_digest

SALT_BYTES = 16
"""Bytes of the salt."""

_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+~=-]{0,127}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def commitment(salt: bytes, text: str) -> str:
    """64 lower-case hexadecimal characters that commit to a text. Raises ValueError if the salt has not 16 bytes."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"the salt of a commitment has {SALT_BYTES} bytes")
    return sha256(salt + text.encode()).hexdigest()


def commits_to(given: str, salt: bytes, text: str) -> bool:
    """Whether a commitment is that of this salt and text."""
    return compare_digest(given.encode(), commitment(salt, text).encode())


def faults(envelope: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with the shape of an envelope: field and mend. The cryptography is not looked at."""
    ciphertext = envelope["ciphertext"]
    if not _KEY_ID.fullmatch(envelope["key_id"]):
        yield "key_id", "1 to 128 letters, digits or . _ : / @ + ~ = -"
    if len(ciphertext) < 24 or len(ciphertext) % 4 or not _BASE64.fullmatch(ciphertext):
        yield "ciphertext", f"base64 with padding, of at least {SALT_BYTES} bytes"
    if not _SHA256.fullmatch(envelope["commitment"]):
        yield "commitment", "64 lower-case hexadecimal characters (SHA-256)"
