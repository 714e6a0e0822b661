"""What earlier versions left behind, in `journeys` and in local stores, is read by this one, and leads to the same outputs."""

from __future__ import annotations

import json
import tarfile
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from deploy import rules
from deploy.chaos.rules import directory, journey
from deploy.chaos.traffic import FIRST_DAY
from schemas.codec import bus
from streams.correlate import Correlate
from streams.runtime.processor import Effects, Record
from streams.runtime.store import MemoryStore, Store
from tests.data.make_state import DAY_MS, DAYS, HERE, PLAN, stores
from tests.support.facts import case, event

SAMPLES = sorted(HERE.glob("*.json"))
LAST = (FIRST_DAY + DAYS - 1) * DAY_MS


def load(sample: Path) -> dict[str, list[list[Any]]]:
    return {
        topic: [[*names, *map(_bytes, pair)] for *names, pair in map(_pair, records)]
        for topic, records in json.loads(sample.read_text()).items()
    }


def _pair(record: list[str | None]) -> list[Any]:
    return [*record[:-2], record[-2:]]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)


def restored(changelog: list[list[bytes]]) -> MemoryStore:
    """A store from the changelog alone, as a cold start makes it."""
    store = MemoryStore()
    correlate = Correlate(PLAN, 0, store, rules.book(directory(), [journey()]))
    last = dict(changelog)
    store.write(
        [*last.items(), *(d for key, value in last.items() for d in correlate.derive(key, value))], len(changelog)
    )
    return store


def goes_on(store: Store) -> list[tuple[str, bytes, bytes | None]]:
    """Nothing new is said at the same time, whatever the rules' digest; then a new fact and a later day are."""
    correlate = Correlate(PLAN, 0, store, rules.book(directory(), [journey()]))
    correlate.reset()
    assert correlate.progress == LAST

    def commit(effects: Effects) -> list[tuple[str, bytes, bytes | None]]:
        store.write([*effects.state, *effects.local], store.position() + len(effects.state))
        return [(send.topic, send.key or b"", send.value) for send in effects.sends]

    said = []
    while (effects := correlate.timers(LAST, 50)) is not None:
        said += commit(effects)
    assert said == []
    opened = event("case.opened", case("alpha", "999999-1"), FIRST_DAY + DAYS, "new", procedure="chaos.request")
    tick = bus().encode("tick", {"at": LAST + 90 * DAY_MS})
    said = commit(correlate.process([Record(10_000, LAST, None, value) for value in (opened, tick)]))
    while (effects := correlate.timers(LAST + 90 * DAY_MS, 50)) is not None:
        said += commit(effects)
    return said


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_state_is_read(sample: Path, tmp_path: Path) -> None:
    written = load(sample)
    with tarfile.open(HERE / f"{sample.stem}.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    warm = stores(tmp_path).open("correlate", 0)
    assert warm.position() == len(written["journeys"])
    cold = restored(written["journeys"])
    state = {key: value for key, value in warm.items() if key[:1] != b"l"}
    assert state == {key: value for key, value in cold.items() if key[:1] != b"l"}
    said = goes_on(warm)
    warm.close()
    assert said == goes_on(cold)
    assert {topic.partition(".")[2] for topic, _, _ in said} >= {"statuses", "alerts"}


def test_there_is_a_sample() -> None:
    assert SAMPLES
