"""Makes `state/`: what one partition leaves behind, as this version writes it. Run it at a release and commit what it makes.

`python -m tests.data.make_state` writes `<version>.json` with the records of `case-events`, `journeys` and the outputs (base64), and
`<version>.tar.gz` with the local store. Samples of earlier versions stay: `tests/streams/test_state_of_earlier_versions.py` reads all.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
from base64 import b64encode
from pathlib import Path

from deploy import __version__, rules
from deploy.chaos.rules import directory, journey
from deploy.chaos.traffic import FIRST_DAY, Story
from schemas.codec import bus, events
from streams.correlate import Correlate, Plan
from streams.runtime.config import RuntimeConfig
from streams.runtime.processor import Effects, Record
from streams.runtime.rocks import Stores
from tests.support.facts import KEYS

HERE = Path(__file__).parent / "state"
DAY_MS = 86_400_000
STORIES = 4
DAYS = 45
PLAN = Plan("state", 1, 1, True, 10_000, KEYS, events())


def stores(folder: Path) -> Stores:
    """Local stores below a folder."""
    return Stores(
        RuntimeConfig(brokers=("nowhere:1",), group="g", data_dir=folder, store_cache_mb=8, store_buffer_mb=8)
    )


def make(folder: Path) -> dict[str, list[list[str | None]]]:
    """Let a partition take its facts day by day; what it wrote."""
    store = stores(folder).open("correlate", 0)
    correlate = Correlate(PLAN, 0, store, rules.book(directory(), [journey()]))
    correlate.reset()
    written: dict[str, list[list[str | None]]] = {"case-events": [], "journeys": [], "outputs": []}

    def commit(effects: Effects) -> None:
        written["journeys"] += [[_text(key), _text(value)] for key, value in effects.state]
        written["outputs"] += [[send.topic, _text(send.key), _text(send.value)] for send in effects.sends]
        store.write([*effects.state, *effects.local], len(written["journeys"]))

    arrivals = [a for n in range(STORIES) for a in Story(7, n, n, FIRST_DAY).arrivals()]
    for day in range(DAYS):
        now = (FIRST_DAY + day) * DAY_MS
        values = [bus().encode("tick", {"at": now}), *(a.value for a in arrivals if a.day == day)]
        at = len(written["case-events"])
        commit(correlate.process([Record(at + i, now, None, value) for i, value in enumerate(values)]))
        written["case-events"] += [[None, _text(value)] for value in values]
        while (effects := correlate.timers(now, 50)) is not None:
            commit(effects)
    store.close()
    return written


def _text(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def main() -> None:
    """Write the sample of this version."""
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        written = make(Path(folder))
        (HERE / f"{__version__}.json").write_text(json.dumps(written, indent=0) + "\n")
        with tarfile.open(HERE / f"{__version__}.tar.gz", "w:gz") as tar:
            for path in sorted(Path(folder).rglob("*")):
                if path.name not in ("LOCK", "LOG") and path.is_file():
                    tar.add(path, path.relative_to(folder))


if __name__ == "__main__":
    main()
