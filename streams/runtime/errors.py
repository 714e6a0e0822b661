"""What goes wrong in the runtime, each with a code and whether trying again can help."""

from __future__ import annotations

from enum import StrEnum

from streams.runtime.metrics import AbortReason
from streams.runtime.store import StoreFailed


class RuntimeReason(StrEnum):
    """Why a worker ends."""

    PROCESSOR = "processor-bug"
    """A processor raised."""
    BUG = "runtime-bug"
    """The runtime itself raised."""
    STATE_WITHOUT_OFFSET = "state-without-offset"
    """The changelog holds state, but the group has no committed offset."""
    INPUT_TRUNCATED = "input-truncated"
    """The committed offset lies beyond the end of the input: the topic was made anew, or lost records."""
    STATE_TRUNCATED = "state-truncated"
    """The changelog does not begin at its beginning: what stood there is lost, and no store here holds it."""
    STORE = "store-failed"
    """The local store cannot be opened or written: no room on its disk, or no right to its folder."""
    RESTORE_STALLED = "restore-stalled"
    """A recovery made no progress."""
    REPEATED_FAILURE = "repeated-failure"
    """Transactions of a partition fail one after the other."""
    FENCED_REPEATEDLY = "fenced-repeatedly"
    """Another process uses the same transactional id."""
    REFUSED = "refused-by-group"
    """The group does not let this worker in: no right to it, or workers of another number of bundles are in it."""
    STUCK = "stuck"
    """Records are waiting and nothing is committed, or partitions are not taken up again after a rebalance."""
    NO_BROKER = "no-broker"
    """At the start no broker answered."""
    TOPIC = "topic"
    """A topic is missing, or has another number of partitions than it must."""


class WorkerEnd(Exception):  # noqa: N818 - it names what happens
    """The worker cannot go on; a supervisor starts it again."""

    retriable = True

    def __init__(self, reason: RuntimeReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.code = reason


def gives_up(where: str, error: BaseException | None) -> WorkerEnd:
    """The end of a worker that tried again and again; a local store that fails is a reason of its own."""
    cause = error.__cause__ if isinstance(error, TransactionFailed) else error
    if isinstance(cause, StoreFailed):
        return WorkerEnd(RuntimeReason.STORE, f"{where}: {cause}")
    told = str(error) if isinstance(error, TransactionFailed) else type(error).__name__
    return WorkerEnd(RuntimeReason.REPEATED_FAILURE, f"{where}: {told}")


class TransactionFailed(Exception):  # noqa: N818 - an outcome
    """A transaction did not commit, or nobody knows whether it did."""

    retriable = True

    def __init__(self, reason: AbortReason, detail: str = "") -> None:
        super().__init__(f"{reason.value} {detail}".strip())
        self.code = reason
        self.detail = detail


class Superseded(Exception):  # noqa: N818 - not an error
    """A newer generation of the group has begun; whoever sees this stops and waits for the next call."""
