"""What a root writes: the difference between its view and what it has published.

Statuses and handoffs are written at once. Alerts, and tombstones of any kind, wait until established time has passed the stamps and
admissions of all that the root took (its hold): then it holds exactly the facts of its journey that were admitted before, and what it
says of time is true. Nothing is written between two parts of a shipped root. What has not changed is not written again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from schemas.references import Kind
from streams.engine.alerts import MARK
from streams.engine.entries import Entries
from streams.engine.root import TOMBSTONE, Root
from streams.engine.view import Memo, View, view

TOPICS = {Kind.CASE: "statuses", Kind.HANDOFF: "handoffs", MARK[0]: "alerts"}
"""Topic of an output, by the first byte of its key."""


class End(StrEnum):
    """Why an output is no more."""

    MERGED = "merged-into"
    WITHDRAWN = "withdrawn"
    PURGED = "purged"


class Written(NamedTuple):
    """One output record. A tombstone has no value but a reason, and the row that lists its references now."""

    topic: str
    key: bytes
    value: bytes | None
    root: bytes
    end: End | None = None
    into: bytes | None = None


def publish(root: Root, entries: Entries, established: int, timer: bool = False) -> list[Written]:
    """Bring the outputs of a root up to date at established time (ms); saves its head if anything changed.

    `timer`: the root took nothing, it is looked at because it was due; then a head is only written with outputs.
    """
    old_due = root.next_due
    book = entries.book
    if root.parts:
        root.next_due = max(root.hold, established) + 1
        entries.save_head(root, root.next_due, old_due)
        return []
    held = root.hold >= established
    now = max(established, root.as_of)
    if root.memo.book is not book:
        root.memo = Memo(book)
    seen = view(root.cases(), now, book, root.purged, root.memo, alerts=not held)
    over = seen.purge_at <= now
    written: list[Written] = []
    if over and not held:
        written = _purge(root, entries)
        seen = view({}, now, book)
    _write_values(root, seen, written)
    if held:
        # Alerts that there may be, what is there of them, and whatever else is to go: all of it when established time allows it.
        pending = over or any(k not in seen.outputs and d != TOMBSTONE for k, d in root.published.items())
        root.next_due = root.hold + 1 if pending else max(seen.next_due, root.hold + 1)
    else:
        _write_tombstones(root, seen, written)
        root.as_of = now
        root.next_due = seen.next_due
    same_rules = root.rules == book.digest
    root.rules = book.digest
    if written or not timer or not same_rules:
        entries.save_head(root, root.next_due, old_due)
    else:
        entries.move_due(root.key, old_due, root.next_due)
    return written


def _write_values(root: Root, seen: View, written: list[Written]) -> None:
    """Add values that differ from what was published."""
    published = root.published
    for key, out in seen.outputs.items():
        if published.get(key) != out.digest:
            written.append(Written(out.topic, key, out.value, root.key))
            published[key] = out.digest


def _write_tombstones(root: Root, seen: View, written: list[Written]) -> None:
    """Tombstone what the view lacks. A tombstoned key stays in the list: a purge must reach it."""
    for key, digest in root.published.items():
        if digest == TOMBSTONE or key in seen.outputs:
            continue
        into = (
            next((row for row, journey in seen.rows.items() if key in journey.references), None)
            if key[0] == Kind.CASE
            else None
        )
        end = End.MERGED if into else End.PURGED if key in root.purged else End.WITHDRAWN
        written.append(Written(TOPICS[key[0]], key, None, root.key, end, into))
        root.published[key] = TOMBSTONE


def _purge(root: Root, entries: Entries) -> list[Written]:
    """Drop facts and tombstone every key ever published; the entry and a mark for each case stay."""
    root.purged |= root.copies.keys()
    entries.drop_purged(root)
    root.said.clear()
    root.memo = Memo(entries.book)
    written = [Written(TOPICS[k[0]], k, None, root.key, End.PURGED) for k in root.published]
    for key in root.published:
        root.published[key] = TOMBSTONE
    return written
