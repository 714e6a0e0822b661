"""A bridge as a process that can be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from deploy import bridge
from deploy.settings import load


def main(brokers: str, instance: str, file: str) -> None:
    bridge.RETRY_S = 0.1
    settings = load(
        brokers=brokers,
        instance=instance,
        partitions=4,
        output_partitions=1,
        reference_key=instance.encode().hex().ljust(64, "0"),
    )
    asyncio.run(bridge.run(bridge.load(Path(file)), settings, brokers))


if __name__ == "__main__":
    main(*sys.argv[1:])
