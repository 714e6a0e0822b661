"""XML: one element a record, read as a stream. No document type, hence no entities; nothing is ever fetched.

An element becomes an object: children by their local name (a list where there are several), attributes as `@name`, text beside
them as `#text`; an element with nothing but text is that text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn
from xml.parsers import expat

from pydantic import Field

from connectors.files.formats.row import Row, UnreadableError
from connectors.kit.contract import ConnectorConfig

MAX_DEPTH = 64
"""Elements inside each other, at most."""
_CHUNK = 1 << 16
_TAG = re.compile(rb"""<(?:"[^"]*"|'[^']*'|[^>"'])*>""")


class XmlFormat(ConnectorConfig):
    """An XML file. Its encoding is the one that it declares."""

    kind: Literal["xml"]
    """`xml`."""
    record: str = Field(pattern=r"^[^\s/<>]+(/[^\s/<>]+)*$")
    """Path of the element that is one record, from the root, by names without prefix: `export/dossiers/dossier`."""
    xsd: Path | None = None
    """Schema (XSD) that the whole file has to satisfy before any of it is read."""


class _Builder:
    """Builds an object of each record that the parser meets."""

    def __init__(self, record: str, limit: int) -> None:
        self._path = record.split("/")
        self._limit = limit
        self._open: list[str] = []
        self._inside: list[dict[str, Any]] = []
        self._texts: list[list[str]] = []
        self._begin = (0, 0)
        self._bytes = b""
        self._base = 0
        self.root = ""
        self.done: list[Row] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse

    def feed(self, chunk: bytes) -> None:
        """Parse some bytes; an empty chunk is the end."""
        # Bytes are kept from where the record that is open begins, for a dead letter.
        keep = self._begin[0] if self._inside else self.parser.CurrentByteIndex
        self._bytes = self._bytes[max(0, keep - self._base) :] + chunk
        self._base = max(self._base, keep)
        if len(self._bytes) - len(chunk) > self._limit:
            raise UnreadableError(f"a record is larger than {self._limit} bytes: check record", self._begin[1])
        self.parser.Parse(chunk, not chunk)

    def _refuse(self, *_: object) -> NoReturn:
        raise UnreadableError("remove the document type and its entities", self.parser.CurrentLineNumber)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        self.root = self.root or local
        self._open.append(local)
        if len(self._open) > MAX_DEPTH:
            raise UnreadableError(f"more than {MAX_DEPTH} elements inside each other", self.parser.CurrentLineNumber)
        if not self._inside and self._open != self._path:
            return
        if not self._inside:
            self._begin = self.parser.CurrentByteIndex, self.parser.CurrentLineNumber
        own = {f"@{n.rpartition(':')[2]}": v for n, v in attributes.items() if not n.startswith("xmlns")}
        self._inside.append(own)
        self._texts.append([])

    def _text(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)

    def _end(self, _name: str) -> None:
        local = self._open.pop()
        if not self._inside:
            return
        own, text = self._inside.pop(), "".join(self._texts.pop()).strip()
        if not self._inside:
            if text:
                own["#text"] = text
            self.done.append(Row(self._begin[1], self._raw(), own))
            return
        value: Any = own | {"#text": text} if own and text else own or text
        above = self._inside[-1]
        if local not in above:
            above[local] = value
        elif isinstance(above[local], list):
            above[local].append(value)
        else:
            above[local] = [above[local], value]

    def _raw(self) -> bytes:
        opening = _TAG.match(self._bytes, self._begin[0] - self._base)
        if opening is not None and opening[0].endswith(b"/>"):
            return opening[0]
        closing = _TAG.match(self._bytes, self.parser.CurrentByteIndex - self._base)
        return self._bytes[self._begin[0] - self._base : closing.end() if closing else None]


def read(stream: BinaryIO, form: XmlFormat, limit: int) -> Iterator[Row]:
    """The records of an XML file. `limit`: bytes of one record, at most. Raises `UnreadableError`."""
    builder = _Builder(form.record, limit)
    chunk, found = b" ", False
    while chunk:
        chunk = stream.read(_CHUNK)
        fault = None
        try:
            builder.feed(chunk)
        except expat.ExpatError as error:
            what = expat.errors.messages[error.code]
            fault = UnreadableError(
                f"this is not well-formed XML ({what}): check the file and its encoding", error.lineno
            )
        except UnreadableError as error:
            fault = error
        done, builder.done = builder.done, []
        found = found or bool(done)
        yield from done
        if fault is not None:
            raise fault from None
    if not found:
        raise UnreadableError(f"there is no element {form.record}; the root is {builder.root}: check record")
