"""The work as Faust's tutorial has it: an agent with a table, one event at a time, at least once."""

from __future__ import annotations

import sys
from typing import Any

import faust

from deploy.bench.rivals import PARTITIONS, TOPIC, Watch


def main() -> None:
    """Run until the last event is in the table."""
    brokers, folder, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
    watch = Watch()
    app = faust.App(
        "c.faust", broker=f"kafka://{brokers}", datadir=folder, store="memory://", topic_partitions=PARTITIONS,
        topic_replication_factor=1, web_enabled=False, broker_max_poll_records=4000, producer_linger=0.005,
    )  # fmt: skip
    source = app.topic(TOPIC, key_serializer="raw", value_serializer="raw", partitions=PARTITIONS)
    table = app.Table("state", default=lambda: [0, ""], partitions=PARTITIONS, key_type=str)
    left = events

    @app.agent(source)  # type: ignore[untyped-decorator]
    async def count(stream: Any) -> None:
        nonlocal left
        async for key, value in stream.items():
            watch.first()
            name = key.decode()
            table[name] = [table[name][0] + 1, value.decode("latin-1")]
            left -= 1
            if not left:
                watch.done()

    faust.Worker(app, loglevel="WARNING", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main()
