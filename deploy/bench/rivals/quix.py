"""The work on Quix Streams, exactly once."""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application

from deploy.bench.rivals import TOPIC, Watch


def main() -> None:
    """Run until everything is committed."""
    brokers, folder, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
    watch = Watch()
    app = Application(
        brokers, consumer_group="c.quix", auto_offset_reset="earliest", state_dir=folder, loglevel="ERROR",
        processing_guarantee="exactly-once",
    )  # fmt: skip

    def count(value: bytes, state: Any) -> None:
        watch.first()
        before = state.get("count", 0)
        state.set("count", before + 1)
        state.set("last", value.decode("latin-1"))

    topic = app.topic(TOPIC, key_deserializer="bytes", value_deserializer="bytes")
    app.dataframe(topic).update(count, stateful=True)
    app.run(count=events, collect=False)
    watch.done()


if __name__ == "__main__":
    main()
