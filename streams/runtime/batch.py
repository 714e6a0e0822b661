"""What the transport hands over instead of single messages: all records of one fetch of one partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import TopicPartition
from faust import Schema

APP_ATTRIBUTE = "relais_intake"
"""Name under which an app carries its intake; without it the transport is Faust's own."""


@dataclass(frozen=True, slots=True)
class PartitionBatch:
    """Records of one partition in the order of its log; empty if only markers were read."""

    tp: TopicPartition
    base: int | None
    """Where the batch before it ended; None right after a seek."""
    end: int
    """Offset at which the next fetch begins: everything before it is here, or was decided not to be seen."""
    records: list[Any]
    epoch: int
    """Which seek of this partition it follows; a batch of an earlier one is void."""


class Intake(Protocol):
    """What the transport asks of those who take batches."""

    topics: frozenset[str]
    """Topics that are read in batches."""
    bundles: int
    """The partitions of each of these topics are assigned in so many bundles."""
    poll_s: float
    """Wait for records in one poll."""
    fetch_max_wait_ms: int
    """The broker holds an empty fetch so long."""
    max_fetch_bytes: int
    """At most so many bytes fetched for a partition at once."""
    max_poll_records: int
    """At most so many records taken out of what was fetched in one step of the consumer's thread, in which heartbeats wait for it."""

    def accepts(self, tp: TopicPartition) -> bool:
        """Whether the partition takes records now."""
        ...

    async def room(self) -> None:
        """Wait until a partition may take records again, at most for one poll."""
        ...

    def epoch(self, tp: TopicPartition) -> int:
        """Which seek of this partition is the last one."""
        ...

    def sought(self, tp: TopicPartition) -> None:
        """Everything fetched before is void. Called with no fetch under way."""
        ...

    def fetched(self, tp: TopicPartition, count: int, highwater: int) -> None:
        """So many records are on their way, and the log ends there. Called with no other fetch under way."""
        ...

    def lost(self, tp: TopicPartition) -> None:
        """The log does not hold the position at which the partition reads: records are gone that it had still to read."""
        ...

    def position(self, tp: TopicPartition) -> int | None:
        """Offset at which reading begins; None for a partition that is not run here."""
        ...


def intake_of(app: Any) -> Intake | None:
    """Return the intake of an app, or None if it reads everything message by message."""
    intake: Intake | None = getattr(app, APP_ATTRIBUTE, None)
    return intake


class RawBatch(Schema):  # type: ignore[misc, unused-ignore]
    """Schema of a topic that is read in batches: the batch is the value, as it is."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        """Return the key, as it is."""
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        """Return the batch, as it is."""
        return message.value
