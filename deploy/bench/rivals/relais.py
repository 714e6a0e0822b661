"""The work on relais' runtime: one transaction per batch of a partition, exactly once."""

from __future__ import annotations

import sys
from pathlib import Path

import faust

from deploy.bench.rivals import TOPIC, Watch
from streams.runtime.config import RuntimeConfig
from streams.runtime.processor import Effects, Record
from streams.runtime.service import faust_settings, install
from streams.runtime.stage import Stage
from streams.runtime.store import Change, Store

STATE = "c.state"


class Counting:
    """The state of a key is its count, 8 bytes, and its last value."""

    progress = None

    def __init__(self, store: Store, watch: Watch) -> None:
        self._store = store
        self._watch = watch

    def process(self, records: list[Record]) -> Effects:
        """Each key once per batch, however many of its events there are."""
        self._watch.first()
        counts: dict[bytes, int] = {}
        last: dict[bytes, bytes] = {}
        for record in records:
            key, value = record.key or b"", record.value or b""
            counts[key] = counts.get(key, 0) + 1
            last[key] = value
        known = self._store.get_many(list(counts))
        state: list[Change] = []
        for (key, count), old in zip(counts.items(), known, strict=True):
            before = int.from_bytes(old[:8], "big") if old else 0
            state.append((key, (before + count).to_bytes(8, "big") + last[key]))
        return Effects(state=state)

    def timers(self, established: int, limit: int) -> Effects | None:
        """Nothing is due."""
        return None

    def derive(self, key: bytes, value: bytes | None) -> list[Change]:
        """No index."""
        return []

    def reset(self) -> None:
        """Nothing is held."""


def main() -> None:
    """Run until everything is committed."""
    brokers, folder, events = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    watch = Watch()
    config = RuntimeConfig(brokers=(brokers,), instance="c", group="c.relais", data_dir=folder)
    app = faust.App("c.relais", **faust_settings(config), web_enabled=False)
    stage = Stage(name="counting", topics=(TOPIC,), changelog=STATE, factory=lambda _, store: Counting(store, watch))
    runtime = install(app, [stage], config)

    @app.timer(interval=0.05)  # type: ignore[untyped-decorator]
    async def look() -> None:
        if sum(w.position for w in runtime.ownership.workers.values()) >= events:
            watch.done()

    faust.Worker(app, loglevel="WARNING", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main()
