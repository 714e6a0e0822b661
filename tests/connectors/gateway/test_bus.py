"""The gateway's producer on a real broker."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from connectors.gateway.bus import Bus, BusConfig, Order
from connectors.gateway.problems import ProblemError
from deploy.local_kafka import LocalKafka
from tests.conftest import CreateTopic

pytestmark = pytest.mark.system


async def test_what_is_written_is_there_when_it_returns(
    kafka: LocalKafka, instance: str, create_topic: CreateTopic
) -> None:
    topic = await create_topic(f"{instance}.case-events", 3)
    bus = Bus(BusConfig(brokers=kafka.bootstrap, instance=instance, timeout_s=5))
    with pytest.raises(ProblemError):
        await bus.write([Order("case-events", 0, b"early", b"x")])
    await bus.start()
    try:
        await bus.write([Order("case-events", n % 3, b"k%d" % n, b"v%d" % n) for n in range(30)])
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap)
        await consumer.start()
        ends = await consumer.end_offsets([TopicPartition(topic, n) for n in range(3)])
        await consumer.stop()
        assert list(ends.values()) == [10, 10, 10]
        with pytest.raises(ProblemError) as caught:
            await bus.write([Order("nowhere", 0, b"k", b"v")])
        assert caught.value.status == 503
    finally:
        await bus.stop()
