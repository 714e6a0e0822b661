"""What a reader of files gives: rows, sound or not, and the one way to say that a whole file cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file, or what stands where one should be."""

    line: int
    """Line at which it begins, from 1."""
    raw: bytes
    """Its bytes as they stand in the file, once unpacked."""
    content: Mapping[str, Any] | None = None
    """What it says; None: it cannot be read, `mend` tells why."""
    mend: str = ""
    """What is wrong and how to mend it; no content of the record."""


class UnreadableError(Exception):
    """From here on the file cannot be read. The text says what to mend and repeats none of its content."""

    def __init__(self, mend: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {mend}" if line else mend)
