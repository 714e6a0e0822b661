"""JSON lines: one object a line. JSON: a file that is one object, or a list of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal, NoReturn

from connectors.files.formats.lines import Encoding, Lines, decode
from connectors.files.formats.row import Row, UnreadableError
from connectors.kit.contract import ConnectorConfig


class JsonLinesFormat(ConnectorConfig):
    """A file of which each line is a JSON object."""

    kind: Literal["jsonl"]
    """`jsonl`."""


class JsonFormat(ConnectorConfig):
    """A file that is one JSON object, or a list of them; small, since it is read whole."""

    kind: Literal["json"]
    """`json`."""


def read_lines(stream: BinaryIO, limit: int) -> Iterator[Row]:
    """The rows of JSON lines. `limit`: bytes of one line, at most. Raises `UnreadableError`."""
    lines = Lines(stream, Encoding.UTF_8, limit)
    for raw in lines:
        text, mend = decode(raw, Encoding.UTF_8)
        if not mend and not text.strip():
            continue
        content, mend = (None, mend) if mend else _object(text)
        yield Row(lines.number, raw, content, mend)


def read_whole(stream: BinaryIO, limit: int) -> Iterator[Row]:
    """The rows of a JSON file. `limit`: bytes of the file, at most. Raises `UnreadableError`."""
    raw = stream.read(limit + 1)
    if len(raw) > limit:
        raise UnreadableError(f"it is larger than {limit} bytes: raise max_record_bytes, or have JSON lines written")
    text, mend = decode(raw.removeprefix(b"\xef\xbb\xbf"), Encoding.UTF_8)
    try:
        found = None if mend else _parse(text)
    except (ValueError, RecursionError):
        mend = "it is not JSON: check the file"
    if mend:
        raise UnreadableError(mend)
    if isinstance(found, dict):
        yield Row(1, raw, found)
        return
    if not isinstance(found, list):
        raise UnreadableError("it is neither an object nor a list of objects")
    for number, one in enumerate(found, 1):
        if isinstance(one, dict):
            yield Row(number, json.dumps(one, ensure_ascii=False).encode(), one)
        else:
            yield Row(number, json.dumps(one, ensure_ascii=False).encode(), None, "it is no JSON object")


def _object(text: str) -> tuple[dict[str, Any] | None, str]:
    try:
        found = _parse(text)
    except (ValueError, RecursionError):
        return None, "it is not JSON: check the program that writes it"
    return (found, "") if isinstance(found, dict) else (None, "it is no JSON object")


def _parse(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
