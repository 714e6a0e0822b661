"""Read XES (IEEE 1849) trace by trace, without loading the file.

A log comes from elsewhere: a document type or an entity is refused, since nothing in XES needs one and they are how a small
file becomes a large or a nosy one. Attributes nested in attributes, lists and extensions are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from connectors.eventlog.log import LogError, Trace, open_log

NUMBER = "concept:name"
"""Attribute that names a trace, by the standard extension."""

MAX_ROWS = 100_000
"""Rows of one trace, at most."""

_CHUNK = 1 << 16
_ATTRIBUTES = frozenset({"string", "date", "int", "float", "boolean", "id"})


class _Handler:
    """Gathers the traces that a parser meets."""

    def __init__(self) -> None:
        self.done: list[Trace] = []
        self._trace: dict[str, str] | None = None
        self._row: dict[str, str] | None = None
        self._rows: list[dict[str, str]] = []
        self._depth = 0
        """Depth below the trace or row whose attributes are read."""
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse

    def _refuse(self, *_: object) -> NoReturn:
        raise LogError(self.parser.CurrentLineNumber, "remove the document type and its entities: XES needs none")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(":")[2]
        if tag == "trace" and self._trace is None:
            self._trace, self._rows, self._depth = {}, [], 0
        elif self._trace is None:
            if tag == "event":
                raise LogError(self.parser.CurrentLineNumber, "put each event in the trace of its case")
        elif tag == "event" and self._row is None and self._depth == 0:
            if len(self._rows) >= MAX_ROWS:
                raise LogError(
                    self.parser.CurrentLineNumber, f"a trace holds at most {MAX_ROWS} events: check its number"
                )
            self._row = {}
            self._rows.append(self._row)
        else:
            self._depth += 1
            if self._depth == 1 and tag in _ATTRIBUTES and "key" in attributes:
                target = self._trace if self._row is None else self._row
                target[attributes["key"]] = attributes.get("value", "")

    def _end(self, name: str) -> None:
        if self._depth:
            self._depth -= 1
        elif self._row is not None:
            self._row = None
        elif self._trace is not None:
            self.done.append(Trace(self._trace.get(NUMBER, ""), self._trace, self._rows))
            self._trace = None


def read(path: Path) -> Iterator[Trace]:
    """The traces of a XES file, gzipped or not. Raises `LogError`."""
    handler = _Handler()
    last = False
    with open_log(path) as file:
        while not last:
            try:
                chunk = file.read(_CHUNK)
                last = not chunk
                handler.parser.Parse(chunk, last)
            except expat.ExpatError as error:
                raise LogError(
                    error.lineno, f"this is not well-formed XML ({expat.errors.messages[error.code]})"
                ) from None
            except (EOFError, OSError) as error:
                raise LogError(
                    handler.parser.CurrentLineNumber, f"the file cannot be read to its end ({type(error).__name__})"
                ) from None
            done, handler.done = handler.done, []
            yield from done
