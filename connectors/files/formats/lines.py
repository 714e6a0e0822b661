"""Lines of a file of which the encoding is declared, and checked: a byte that does not fit is told, never turned into another letter."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import BinaryIO

from connectors.files.formats.row import UnreadableError


class Encoding(StrEnum):
    """Encodings that software of administrations writes."""

    UTF_8 = "utf-8"
    """With or without the mark (BOM) that Windows puts first."""
    WINDOWS_1252 = "windows-1252"
    ISO_8859_1 = "iso-8859-1"
    ISO_8859_15 = "iso-8859-15"


_CONTROLS = re.compile(rb"[\x80-\x9f]")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ACCENT_IN_UTF_8 = re.compile(rb"\xc3[\x80-\xbf]")
"""An accented letter of French in UTF-8; read as one byte per letter it begins with Ã, which French does not have."""


def decode(raw: bytes, encoding: Encoding) -> tuple[str, str]:
    """The text of a line and what is wrong with it, empty if nothing is. Bytes that do not fit stay as surrogates."""
    if raw.isascii():
        return raw.decode("ascii"), "it holds zero bytes: the file was not written to its end" if b"\0" in raw else ""
    text = raw.decode(encoding, "surrogateescape")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        column = error.start + 1
        return (
            text,
            f"character {column} is no {encoding}: name its encoding under `format` (often windows-1252)",
        )
    if b"\0" in raw:
        return text, "it holds zero bytes: the file was not written to its end"
    if encoding is not Encoding.UTF_8 and _is_utf_8(raw):
        return text, "this is UTF-8: write encoding: utf-8"
    if encoding in (Encoding.ISO_8859_1, Encoding.ISO_8859_15) and _CONTROLS.search(raw):
        return text, f"it holds a character that {encoding} does not have: write encoding: windows-1252"
    return text, ""


def _is_utf_8(raw: bytes) -> bool:
    if _ACCENT_IN_UTF_8.search(raw) is None:
        return False
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class Lines:
    """The lines of a stream as bytes, each at most `limit` long, without the mark that may stand first."""

    def __init__(self, stream: BinaryIO, encoding: Encoding, limit: int) -> None:
        self._stream = stream
        self._encoding = encoding
        self._limit = limit
        self.number = 0
        """Number of the line given last, from 1."""

    def __iter__(self) -> Iterator[bytes]:
        while line := self._stream.readline(self._limit + 1):
            self.number += 1
            if len(line) > self._limit:
                raise UnreadableError(
                    f"it is longer than {self._limit} bytes: is this the right format? else raise max_record_bytes",
                    self.number,
                )
            yield self._marked(line) if self.number == 1 else line

    def _marked(self, line: bytes) -> bytes:
        if line.startswith(_UTF_16):
            raise UnreadableError("this is UTF-16: have it written as UTF-8, or turn it into UTF-8 before it comes")
        if not line.startswith(codecs.BOM_UTF8):
            return line
        if self._encoding is not Encoding.UTF_8:
            raise UnreadableError(f"it begins with the mark of UTF-8, not {self._encoding}: write encoding: utf-8")
        return line.removeprefix(codecs.BOM_UTF8)
