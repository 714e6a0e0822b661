"""What a connector is: a source that is read, a sink that is sent to, and three kinds of error.

A connector knows its own system and nothing of Kafka, mappings, retries or checkpoints: the runner owns those. Its configuration is a
pydantic model whose fields bear a docstring each; the constructor takes one and does no I/O.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

Json = Any
"""A value of JSON."""
Cursor = Json
"""Where a source has been read to: a small JSON value that only the source understands. None: from the beginning."""


class ConnectorConfig(BaseModel):
    """Base of every connector's configuration: closed, frozen, each field with a docstring. Secrets are `Secret`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @property
    def restless(self) -> tuple[str, ...]:
        """Fields of a record that change whenever anything of it does, such as the moment of its last change."""
        return ()


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the source has it."""

    key: str
    """The source's own key of the record (primary key, id of a notification): stable over its versions; never logged."""
    content: Mapping[str, Json]
    """What it says, as JSON values; dates and times as ISO 8601, a time with the source's offset."""
    raw: bytes = b""
    """The bytes as they came, for a dead letter; where there are none, `content` as JSON serves."""
    version: str | None = None
    """The source's number of this version or transition. None: the runner numbers the changes of content that it sees, and states what
    each of them says otherwise than the one before."""
    place: str = ""
    """Where it stands, for a person who looks for it: `permits.csv, line 12`; no personal data."""

    def original(self) -> bytes:
        """The bytes that a dead letter keeps."""
        return self.raw or json.dumps(self.content, ensure_ascii=False, sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that the source itself cannot read (a broken line, a row of the wrong shape): a dead letter, and on with the next."""

    raw: bytes
    """The bytes as they came."""
    mend: str
    """What is wrong and how to mend it; no content of the record."""
    place: str = ""
    """Where it stands."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that end on a boundary of the source's cursor."""

    records: Sequence[Record | Refused]
    cursor: Cursor
    """Where the next read goes on once these are published."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check."""

    ok: bool
    what: str
    """What was tried."""
    mend: str = ""
    """What to change, if it is not ok."""
    advice: str = ""
    """What would be better, though it is ok."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a connector's check found. Read-only: a check changes nothing in the source or at the receiver."""

    findings: Sequence[Finding] = ()

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return all(f.ok for f in self.findings)


class Source(Protocol):
    """Something that is read. `read` ends when there is nothing more for now; the runner calls it again after a while."""

    Config: ClassVar[type[ConnectorConfig]]

    async def check(self) -> Report:
        """Connect without changing anything, and say whether what is needed is there: rights, columns, the clock, the time zone."""
        ...

    def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """Batches after `since`, in order. May repeat what was read before: the runner drops what it has published.

        Raises:
            ConfigError: a person has to change something.
            Unavailable: not now; it is read again later.
        """
        ...


@runtime_checkable
class Passive(Protocol):
    """A source that waits for what the system brings: that nothing comes does not say that the system lives.

    `source.heartbeat` is stated for any other source that was read to its end.
    """

    passive: ClassVar[bool]


@runtime_checkable
class Acking(Protocol):
    """A source that is told what was published (an acknowledged queue, a folder whose files move to `done/`)."""

    async def ack(self, batch: Batch) -> None:
        """The facts of this batch are committed. May be called again for the same batch after a crash."""
        ...


@runtime_checkable
class Listening(Protocol):
    """A connector that others call: it answers them whether or not the bus is there."""

    async def listen(self) -> None:
        """Begin to listen; again does no harm. Called before the bus is asked for anything.

        Raises:
            ConfigError: a person has to change something.
            Unavailable: not now; it is tried again later.
        """
        ...


@runtime_checkable
class Closing(Protocol):
    """A connector that holds something open."""

    async def close(self) -> None:
        """Let go of it."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to bring to a body: a handoff in a state that it passed, or a status that changed; projected for that body."""

    id: str
    """The same whenever this very state is sent again: the receiver's key against doubles. Opaque."""
    kind: str
    """`handoff` or `status`."""
    key: str
    """The same for all states of one handoff, or one status; items of one key come in order. Opaque."""
    content: Mapping[str, Json]
    """What the body may see, as JSON; for a handoff that is no more, empty."""
    gone: bool = False
    """The handoff or status is no more (purged, withdrawn)."""
    documents: Sequence[Mapping[str, Json]] = field(default=())
    """The documents' manifest, where there is one."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The receiver has it."""

    receipt: bool = False
    """Whether that means that the body has received the handoff: the runner then states `handoff.received`."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now; this item and those of its key are sent again."""

    after_s: float | None = None
    """The wait that the receiver asks for; None: the runner's own."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Never: a dead letter."""

    mend: str
    """What is wrong and how to mend it; no content of the item."""


Outcome = Sent | Retry | Reject
"""What became of an item."""


class Sink(Protocol):
    """Something that is sent to."""

    Config: ClassVar[type[ConnectorConfig]]

    async def check(self) -> Report:
        """Connect without changing anything, and say whether what is needed is there."""
        ...

    async def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Bring items to the receiver; one outcome for each, in the same order. May repeat items after a crash.

        Raises:
            ConfigError: a person has to change something.
            Unavailable: the receiver as a whole does not answer; all of them are sent again.
        """
        ...


class ConnectorError(Exception):
    """Base of what a connector raises. The text never repeats content of a record or a secret."""

    code: ClassVar[str]
    retriable: ClassVar[bool]


class ConfigError(ConnectorError):
    """A person has to change something: the connector stops and says what."""

    code = "configuration"
    retriable = False

    def __init__(self, mend: str, field: str = "") -> None:
        super().__init__(f"{field}: {mend}" if field else mend)
        self.field = field
        self.mend = mend


class Unavailable(ConnectorError):  # noqa: N818 - it says what is the case, not that something failed
    """The system does not answer for now: it is waited for, and nothing becomes a dead letter."""

    code = "unavailable"
    retriable = True

    def __init__(self, what: str, after_s: float | None = None) -> None:
        super().__init__(what)
        self.after_s = after_s


class Rejected(ConnectorError):  # noqa: N818
    """This record can never be taken: a dead letter now."""

    code = "rejected"
    retriable = False

    def __init__(self, mend: str) -> None:
        super().__init__(mend)
        self.mend = mend
