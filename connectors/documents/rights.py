"""The right to fetch one document: for one body, until a day, signed by the key of the store. It stands in the document's address."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple
from urllib.parse import urlencode


class Right(NamedTuple):
    """Who may fetch which document until when."""

    document: str
    """Id of the document, 32 hexadecimal characters."""
    to: str
    """Body for which it is."""
    until: date
    """Last day, UTC."""

    def query(self, key: bytes) -> str:
        """The right as the query of an address."""
        return urlencode({"to": self.to, "until": self.until.isoformat(), "right": _sign(self, key)})


def granted(document: str, query: Mapping[str, str], key: bytes, today: date) -> Right | None:
    """The right that a query shows; None if it is wrong, for another document, or over."""
    try:
        right = Right(document, query.get("to", ""), date.fromisoformat(query.get("until", "")))
    except ValueError:
        return None
    shown = query.get("right", "").encode(errors="replace")
    return right if hmac.compare_digest(shown, _sign(right, key).encode()) and today <= right.until else None


def _sign(right: Right, key: bytes) -> str:
    said = "\n".join(("relais document 1", right.document, right.to, right.until.isoformat()))
    return base64.urlsafe_b64encode(hmac.digest(key, said.encode(), "sha256")).decode().rstrip("=")
