"""The cursor of the source `files`: which file, which content, how many of its records, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from connectors.kit.contract import ConfigError, Cursor

DONE = "done"
"""The end of a file that was read whole; any other end is the reason why it could not be."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the folder has been read to."""

    claim: str = ""
    """Name under which the file lies in `.work/`; its own name where files stay."""
    sha256: str = ""
    """Digest of its content."""
    record: int = 0
    """Records of it that were taken."""
    end: str = ""
    """Empty while it is read; `done`; or why it cannot be read."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """Where files stay: what was read, by name: size, date and digest."""

    @classmethod
    def of(cls, cursor: Cursor) -> Position:
        """The position of a cursor. Raises `ConfigError` for one that is not of this source."""
        if cursor is None:
            return cls()
        try:
            made = cls(**cursor)
            if [type(v) for v in (made.claim, made.sha256, made.record, made.end)] != [str, str, int, str]:
                raise TypeError
        except TypeError:
            raise ConfigError("this is no position of files: reset the offsets of this connector") from None
        return made

    def cursor(self) -> Cursor:
        """As a small JSON value."""
        return {name: value for name, value in asdict(self).items() if value}

    def starts(self, claim: str, sha256: str) -> Position:
        """The position at which a file goes on: where it was left, if it is the same with the same content."""
        if (self.claim, self.sha256) == (claim, sha256):
            return self
        return Position(claim, sha256, kept=self.kept)
