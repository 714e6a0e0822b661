"""Dead letters as an operator meets them: which there are, what one says, and putting records back where they came from."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from deploy.reading import records
from schemas import codec
from schemas.codec import DecodeError
from streams.reasons import Reason

if TYPE_CHECKING:
    from datetime import date

MAX_REQUEST = 8 * 1024 * 1024
"""A record is put back whatever its size, for the topic took it once."""


class Letter(NamedTuple):
    """One dead letter."""

    written_at: int
    """When it was written, ms since the epoch."""
    datum: dict[str, Any]
    """As the bus record `dead-letter` has it."""

    @property
    def id(self) -> str:
        """Where the record stood: topic, partition, offset."""
        return f"{self.datum['topic']}/{self.datum['partition']}/{self.datum['offset']}"

    def told(self) -> dict[str, Any]:
        """What may be told without the content."""
        datum = self.datum
        return {
            "id": self.id, "reason": datum["reason"], "retriable": datum["retriable"], "field": datum["field"],
            "detail": datum["detail"], "written_at": instant(self.written_at), "appended_at": instant(datum["timestamp"]),
            "size": datum["size"], "digest": datum["digest"], "kept": datum["value"] is not None,
        }  # fmt: skip

    def content(self) -> dict[str, Any]:
        """The content: bytes in base64, and the event if it can be read."""
        datum = self.datum
        found: dict[str, Any] = {
            "key": _base64(datum["key"]),
            "value": _base64(datum["value"]),
            "headers": {h["name"]: _base64(h["value"]) for h in datum["headers"]},
            "event": None,
        }
        try:
            schema, event = codec.events().decode(datum["value"] or b"")
        except DecodeError:
            return found
        return found | {"event": {"type": schema.name, **event}}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters are meant; what is empty does not choose."""

    ids: Collection[str] = ()
    reasons: Collection[Reason] = ()
    topics: Collection[str] = ()
    """Topics that the records came from, with or without the name of the instance."""
    since: date | None = None
    """Written on that day (UTC) or later."""

    def takes(self, letter: Letter, instance: str) -> bool:
        """Whether a letter is meant."""
        topic = letter.datum["topic"]
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.reasons or letter.datum["reason"] in self.reasons)
            and (not self.topics or topic in self.topics or topic.removeprefix(f"{instance}.") in self.topics)
            and (self.since is None or datetime.fromtimestamp(letter.written_at / 1000, UTC).date() >= self.since)
        )


class Fate(StrEnum):
    """What became of a letter that was to be replayed."""

    REPLAYED = "replayed"
    """Its record stands at the end of its topic again."""
    NOT_RETRIABLE = "not-retriable"
    """The record itself is wrong; `--force` replays it all the same."""
    NOT_KEPT = "not-kept"
    """Its bytes were not kept, for they held what must not be."""
    SAME = "same"
    """The same bytes as of one before it, from the same topic: once is enough."""
    NO_TOPIC = "no-topic"
    """Its topic is no more, or is not one that takes facts."""


async def letters(brokers: str, instance: str, choice: Choice) -> AsyncIterator[Letter]:
    """The letters meant, in the order in which they were written."""
    bus = codec.bus()
    async with aclosing(records(brokers, f"{instance}.dead-letters")) as found:
        async for record in found:
            letter = Letter(record.timestamp, bus.decode(record.value or b"")[1])
            if choice.takes(letter, instance):
                yield letter


async def replay(brokers: str, instance: str, choice: Choice, force: bool) -> AsyncIterator[tuple[Letter, Fate]]:
    """Put the records of letters back, as they came: same topic and partition, key, bytes, headers.

    It is harmless to do so twice: the bus knows a fact that it has.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers, acks="all", enable_idempotence=True, max_request_size=MAX_REQUEST
    )
    await producer.start()
    try:
        partitions = await _partitions(brokers, instance)
        seen: set[tuple[str, str]] = set()
        async for letter in letters(brokers, instance, choice):
            datum = letter.datum
            fate = _fate(datum, force, partitions.get(datum["topic"], 0))
            content = (datum["topic"], datum["digest"])
            if fate is Fate.REPLAYED and content in seen:
                fate = Fate.SAME
            if fate is Fate.REPLAYED:
                seen.add(content)
                headers = [(h["name"], h["value"]) for h in datum["headers"]]
                await producer.send_and_wait(
                    datum["topic"], datum["value"], key=datum["key"], partition=datum["partition"], headers=headers
                )
            yield letter, fate
    finally:
        await producer.stop()


def instant(ms: int) -> str:
    """Milliseconds since the epoch as RFC 3339 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def _fate(datum: dict[str, Any], force: bool, partitions: int) -> Fate:
    if datum["value"] is None:
        return Fate.NOT_KEPT
    if not datum["retriable"] and not force:
        return Fate.NOT_RETRIABLE
    return Fate.REPLAYED if datum["partition"] < partitions else Fate.NO_TOPIC


async def _partitions(brokers: str, instance: str) -> dict[str, int]:
    """Number of partitions of each topic that takes facts."""
    own = f"{instance}.case-events"
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name == own or name.startswith(f"{own}.")]
        return {found["topic"]: len(found["partitions"]) for found in await admin.describe_topics(names)}
    finally:
        await admin.close()


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
