"""CSV: a row a record, whatever the dialect; the file is never held in memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO, Literal

from pydantic import Field, model_validator

from connectors.files.formats.lines import Encoding, Lines, decode
from connectors.files.formats.row import Row, UnreadableError
from connectors.kit.contract import ConnectorConfig


class CsvFormat(ConnectorConfig):
    """A CSV file."""

    kind: Literal["csv"]
    """`csv`."""
    delimiter: str = Field(";", min_length=1, max_length=1)
    """Character between two cells; French spreadsheets write `;`. A tab is written "\\t"."""
    quote: str = Field('"', min_length=1, max_length=1)
    """Character around a cell that holds the delimiter or a line end; written twice it stands for itself."""
    encoding: Encoding = Encoding.UTF_8
    """How letters are written: utf-8, windows-1252, iso-8859-1 or iso-8859-15."""
    skip_lines: int = Field(0, ge=0, le=1000)
    """Lines before the header that are no table, such as a title."""
    columns: tuple[str, ...] = ()
    """Names of the columns where the file has no header; empty: the first line names them."""

    @model_validator(mode="after")
    def _differ(self) -> CsvFormat:
        if self.delimiter == self.quote:
            raise ValueError("delimiter and quote are the same: change one")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("columns: each name once")
        return self


class _Feed:
    """Gives lines to the CSV reader, and remembers those of the record that it is at."""

    def __init__(self, lines: Lines, encoding: Encoding, limit: int) -> None:
        self._lines = lines
        self._encoding = encoding
        self._limit = limit
        self.begin()

    def begin(self) -> None:
        """A record begins."""
        self.line = self._lines.number + 1
        self.raw: list[bytes] = []
        self.size = 0
        self.mend = ""

    def __iter__(self) -> Iterator[str]:
        for raw in self._lines:
            self.raw.append(raw)
            self.size += len(raw)
            if self.size > self._limit:
                raise UnreadableError("a quote opens here and none closes it: check quote, or the file", self.line)
            text, mend = decode(raw, self._encoding)
            self.mend = self.mend or mend
            yield text


def read(stream: BinaryIO, form: CsvFormat, limit: int) -> Iterator[Row]:
    """The rows of a CSV file. `limit`: bytes of one row, at most. Raises `UnreadableError`."""
    lines = Lines(stream, form.encoding, limit)
    unread = iter(lines)
    for _ in range(form.skip_lines):
        next(unread, None)
    feed = _Feed(lines, form.encoding, limit)
    reader = csv.reader(feed, delimiter=form.delimiter, quotechar=form.quote, strict=True)
    names = list(form.columns) or _header(reader, feed, form)
    if names is None:
        return
    feed.begin()
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if any(sign in str(error) for sign in ("end of data", "field limit")):
                raise UnreadableError("a quote opens here and none closes it: check the file", feed.line) from None
            yield Row(feed.line, b"".join(feed.raw), None, feed.mend or "a quote stands where none may: check quote")
        else:
            if cells or feed.mend:
                yield _row(cells, names, feed)
        feed.begin()


def _row(cells: list[str], names: list[str], feed: _Feed) -> Row:
    raw = b"".join(feed.raw)
    if feed.mend:
        return Row(feed.line, raw, None, feed.mend)
    if len(cells) != len(names):
        return Row(
            feed.line, raw, None, f"it has {len(cells)} cells where {len(names)} are named: check delimiter, quotes"
        )
    return Row(feed.line, raw, dict(zip(names, cells, strict=True)))


def _header(reader: Iterator[list[str]], feed: _Feed, form: CsvFormat) -> list[str] | None:
    """The names of the columns; None in an empty file."""
    try:
        names = [name.strip() for name in next(reader)]
    except StopIteration:
        return None
    except csv.Error:
        raise UnreadableError("the header is not CSV: check delimiter and quote", feed.line) from None
    if feed.mend:
        raise UnreadableError(f"in the header, {feed.mend}", feed.line)
    if len(set(names)) != len(names) or "" in names:
        raise UnreadableError(
            "the header names a column twice or not at all: mend it, or give columns and skip_lines: 1", feed.line
        )
    if len(names) == 1 and any(other in names[0] for other in ";,\t|" if other != form.delimiter):
        raise UnreadableError(f"the header has one column only: is the delimiter {form.delimiter!r}?", feed.line)
    return names
