"""What the runtime asks of a stage: a processor for each partition, which turns records into effects.

The runtime knows bytes and Kafka; what the bytes mean is the processor's business alone. A processor is ordinary
synchronous code: it is never called twice at once, never from another thread, and sees the records of one partition in
the order of its log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from streams.runtime.store import Store
from streams.runtime.turns import Pieces

Headers = Sequence[tuple[str, bytes]]


class Record(NamedTuple):
    """One record read from an input partition."""

    offset: int
    timestamp: int
    """Milliseconds since the epoch, given by the broker when it appended the record."""
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(slots=True)
class Send:
    """One record to write, to an explicit partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class Effects:
    """All that a batch, or a turn of timers, causes: one transaction carries all of it or nothing."""

    state: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    """Records of the changelog partition of this processor, in order (None: tombstone). The store gets them too."""
    local: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    """Records for the local store alone (indexes that follow from the state), written in the same atomic write."""
    sends: list[Send] = field(default_factory=list)
    """Records to any other topic, in order for each partition."""
    least: int | None = None
    """Least stamp (ms) among the messages sent to topics that take part in established time; None if none was sent."""
    progress: int | None = None
    """Led instances: the last tick read (ms); None if this batch held none."""

    @property
    def size(self) -> int:
        """Bytes of the keys, values and headers that go to Kafka."""
        size = sum(len(key) + len(value or b"") for key, value in self.state)
        for send in self.sends:
            size += len(send.key or b"") + len(send.value or b"") + sum(len(n) + len(v) for n, v in send.headers)
        return size


class Processor(Protocol):
    """The work of one stage on one assigned partition.

    `process` and `timers` may change the processor's own memory while they compute; the store changes only after the
    commit. When a transaction did not commit, or its outcome is unknown, the runtime calls `reset`.
    """

    @property
    def progress(self) -> int | None:
        """Led instances: the last tick read (ms) according to committed state, kept over restarts; else None."""
        ...

    def process(self, records: list[Record]) -> Effects:
        """Effects of the next records. Never raises for bad data; an exception is a bug and ends the worker."""
        ...

    def timers(self, established: int, limit: int) -> Effects | None:
        """Effects of at most `limit` pieces of work that are due at established time (ms), or None if none is due."""
        ...

    def derive(self, key: bytes, value: bytes | None) -> list[tuple[bytes, bytes | None]]:
        """Local records that go with one changelog record, given to recovery before it writes that record.

        The store still holds what was before. Of several records of a key read at once only the last is given.
        """
        ...

    def reset(self) -> None:
        """Drop everything held in memory: the store is the truth again."""
        ...


@runtime_checkable
class InPieces(Protocol):
    """A processor whose batches take long: the runtime takes the same work in pieces instead, one for each record or so.

    Between two pieces of one call it calls nothing else of this processor, unless it gives the work up: then `reset` follows.
    """

    def process_in_pieces(self, records: list[Record]) -> Pieces[Effects]:
        """The work of `process`."""
        ...

    def timers_in_pieces(self, established: int, limit: int) -> Pieces[Effects | None]:
        """The work of `timers`."""
        ...


def process(processor: Processor, records: list[Record]) -> Pieces[Effects]:
    """The work of `process`, in pieces where the processor has them."""
    if isinstance(processor, InPieces):
        return (yield from processor.process_in_pieces(records))
    return processor.process(records)


def timers(processor: Processor, established: int, limit: int) -> Pieces[Effects | None]:
    """The work of `timers`, in pieces where the processor has them."""
    if isinstance(processor, InPieces):
        return (yield from processor.timers_in_pieces(established, limit))
    return processor.timers(established, limit)


ProcessorFactory = Callable[[int, Store], Processor]
"""(partition, store) -> the processor of that partition."""
