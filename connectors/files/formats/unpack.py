"""Compressed files, within bounds: a small file that would become an enormous one is refused while it grows, whatever it declares."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

from connectors.files.formats.row import UnreadableError

MAX_MEMBERS = 1_000
"""Files in one archive, at most."""
_FREE = 64 * 1024 * 1024
"""Bytes below which the ratio does not matter."""


@dataclass(slots=True)
class Bounds:
    """What one file may unpack to."""

    max_bytes: int
    max_ratio: int
    packed: int
    """Bytes of the file as it lies there."""
    out: int = 0
    """Bytes that came out so far."""

    def count(self, size: int) -> None:
        """Some bytes came out. Raises `UnreadableError` when they are too many."""
        self.out += size
        if self.out > self.max_bytes:
            raise UnreadableError(f"it holds more than {self.max_bytes} bytes: raise max_bytes if that is right")
        if self.out > _FREE and self.out > self.max_ratio * self.packed:
            raise UnreadableError(
                f"it unpacks to more than {self.max_ratio} times its size: raise max_ratio if that is right"
            )


class _Bounded(io.RawIOBase):
    """A stream that counts what it gives, and tells faults of the archive in our words."""

    def __init__(self, inner: IO[bytes], bounds: Bounds, left: int | None = None) -> None:
        """`left`: bytes to read at most; what is written behind them meanwhile is not looked at."""
        self._inner = inner
        self._bounds = bounds
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            found = self._inner.read(len(buffer) if self._left is None else min(len(buffer), self._left))
        except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error):
            raise UnreadableError("the archive is damaged or was cut: have it sent again") from None
        self._bounds.count(len(found))
        if self._left is not None:
            self._left -= len(found)
        buffer[: len(found)] = found
        return len(found)


def members(file: BinaryIO, name: str, bounds: Bounds) -> Iterator[tuple[str, BinaryIO]]:
    """The files in a file: itself, or what a .gz or .zip holds, in the archive's order. Nothing is written to disk.

    Raises `UnreadableError`.
    """
    low = name.lower()
    if low.endswith(".gz"):
        with gzip.GzipFile(fileobj=file) as inner:
            yield name, _buffered(cast("IO[bytes]", inner), bounds)
    elif low.endswith(".zip"):
        yield from _zipped(file, name, bounds)
    else:
        yield name, _buffered(file, bounds, bounds.packed)


def _zipped(file: BinaryIO, name: str, bounds: Bounds) -> Iterator[tuple[str, BinaryIO]]:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError):
        raise UnreadableError("this is no zip archive, or it was cut: have it sent again") from None
    with archive:
        listed = [one for one in archive.infolist() if not one.is_dir()]
        if len(listed) > MAX_MEMBERS:
            raise UnreadableError(f"the archive holds more than {MAX_MEMBERS} files")
        for number, one in enumerate(listed, 1):
            if one.flag_bits & 1:
                raise UnreadableError("the archive is encrypted: have it sent without a password, by SFTP")
            try:
                inner = archive.open(one)
            except (zipfile.BadZipFile, NotImplementedError):
                raise UnreadableError("the archive is damaged, or packed in an unknown way") from None
            with inner:
                # The names in an archive are the sender's; a number is enough to find the file.
                yield f"{name}, file {number}", _buffered(inner, bounds)


def _buffered(inner: IO[bytes], bounds: Bounds, left: int | None = None) -> BinaryIO:
    return io.BufferedReader(_Bounded(inner, bounds, left), 1 << 16)
