"""By which row a reference is shown, while journeys merge and partitions are read in any order. Pure.

The rule: a live row that lists the reference shows it (the smallest key if several do). Where none does, it stays with the row that
showed it last, even if that row has merged into another; only a row that was withdrawn or purged takes its references away.
"""

from __future__ import annotations

from collections.abc import Iterable

MERGED = "merged-into"


class Resolution:
    """A slice of the rows and references: all that a batch can touch, loaded beforehand."""

    def __init__(self) -> None:
        self.lists: dict[bytes, frozenset[bytes]] = {}
        """References of each live row."""
        self.listings: dict[bytes, set[bytes]] = {}
        """Live rows that list each reference."""
        self.shown: dict[bytes, bytes] = {}
        """Row by which each reference is shown."""
        self.dead: set[bytes] = set()
        """Rows that merged into another and may still show references."""

    def put(self, row: bytes, references: Iterable[bytes]) -> None:
        """A row has a new value that lists these references."""
        old, new = self.lists.get(row, frozenset()), frozenset(references)
        self.lists[row] = new
        self.dead.discard(row)
        for ref in old - new:
            self.listings[ref].discard(row)
        for ref in new - old:
            self.listings.setdefault(ref, set()).add(row)
        for ref in old | new:
            self._show(ref)

    def end(self, row: bytes, reason: str) -> None:
        """A row is no more, for this reason."""
        for ref in self.lists.pop(row, frozenset()):
            self.listings[ref].discard(row)
            self._show(ref)
        kept = False
        for ref in [r for r, shown in self.shown.items() if shown == row]:
            if self._show(ref):
                continue
            if reason == MERGED:
                kept = True
            else:
                del self.shown[ref]
        if kept:
            self.dead.add(row)
        else:
            self.dead.discard(row)

    def _show(self, ref: bytes) -> bool:
        """Show a reference by a live row, if there is one."""
        live = self.listings.get(ref)
        if not live:
            return False
        self.shown[ref] = min(live)
        return True
