"""What the gateway says is wrong (RFC 9457), as a program and a person can use it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing to mend in an event."""

    code: str
    """What kind of thing, for a program."""
    field: str
    """Where, such as `data.to`."""
    mend: str
    """What to write instead."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that the gateway will never take as it is."""

    event: Mapping[str, Any]
    """As it was sent."""
    flaws: Sequence[Flaw]


class PublisherError(Exception):
    """Nothing can be sent until a person changes something: the token, the address. What was published stays in the spool."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        """Last part of the problem's type, such as `unauthenticated`."""


def read(status: int, body: bytes) -> tuple[PublisherError, dict[int, list[Flaw]]]:
    """The problem, and the flaws of each event of the batch by its place."""
    try:
        told = json.loads(body)
        code = str(told["type"]).rpartition("/")[2]
        text = f"{told['title']}: {told['detail']}"
    except (ValueError, KeyError, TypeError):
        return PublisherError(status, "", f"the answer is none of relais ({status}): check the address"), {}
    flaws: dict[int, list[Flaw]] = {}
    for one in told.get("problems", ()):
        flaws.setdefault(one.get("index", 0), []).append(Flaw(one["code"], one["field"], one["mend"]))
    return PublisherError(status, code, text), flaws
