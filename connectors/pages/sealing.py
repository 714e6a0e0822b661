"""What a browser keeps for us: short-lived, signed, and of no use for anything but what it was made for."""

from __future__ import annotations

import base64
import binascii
import json
import time
from hashlib import blake2b
from hmac import compare_digest, digest
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

MAX_CHARS = 2_000


class Seal:
    """Signs small values with a secret of the deployment (HMAC-SHA-256); nothing in them is hidden from who holds them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = blake2b(secret, digest_size=32, person=b"relais-pages").digest()

    def close(self, purpose: str, value: dict[str, Any], seconds: int) -> str:
        """A value as text, valid for so many seconds and for this purpose alone."""
        raw = json.dumps([int(time.time()) + seconds, value], separators=(",", ":")).encode()
        return f"{base64.urlsafe_b64encode(raw).decode()}.{self.mark(purpose, raw.decode())}"

    def open(self, purpose: str, text: str) -> dict[str, Any] | None:
        """The value; None if it is not ours, not for this purpose, or too old."""
        body, dot, mark = text.partition(".")
        if not dot or len(text) > MAX_CHARS or not mark.isascii():
            return None
        try:
            raw = base64.urlsafe_b64decode(body.encode("ascii")).decode()
        except (binascii.Error, ValueError):
            return None
        if not compare_digest(self.mark(purpose, raw), mark):
            return None
        until, value = json.loads(raw)
        return value if until > time.time() and isinstance(value, dict) else None

    def mark(self, purpose: str, text: str) -> str:
        """The signature of a text for a purpose."""
        return digest(self._secret, f"{purpose}\0{text}".encode(), "sha256").hex()


class Cookie:
    """One cookie of one part of the site."""

    def __init__(self, seal: Seal, name: str, path: str, seconds: int, secure: bool) -> None:
        self._seal, self.name, self._path, self._seconds = seal, name, path, seconds
        self._secure = secure

    def read(self, request: Request) -> dict[str, Any] | None:
        """What the browser sent, if it is ours and still valid."""
        return self._seal.open(self.name, request.cookies.get(self.name, ""))

    def write(self, response: Response, value: dict[str, Any]) -> None:
        """Let the browser keep a value."""
        text = self._seal.close(self.name, value, self._seconds)
        response.set_cookie(
            self.name,
            text,
            max_age=self._seconds,
            path=self._path,
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )

    def clear(self, response: Response) -> None:
        """Let the browser forget it."""
        response.delete_cookie(self.name, path=self._path, secure=self._secure, httponly=True, samesite="strict")
