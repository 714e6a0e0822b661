"""Metrics of the runtime, all with closed labels: the stage, the partition, an enumerated reason."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest


class AbortReason(StrEnum):
    """Why a transaction did not commit, or why its outcome is not known."""

    FENCED = "fenced"
    """Another producer took the transactional id."""
    TIMEOUT = "timeout"
    """The outcome is unknown."""
    SEND = "send"
    """A record was refused or not delivered."""
    BROKER = "broker"
    """The broker answered with another error."""
    STORE = "store"
    """Committed, but not written to the local store; or the local store cannot be read."""
    CHAIN = "chain"
    """Records are missing between two fetches."""
    TEST = "test"
    """A test said so."""


_AT = ("stage", "partition")
BATCHES = Counter("relais_batches", "Batches processed", _AT)
RECORDS = Counter("relais_records", "Records processed and committed", _AT)
SENT = Counter("relais_sent_records", "Records written in committed transactions, state included", _AT)
SENT_BYTES = Counter("relais_sent_bytes", "Bytes of keys, values and headers of these records, before compression", _AT)
COMMITS = Counter("relais_commits", "Transactions committed", _AT)
ABORTS = Counter("relais_aborts", "Transactions not committed, or of unknown outcome", (*_AT, "reason"))
PROCESS_SECONDS = Counter("relais_process_seconds", "Seconds spent in processors", _AT)
COMMIT_SECONDS = Histogram(
    "relais_commit_seconds",
    "Seconds from the end of processing to the commit",
    ("stage",),
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
READY = Gauge("relais_ready", "Whether this process does its whole work now, 1 or 0: what /readyz answers")
LAG = Gauge("relais_lag_records", "Records appended and not yet committed", _AT)
RESTORED = Counter("relais_restored_records", "Changelog records read by recoveries", _AT)
RESTORE_SECONDS = Counter("relais_restore_seconds", "Seconds spent in recoveries", _AT)
STORES_WIPED = Counter("relais_stores_wiped", "Local stores thrown away", ("reason",))
INPUT_LOST = Counter("relais_input_lost", "Partitions whose input was deleted before it was read", _AT)
STATE_LOST = Counter("relais_state_lost", "Partitions restored without the lost beginning of their changelog", _AT)
OWNED = Gauge("relais_owned_partitions", "Partitions that this worker runs", ("stage",))
TIME = Gauge("relais_established_time_seconds", "Last established time, in seconds since the epoch")
TIME_MOVED = Gauge("relais_established_time_moved_seconds", "When established time last moved, seconds since the epoch")
TIME_ROUNDS = Counter("relais_time_rounds", "Rounds of established time", ("outcome",))
TIME_HELD = Gauge("relais_time_held_seconds", "How long this partition has been holding established time back", _AT)


def exposition() -> bytes:
    """All metrics of this process, in the text format of Prometheus."""
    return generate_latest(REGISTRY)
