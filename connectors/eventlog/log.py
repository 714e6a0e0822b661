"""What a log is, whatever its file: traces of rows, in the order of the file."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

_GZIP = b"\x1f\x8b"


class LogError(ValueError):
    """A log that cannot be read. The message says where and how to mend it, and never repeats the content."""

    def __init__(self, line: int, mend: str) -> None:
        super().__init__(f"line {line}: {mend}" if line else mend)
        self.line = line
        """Line of the file, from 1; 0 if it is about the whole."""


class Trace(NamedTuple):
    """What a log says of one case."""

    number: str
    """Number of the trace in the log; empty if the log gives it none."""
    attributes: dict[str, str]
    """What is said of the case as a whole."""
    rows: list[dict[str, str]]
    """What happened, in the order of the file."""


@contextmanager
def open_log(path: Path) -> Iterator[BinaryIO]:
    """Open a log, gzipped or not (told by its first bytes)."""
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        if start != _GZIP:
            yield file
        else:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast(BinaryIO, unpacked)


def is_xes(path: Path) -> bool:
    """Whether a file is XES rather than CSV, by its name."""
    return {".xes", ".xml"} & {suffix.lower() for suffix in path.suffixes[-2:]} != set()
