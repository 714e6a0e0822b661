"""The local store of a partition: committed facts only, with the changelog position in the same write.

A store is a cache of its changelog, which alone is the truth: it may be lost or wiped at any moment at the price of a
cold start. Keys and values are opaque bytes.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

Change = tuple[bytes, bytes | None]
"""A key with its new value; None deletes the key."""


class StoreDamaged(Exception):  # noqa: N818 - it names what happened
    """What a store holds cannot be read. It says so itself from then on, and is to be wiped: the changelog rebuilds it."""


class StoreFailed(OSError):  # noqa: N818 - as above
    """A store cannot be opened or written, though it may be sound: no room, no right, no disk."""


class Store(Protocol):
    """What a processor reads, and the runtime writes after each commit. Reading may raise `StoreDamaged`, never leave anything out."""

    damaged: bool
    """Whether a read or a write has met damage since the store was opened or wiped."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of several keys, in their order."""
        ...

    def items(self, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the keys with this prefix, from `start` on, in the order of their bytes.

        The store must not be written while an iteration is under way.
        """
        ...

    def write(self, changes: Iterable[Change], position: int) -> None:
        """Apply changes in order and move to a position of the changelog, atomically."""
        ...

    def position(self) -> int:
        """Offset of the next changelog record to apply; 0 for a store that holds nothing."""
        ...

    def written_at(self) -> int:
        """When the store was last written, in milliseconds since the epoch; 0 if never."""
        ...

    def wipe(self) -> None:
        """Forget everything, the position too."""
        ...

    def close(self) -> None:
        """Release what is held. The store is not used afterwards."""
        ...


class MemoryStore:
    """A store in memory, for tests, for replays in memory and for stages without a changelog."""

    def __init__(self) -> None:
        self.damaged = False
        self._data: dict[bytes, bytes] = {}
        self._sorted: list[bytes] | None = []
        self._position = 0
        self._written_at = 0

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        return self._data.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of several keys, in their order."""
        return [self._data.get(key) for key in keys]

    def items(self, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the keys with this prefix, from `start` on, in the order of their bytes."""
        if self._sorted is None:
            self._sorted = sorted(self._data)
        keys = self._sorted
        for i in range(bisect.bisect_left(keys, max(prefix, start)), len(keys)):
            if not keys[i].startswith(prefix):
                return
            yield keys[i], self._data[keys[i]]

    def write(self, changes: Iterable[Change], position: int) -> None:
        """Apply changes in order and move to a position of the changelog."""
        data = self._data
        before = len(data)
        removed = False
        for key, value in changes:
            if value is None:
                removed |= data.pop(key, None) is not None
            else:
                data[key] = value
        if removed or len(data) != before:
            self._sorted = None
        self._position = position
        self._written_at = time.time_ns() // 1_000_000

    def position(self) -> int:
        """Offset of the next changelog record to apply."""
        return self._position

    def written_at(self) -> int:
        """When the store was last written, in milliseconds since the epoch; 0 if never."""
        return self._written_at

    def wipe(self) -> None:
        """Forget everything, the position too."""
        self.__init__()  # type: ignore[misc]

    def close(self) -> None:
        """Nothing to release."""
