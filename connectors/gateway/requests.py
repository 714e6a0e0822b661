"""Reading requests: tokens, bodies within their limits, JSON, preferences. Everything wrong is a `ProblemError`."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from starlette.requests import Request

from connectors.gateway.access import Access, Grant
from connectors.gateway.problems import ProblemError, Trouble
from schemas.cloudevents import BATCH_MEDIA_TYPE, MEDIA_TYPE

JSON_TYPE = "application/json"
MAX_WAIT_S = 30
"""Seconds that a request may ask to wait, at most."""
MAX_DEPTH = 20


class Preferences(NamedTuple):
    """What `Prefer` (RFC 7240) asks for."""

    wait: int
    """Seconds to wait for the result."""
    access_code: bool
    """Whether openings get a secret code for the person."""


def grant_of(request: Request, access: Access) -> Grant:
    """What the bearer token of a request allows."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    found = access.grant(token.strip()) if scheme.lower() == "bearer" and len(token) < 500 else None
    if found is None:
        detail = "send Authorization: Bearer with a token of your body"
        raise ProblemError(Trouble.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": "Bearer"})
    return found


def body_of(grant: Grant) -> str:
    """The body for which a token speaks; operators speak for none."""
    if grant.body is None:
        raise ProblemError(Trouble.NOT_ALLOWED, "an operator's token speaks for no body")
    return grant.body


def media_type(request: Request) -> str:
    """The media type of the content, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def content(request: Request, limit: int) -> bytes:
    """The content of a request, at most so many bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > limit:
            raise _too_large(limit)
    return bytes(found)


def decode(raw: bytes) -> Any:
    """A JSON value: UTF-8, numbers that are numbers, no deeper than needed."""
    try:
        found = json.loads(raw, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ProblemError(Trouble.MALFORMED_REQUEST, "the content is not JSON in UTF-8") from None
    if _depth(found) > MAX_DEPTH:
        raise ProblemError(Trouble.MALFORMED_REQUEST, f"the content is nested deeper than {MAX_DEPTH} levels")
    return found


def _refuse(name: str) -> None:
    raise ValueError(name)


def _depth(value: Any) -> int:
    level, here = 0, [value]
    while here and level <= MAX_DEPTH:
        level += 1
        here = [
            item
            for one in here
            if isinstance(one, (dict, list))
            for item in (one.values() if isinstance(one, dict) else one)
        ]
    return level


async def events(request: Request, max_bytes: int, max_events: int) -> tuple[list[object], bool]:
    """The events of a request, and whether it is a batch."""
    kind = media_type(request)
    if kind not in (MEDIA_TYPE, BATCH_MEDIA_TYPE, JSON_TYPE):
        detail = f"send {MEDIA_TYPE}, {BATCH_MEDIA_TYPE} or {JSON_TYPE}"
        raise ProblemError(
            Trouble.UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept-Post": f"{MEDIA_TYPE}, {JSON_TYPE}"}
        )
    found = decode(await content(request, max_bytes))
    if isinstance(found, list) and kind != MEDIA_TYPE:
        if not found or len(found) > max_events:
            raise ProblemError(Trouble.MALFORMED_REQUEST, f"a batch has 1 to {max_events} events")
        return found, True
    if kind == BATCH_MEDIA_TYPE:
        raise ProblemError(Trouble.MALFORMED_REQUEST, "a batch is a JSON list of events")
    return [found], False


async def fields(request: Request, max_bytes: int) -> dict[str, Any]:
    """A JSON object, or nothing at all, which is an empty one."""
    raw = await content(request, max_bytes)
    if not raw:
        return {}
    if media_type(request) != JSON_TYPE:
        raise ProblemError(Trouble.UNSUPPORTED_MEDIA_TYPE, f"send {JSON_TYPE}")
    found = decode(raw)
    if not isinstance(found, dict):
        raise ProblemError(Trouble.MALFORMED_REQUEST, "send a JSON object")
    return found


def number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number among the query parameters."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and least <= int(text) <= most):
        raise ProblemError(Trouble.MALFORMED_REQUEST, f"{name} is a whole number from {least} to {most}")
    return int(text)


def preferences(request: Request) -> Preferences:
    """What the sender prefers; what is not understood is left aside."""
    wait, code = 0, False
    for part in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = part.partition(";")[0].strip().partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "wait" and value.isascii() and value.isdecimal() and len(value) < 6:
            wait = min(int(value), MAX_WAIT_S)
        elif name.strip().lower() == "access-code":
            code = True
    return Preferences(wait, code)


def _too_large(limit: int) -> ProblemError:
    return ProblemError(Trouble.TOO_LARGE, f"send at most {limit} bytes")
