"""Settings of the runtime: what a worker needs to know to run partitions, nothing about what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any


class Clock(StrEnum):
    """Where time comes from."""

    WALL = "wall"
    """The append time of the brokers."""
    LED = "led"
    """Ticks written into the topics: tests, replays, chaos."""


class StoreKind(StrEnum):
    """How the local store of a partition is kept."""

    ROCKSDB = "rocksdb"
    MEMORY = "memory"
    """Nothing on disk: every start is a cold one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """Settings of one worker. Frozen; the same for all workers of an instance but for `data_dir` and `slot`."""

    brokers: tuple[str, ...]
    """`host:port` of brokers to begin with."""
    instance: str = "main"
    """Name of the instance: it begins every transactional id and the folder of the stores."""
    group: str
    """Consumer group; must be the id of the Faust app."""
    data_dir: Path
    """Folder of this worker alone; two workers never share one."""
    slot: str | None = None
    """Static member id of this worker, kept over restarts; None joins as a new member each time."""
    security: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Keyword arguments that every aiokafka client gets: security_protocol, ssl_context, sasl_…"""

    max_batch_records: int = 4000
    """At most so many records in one transaction."""
    max_queue_records: int = 8_000
    """A partition with so many records waiting is not fetched until it has caught up; nor is more taken out of all fetches at once."""
    max_fetch_bytes: int = 2 * 1024 * 1024
    """At most so many bytes fetched for a partition at once; must exceed the largest record."""
    timers_limit: int = 500
    """At most so many pieces of timed work in one transaction."""

    batch_bytes: int = 512 * 1024
    """Size of a produced batch before compression; must stay below `max.message.bytes` of every output topic."""
    compression: str | None = "lz4"
    """Compression of what is produced."""
    retry_backoff_ms: int = 5
    """Wait before a request to the transaction coordinator is repeated. At 100 each transaction would take 100 ms."""
    broker_wait_s: float = 60.0
    """At the start a worker waits so long for a broker to answer."""
    request_timeout_ms: int = 40_000
    """Wait for one answer of a broker."""
    transaction_timeout_ms: int = 30_000
    """The broker aborts a transaction that is open for longer; above the longest batch."""
    commit_timeout_s: float = 30.0
    """Wait for the steps of one transaction; after it the outcome counts as unknown."""
    bundles: int = 6
    """The partitions of a topic run in so many bundles, each on one worker and in one transaction; more workers than these find
    nothing to do. The same for all workers: those of another number cannot join the group."""
    fence_parallel: int = 8
    """So many transactional producers are started at once."""
    max_failures: int = 5
    """After so many failed transactions of a partition in a row the worker ends."""
    max_fences: int = 3
    """A partition fenced so often within a minute, in one generation, ends the worker: somebody else uses its id."""
    revoke_budget_s: float = 4.0
    """Wait for running transactions when partitions are revoked; well below the session timeout."""

    poll_ms: int = 100
    """Wait for records in one poll; it bounds the wait of a seek, and how late the end of an idle log is noticed."""
    fetch_max_wait_ms: int = 250
    """The broker holds an empty fetch so long."""
    session_timeout_s: float = 10.0
    """A worker that is silent for so long loses its partitions."""
    heartbeat_s: float = 1.0
    """Between two heartbeats."""

    store: StoreKind = StoreKind.ROCKSDB
    """How local stores are kept."""
    store_cache_mb: int = 256
    """Memory for the block cache of all partitions together (MiB)."""
    store_buffer_mb: int = 128
    """Memory for records not yet in files, of all partitions together (MiB)."""
    restore_stall_s: float = 30.0
    """A recovery that reads nothing for so long ends the worker."""
    tombstone_retention_s: float = 86_400.0
    """`delete.retention.ms` of the changelog: a store that is further behind may have missed deletions."""
    accept_lost_state: bool = False
    """Go on with what is left of a changelog that lost its beginning; otherwise the worker ends, and says so."""
    committed_retries: int = 10
    """So often, half a second apart, is an absent committed offset asked for again before the worker refuses."""

    clock: Clock = Clock.WALL
    """Where time comes from."""
    time_topic: str = ""
    """Topic of established time (1 partition, LogAppendTime, compacted); empty: `<instance>.time`."""
    time_interval_ms: int = 500
    """Established time moves at most this often."""
    time_margin_ms: int = 100
    """Largest difference between the clocks of two brokers; 0 for a single one."""

    watchdog_s: float = 120.0
    """Records waiting and no commit for so long ends the worker; or a partition that is neither worked on nor rebuilt."""

    def __post_init__(self) -> None:
        if self.max_fetch_bytes < self.batch_bytes:
            raise ValueError("max_fetch_bytes must not be below batch_bytes")
        if self.revoke_budget_s >= self.session_timeout_s:
            raise ValueError("revoke_budget_s must be below session_timeout_s")

    @property
    def time_log(self) -> str:
        """Name of the topic of established time."""
        return self.time_topic or f"{self.instance}.time"

    def client(self) -> dict[str, Any]:
        """Arguments that every Kafka client of this worker gets."""
        return {
            "bootstrap_servers": list(self.brokers),
            "request_timeout_ms": self.request_timeout_ms,
            **self.security,
        }
