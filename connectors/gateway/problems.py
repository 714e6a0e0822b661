"""Answers that say what went wrong, by RFC 9457: for programs a type, for people the mend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
TYPE = "https://relais.example/problems/"


class Trouble(StrEnum):
    """Type of a problem; also the metric label."""

    UNAUTHENTICATED = "unauthenticated"
    NOT_ALLOWED = "not-allowed"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    MALFORMED_REQUEST = "malformed-request"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    TOO_LARGE = "too-large"
    UNSOUND_EVENT = "unsound-event"
    CONFLICT = "conflict"
    TOO_MANY_REQUESTS = "too-many-requests"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    BUG = "bug"


_KINDS: dict[Trouble, tuple[int, str]] = {
    Trouble.UNAUTHENTICATED: (401, "no valid token"),
    Trouble.NOT_ALLOWED: (403, "this token may not do that"),
    Trouble.NOT_FOUND: (404, "nothing to see here"),
    Trouble.METHOD_NOT_ALLOWED: (405, "this address has other methods"),
    Trouble.MALFORMED_REQUEST: (400, "the request cannot be read"),
    Trouble.UNSUPPORTED_MEDIA_TYPE: (415, "this media type is not taken"),
    Trouble.TOO_LARGE: (413, "the request is too large"),
    Trouble.UNSOUND_EVENT: (422, "an event cannot be taken, nothing was"),
    Trouble.CONFLICT: (409, "the item is not in a state for that"),
    Trouble.TOO_MANY_REQUESTS: (429, "too many requests"),
    Trouble.OVERLOADED: (429, "the bus cannot keep up"),
    Trouble.UNAVAILABLE: (503, "the bus does not answer"),
    Trouble.BUG: (500, "relais failed"),
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing to mend in a request."""

    code: str
    field: str
    """Where, in the sender's own terms; empty for the whole."""
    mend: str
    index: int | None = None
    """Which event of a batch, from 0."""


class ProblemError(Exception):
    """An answer that is a problem. Texts never repeat the content."""

    def __init__(
        self, trouble: Trouble, detail: str, flaws: Sequence[Flaw] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(trouble.value)
        self.trouble, self.detail, self.flaws, self.headers = trouble, detail, flaws, dict(headers or {})

    @property
    def status(self) -> int:
        """HTTP status."""
        return _KINDS[self.trouble][0]


def response(error: ProblemError) -> Response:
    """The problem as an answer."""
    status, title = _KINDS[error.trouble]
    body: dict[str, Any] = {"type": TYPE + error.trouble, "title": title, "status": status, "detail": error.detail}
    if error.flaws:
        body["problems"] = [
            {
                k: v
                for k, v in (("index", f.index), ("code", f.code), ("field", f.field), ("mend", f.mend))
                if v is not None
            }
            for f in error.flaws
        ]
    return Response(json.dumps(body, ensure_ascii=False), status, error.headers, MEDIA_TYPE)


async def answer(_request: Request, error: Exception) -> Response:
    """Exception handler of the application."""
    assert isinstance(error, ProblemError)
    return response(error)
