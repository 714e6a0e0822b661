"""The forwarder as a process that can be killed: brokers, instance, register."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from connectors.gateway.access import Access
from connectors.inbox.feed import FeedConfig
from connectors.inbox.forwarder import Forwarder
from deploy import topics
from deploy.settings import load


def main(brokers: str, instance: str, register: str) -> None:
    config = FeedConfig(brokers=brokers, instance=instance, poll_ms=20, look_s=0.1, retry_s=0.1, batch_records=7)
    settings = load(brokers=brokers, instance=instance)
    forwarder = Forwarder(
        Access(Path(register), look_every_s=0), config, lambda body: topics.ensure_inbox(settings, brokers, body)
    )
    asyncio.run(forwarder.run())


if __name__ == "__main__":
    main(*sys.argv[1:])
