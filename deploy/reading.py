"""Reading topics once, from their beginning to the end that they have now."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError

from deploy.errors import DeployError, Exit

POLL_MS = 500


class UnreachableError(DeployError):
    """No broker answers, or it has no such instance."""

    exit_code = Exit.NOT_RUNNING


async def records(brokers: str, *topics: str) -> AsyncGenerator[ConsumerRecord[bytes | None, bytes | None], None]:
    """Every committed record of some topics, those of each partition in order. Raises `UnreachableError`.

    Whoever may leave off before the end wraps it into `contextlib.aclosing`.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        await consumer.start()
    except KafkaConnectionError:
        await consumer.stop()
        raise UnreachableError(f"no broker answers at {brokers}") from None
    try:
        if missing := set(topics) - await consumer.topics():
            raise UnreachableError(f"there is no topic {min(missing)}: is this the right instance?")
        await consumer._client.set_topics(topics)  # an assignment alone asks for no metadata
        parts = [TopicPartition(t, p) for t in topics for p in sorted(consumer.partitions_for_topic(t) or ())]
        consumer.assign(parts)
        begins, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        for tp in parts:
            consumer.seek(tp, begins[tp])
        left = {tp for tp in parts if ends[tp] > begins[tp]}
        while left:
            for tp, found in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                for record in found:
                    if record.offset < ends[tp]:
                        yield record
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
            if idle := [tp for tp in consumer.assignment() if tp not in left]:
                consumer.pause(*idle)
    finally:
        await consumer.stop()
