"""A status never disappears while journeys merge, split and are purged, in whatever order partitions are read."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from connectors.status.database import Database
from connectors.status.model import ReadModel
from connectors.status.resolution import MERGED, Resolution
from connectors.status.writing import Batch, Writer
from schemas.codec import events
from streams.runtime.processor import Record
from tests.support import outputs
from tests.support.facts import KEYS


class Said(NamedTuple):
    """One record of a status."""

    row: int
    lists: frozenset[int] | None
    reason: str = ""


class History:
    """Journeys that merge and split; rows are numbered, a row's references are its members."""

    def __init__(self, seed: int, rows: int = 6, steps: int = 14) -> None:
        self.rnd = r = random.Random(seed)
        self.parts: list[list[Said]] = [[] for _ in range(r.randint(1, 4))]
        groups = [{i} for i in range(rows)]
        kept = [{i} for i in range(rows)]  # what was once one journey is kept, and purged, together
        self.gone: set[int] = set()
        for group in groups:
            self.write(group)
        for _ in range(steps):
            kind = r.random()
            if kind < 0.55 and len(groups) > 1:
                one, two = r.sample(groups, 2)
                groups = [g for g in groups if g not in (one, two)] + [one | two]
                both = [k for k in kept if k & (one | two)]
                kept = [k for k in kept if k not in both] + [set().union(*both)]
                self.write(one | two)
                self.say(Said(max(min(one), min(two)), None, MERGED))
            elif kind < 0.85 and (big := [g for g in groups if len(g) > 1]):
                old = r.choice(big)
                out = set(r.sample(sorted(old), r.randint(1, len(old) - 1)))
                groups = [g for g in groups if g != old] + [out, old - out]
                writes = [out, old - out]
                r.shuffle(writes)
                for group in writes:
                    self.write(group)
            elif kind < 0.9 and len(kept) > 1:
                purged = kept.pop(r.randrange(len(kept)))
                groups = [g for g in groups if not g & purged]
                self.gone |= purged
                for row in sorted(purged):
                    self.say(Said(row, None, "purged"))
            else:
                self.write(r.choice(groups))  # written again, as it was
        self.groups = groups

    def write(self, group: set[int]) -> None:
        self.say(Said(min(group), frozenset(group)))

    def say(self, said: Said) -> None:
        self.parts[said.row % len(self.parts)].append(said)

    def read(self) -> list[tuple[int, list[Said]]]:
        """Batches (partition, records) in a random interleaving."""
        at = [0] * len(self.parts)
        found: list[tuple[int, list[Said]]] = []
        while any(at[i] < len(part) for i, part in enumerate(self.parts)):
            i = self.rnd.randrange(len(self.parts))
            n = self.rnd.randint(1, 3)
            if batch := self.parts[i][at[i] : at[i] + n]:
                found.append((i, batch))
                at[i] += n
        return found


def name(row: int) -> bytes:
    return b"\x01" + row.to_bytes(15, "big")


@pytest.mark.parametrize("block", range(8))
def test_a_reference_once_shown_stays_shown_until_a_purge(block: int) -> None:
    for seed in range(block * 150, block * 150 + 150):
        history = History(seed)
        state = Resolution()
        seen: set[bytes] = set()
        for _, batch in history.read():
            for said in batch:
                if said.lists is None:
                    state.end(name(said.row), said.reason)
                else:
                    state.put(name(said.row), map(name, said.lists))
            lost = {r for r in seen - state.shown.keys() if r[-1] not in history.gone}
            assert not lost, seed
            seen |= state.shown.keys()
            assert set(state.shown.values()) <= state.lists.keys() | state.dead, seed
        want = {name(ref): name(min(group)) for group in history.groups for ref in group}
        assert {r: s for r, s in state.shown.items() if r in want} == want, seed
        assert not any(r[-1] in history.gone for r in state.shown), seed


def test_a_reader_that_lets_go_at_a_merge_loses_statuses() -> None:
    lost = 0
    for seed in range(100):
        history, state, seen = History(seed), Resolution(), set[bytes]()
        for _, batch in history.read():
            for said in batch:
                if said.lists is None:
                    state.end(name(said.row), "withdrawn")
                else:
                    state.put(name(said.row), map(name, said.lists))
            lost += any(r[-1] not in history.gone for r in seen - state.shown.keys())
            seen |= state.shown.keys()
    assert lost > 10


def feed(writer: Writer, tables: object, history: History, model: ReadModel) -> None:
    at = [0] * len(history.parts)
    seen: set[int] = set()
    for part, batch in history.read():
        records = [
            Record(at[part] + i, 0, name(s.row), None if s.lists is None else
                   outputs.status([{"case": f"case:viriat/{s.row}", "body": "viriat"}], map(name, s.lists)),
                   [("reason", s.reason.encode())] if s.reason else [])
            for i, s in enumerate(batch)
        ]  # fmt: skip
        nxt = at[part] + len(batch)
        writer.apply(tables, [Batch("statuses", part, at[part], nxt, records)])  # type: ignore[arg-type]
        at[part] = nxt
        with model.snapshot() as now:
            shown = {ref for ref in range(6) if now.resolve(name(ref)) is not None}
        assert not seen - shown - history.gone
        seen |= shown
    with model.snapshot() as now:
        for group in history.groups:
            for ref in group:
                row = now.resolve(name(ref))
                assert row is not None
                assert (row.key, row.live) == (name(min(group)), True)
        assert all(now.resolve(name(ref)) is None for ref in history.gone)
        assert {w[0] for w in now.worklist("viriat")} == {name(min(g)) for g in history.groups}


def test_the_tables_follow_the_rule(database: Database) -> None:
    for seed in range(12):
        writer = Writer(database, KEYS, events())
        tables = writer.begin(fresh=True)
        writer.serve(tables)
        writer.drop_others(tables)
        feed(writer, tables, History(seed), ReadModel(database))
