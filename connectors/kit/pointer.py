"""JSON pointers (RFC 6901): where a field stands in a record."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from connectors.kit.contract import Json


def _checked(text: str) -> str:
    if text and not text.startswith("/"):
        raise ValueError(f"a JSON pointer begins with a slash, such as /{text.replace('.', '/')}")
    return text


Pointer = Annotated[str, AfterValidator(_checked)]
"""`/data/items`; empty: the whole."""


def at(value: Json, pointer: str) -> Json:
    """What stands there; None if nothing does."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        match value:
            case dict():
                value = value.get(name)
            case list():
                value = value[int(name)] if name.isdecimal() and int(name) < len(value) else None
            case _:
                return None
    return value


def key_at(value: Json, pointers: tuple[str, ...]) -> str | None:
    """The key that these fields make together; None if one is missing or is no text or whole number."""
    parts = [at(value, pointer) for pointer in pointers]
    if any(isinstance(part, bool) or not isinstance(part, str | int) or part == "" for part in parts):
        return None
    return "/".join(map(str, parts))
