"""The topics of an instance: what they are called, how they are cut and kept, and how they come to be."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from deploy.errors import DeployError

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

    from deploy.settings import Settings

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CREATED = 0
ALREADY_EXISTS = 36
"""Kafka's error code for a topic that is there."""
LEARNT_S = 15.0
"""So long is waited until the brokers know a topic that was created."""
TOPIC_RESOURCE = 2

STAMPED = {"message.timestamp.type": "LogAppendTime"}
"""The broker's clock stamps the records, so that time never goes back within a partition for a producer's sake."""
LOGGED = {"cleanup.policy": "delete"}
LATEST = {"cleanup.policy": "compact"}
COMPACTION = {
    "min.cleanable.dirty.ratio": "0.2",
    "segment.ms": str(HOUR_MS),
    "max.compaction.lag.ms": str(DAY_MS),  # what was purged is gone from the disks within about a day
    "delete.retention.ms": str(7 * DAY_MS),  # a store that slept longer than this starts cold
}


class TopicsReason(StrEnum):
    """Why the topics of an instance cannot be used."""

    DIFFERENT = "different"
    """A topic exists, cut or kept in another way than the bus needs."""
    REFUSED = "refused"
    """Kafka did not create a topic."""


class TopicsError(DeployError):
    """The topics cannot be used; `reason` for programs, the text names each topic and the mend."""

    def __init__(self, reason: TopicsReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the bus needs it."""

    name: str
    partitions: int
    needed: Mapping[str, str] = field(default_factory=dict)
    """Configuration that the bus relies on: a topic that has another one is refused."""
    proposed: Mapping[str, str] = field(default_factory=dict)
    """Configuration set at creation, which the people who run Kafka may change."""


def declared(instance: str, partitions: int, output_partitions: int) -> tuple[Topic, ...]:
    """Return the topics that every instance has. Partition p of journeys belongs to partition p of case-events."""

    def logged(name: str, count: int, days: int, stamped: dict[str, str]) -> Topic:
        return Topic(f"{instance}.{name}", count, LOGGED | stamped, {"retention.ms": str(days * DAY_MS)})

    def latest(name: str, count: int) -> Topic:
        return Topic(f"{instance}.{name}", count, LATEST, COMPACTION)

    return (
        logged("case-events", partitions, 30, STAMPED),
        latest("journeys", partitions),
        latest("statuses", output_partitions),
        latest("handoffs", output_partitions),
        latest("alerts", output_partitions),
        logged("dead-letters", 1, 90, {}),
        Topic(f"{instance}.time", 1, LATEST | STAMPED, COMPACTION),
        latest("reference", 1),
    )


def of_body(instance: str, body: str) -> Topic:
    """Return the topic of a body that produces without the gateway; one partition keeps the order of its source."""
    return Topic(f"{instance}.case-events.{body}", 1, LOGGED | STAMPED, {"retention.ms": str(30 * DAY_MS)})


def inbox_of(instance: str, body: str) -> Topic:
    """Return the topic of what is handed to a body that subscribes: the newest state of each handoff, in one order."""
    return Topic(f"{instance}.inbox.{body}", 1, LATEST, COMPACTION)


def connector_of(instance: str, name: str) -> Topic:
    """Return the topic of what a connector remembers; one partition, for it has one writer."""
    return Topic(f"{instance}.connector.{name}", 1, LATEST, COMPACTION)


async def ensure(admin: "AIOKafkaAdminClient", topics: Iterable[Topic], replication: int = 1) -> tuple[str, ...]:
    """Create the topics that are missing and check the others; return the names of those created.

    Raise `TopicsError` when one exists in another form or cannot be created. Safe to run by several at once.
    """
    from aiokafka.admin import NewTopic  # noqa: PLC0415

    wanted = {topic.name: topic for topic in topics}
    present = set(await admin.list_topics())
    missing = [topic for name, topic in wanted.items() if name not in present]
    created: list[str] = []
    if missing:
        orders = [
            NewTopic(t.name, t.partitions, replication, topic_configs={**t.needed, **t.proposed}) for t in missing
        ]
        answer = await admin.create_topics(orders)
        created = _created(answer.topic_errors)
    await _check(admin, [topic for name, topic in wanted.items() if name not in created])
    return tuple(created)


async def ensure_instance(settings: "Settings", brokers: str, bodies: Iterable[str] = ()) -> tuple[str, ...]:
    """Bring the topics of the instance of `settings` into being, with those of `bodies`; see `ensure`."""
    topics = [
        *declared(settings.instance, settings.partitions, settings.output_partitions),
        *(of_body(settings.instance, body) for body in bodies),
    ]
    return await _ensure(settings, brokers, topics)


async def ensure_inbox(settings: "Settings", brokers: str, body: str) -> tuple[str, ...]:
    """Bring the topic of a body's inbox into being; see `ensure`."""
    return await _ensure(settings, brokers, [inbox_of(settings.instance, body)])


async def ensure_connector(settings: "Settings", brokers: str, name: str) -> tuple[str, ...]:
    """Bring the state topic of a connector into being, and the topics of the instance; see `ensure`."""
    common = declared(settings.instance, settings.partitions, settings.output_partitions)
    return await _ensure(settings, brokers, [*common, connector_of(settings.instance, name)])


async def _ensure(settings: "Settings", brokers: str, topics: Iterable[Topic]) -> tuple[str, ...]:
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415

    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        return await ensure(admin, topics, settings.replication)
    finally:
        await admin.close()


def _created(errors: Iterable[tuple[Any, ...]]) -> list[str]:
    answers = [(str(name), int(code), str(rest[0] if rest else "")) for name, code, *rest in errors]
    refused = [f"{name}: {text or code}" for name, code, text in answers if code not in {CREATED, ALREADY_EXISTS}]
    if refused:
        raise TopicsError(TopicsReason.REFUSED, "Kafka did not create " + "; ".join(refused))
    return [name for name, code, _ in answers if code == CREATED]


async def _check(admin: "AIOKafkaAdminClient", topics: list[Topic]) -> None:
    if not topics:
        return
    partitions = {found["topic"]: len(found["partitions"]) for found in await _described(admin, topics)}
    configs = await _configs(admin, topics)
    wrong = [
        f"{topic.name}: {what} is {found}, must be {needed}"
        for topic in topics
        for what, found, needed in [
            ("number of partitions", str(partitions[topic.name]), str(topic.partitions)),
            *((key, configs[topic.name].get(key), value) for key, value in topic.needed.items()),
        ]
        if found != needed
    ]
    if wrong:
        text = "; ".join(wrong)
        mend = "set the configuration right with Kafka's tools, or choose another instance (partitions never change)"
        raise TopicsError(TopicsReason.DIFFERENT, f"{text}: {mend}")


async def _described(admin: "AIOKafkaAdminClient", topics: list[Topic]) -> list[dict[str, Any]]:
    """The topics as the brokers know them; what another start has created just now, they learn of a moment later."""
    end = time.monotonic() + LEARNT_S
    while True:
        found: list[dict[str, Any]] = await admin.describe_topics([topic.name for topic in topics])
        if all(one["error_code"] == CREATED for one in found) or time.monotonic() > end:
            return found
        await asyncio.sleep(0.1)


async def _configs(admin: "AIOKafkaAdminClient", topics: list[Topic]) -> dict[str, dict[str, str]]:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # noqa: PLC0415

    resources = [ConfigResource(ConfigResourceType.TOPIC, t.name, dict(t.needed)) for t in topics if t.needed]
    found: dict[str, dict[str, str]] = {t.name: {} for t in topics}
    for answer in await admin.describe_configs(resources):
        for _code, _text, kind, name, entries in answer.resources:
            if kind == TOPIC_RESOURCE:
                found[name] = {entry[0]: entry[1] for entry in entries}
    return found
