"""Secret codes of persons, minted journey ids, and limits on how often somebody may try.

A code is derived from the identity of the fact that opens the case, so that a retry is the same fact. Of it the bus keeps a salted hash
(scrypt, RFC 7914), in the field `access_code`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import blake2b, scrypt
from hmac import compare_digest, digest

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that is taken for a digit."""
LENGTH = 12
"""Characters of a code: 60 bits."""
_COST = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
_ALIKE = str.maketrans({"O": "0", "I": "1", "L": "1"})
_NOBODY = "scrypt$" + "00" * 16 + "$" + "00" * 32


class Minter:
    """Derives codes and journey ids with a secret of the deployment."""

    def __init__(self, secret: bytes) -> None:
        self._secret = blake2b(secret, digest_size=32, person=b"relais-codes").digest()

    def _derive(self, what: str, source: str, subject: str, id_: str) -> bytes:
        return digest(self._secret, "\0".join((what, source, subject, id_)).encode(), "sha256")

    def code(self, source: str, subject: str, id_: str) -> str:
        """The code of a case, by the identity of the fact that opens it: three groups of four characters."""
        number = int.from_bytes(self._derive("code", source, subject, id_)[:8], "big")
        letters = [ALPHABET[(number >> 5 * i) & 31] for i in range(LENGTH)]
        return "-".join("".join(letters[i : i + 4]) for i in range(0, LENGTH, 4))

    def access_code(self, source: str, subject: str, id_: str) -> str:
        """The salted hash of that code."""
        salt = self._derive("salt", source, subject, id_)[:16]
        return f"scrypt${salt.hex()}${_hash(self.code(source, subject, id_), salt).hex()}"

    def journey(self, body: str, source: str, subject: str, id_: str) -> str:
        """A journey id of a body, as if drawn at random."""
        return f"journey:{body}:{self._derive('journey', source, subject, id_)[:16].hex()}"


def plain(code: str) -> str:
    """A code as typed, brought to its form: without spaces and hyphens, capital, letters taken for digits mended."""
    return "".join(c for c in code.upper().translate(_ALIKE) if c in ALPHABET)[: 2 * LENGTH]


def _hash(code: str, salt: bytes) -> bytes:
    return scrypt(plain(code).encode(), salt=salt, **_COST)


def opens(code: str, hashes: list[str]) -> bool:
    """Whether a code is that of one of these hashes (at most four are tried). Takes its time even if there is none."""
    found = False
    for text in hashes[:4] or [_NOBODY]:
        _, salt, known = text.split("$")
        found |= compare_digest(_hash(code, bytes.fromhex(salt)), bytes.fromhex(known))
    return found


class Limiter:
    """So many tries at once, then so many a minute, for each key; the keys seen longest ago are forgotten."""

    def __init__(self, per_minute: float, burst: int, room: int = 100_000) -> None:
        self._rate = per_minute / 60
        self._burst = float(burst)
        self._room = room
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Take one try: 0 if it is free, else the seconds until one will be."""
        now = time.monotonic()
        left, at = self._left.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        missing = 0.0 if left >= 1 else (1 - left) / self._rate
        self._left[key] = (left if missing else left - 1, now)
        if len(self._left) > self._room:
            self._left.popitem(last=False)
        return missing
