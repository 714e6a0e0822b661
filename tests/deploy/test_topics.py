from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.local_kafka import LocalKafka
from deploy.settings import load
from deploy.topics import Topic, TopicsError, TopicsReason, declared, ensure, ensure_instance, of_body

pytestmark = pytest.mark.system


@pytest.fixture
async def admin(kafka: LocalKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    yield client
    await client.close()


async def test_an_instance_gets_its_topics_once(kafka: LocalKafka, instance: str, admin: AIOKafkaAdminClient) -> None:
    settings = load(instance=instance, partitions=3, output_partitions=2)
    created = await ensure_instance(settings, kafka.bootstrap, ["caf-75"])
    assert set(created) == {topic.name for topic in declared(instance, 3, 2)} | {f"{instance}.case-events.caf-75"}
    assert await ensure_instance(settings, kafka.bootstrap, ["caf-75"]) == ()
    assert await ensure_instance(settings, kafka.bootstrap, ["ants"]) == (f"{instance}.case-events.ants",)
    found = {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics(list(created))}
    assert found[f"{instance}.journeys"] == found[f"{instance}.case-events"] == 3
    assert found[f"{instance}.alerts"] == 2
    assert found[f"{instance}.time"] == 1


async def test_another_number_of_partitions_is_refused(instance: str, admin: AIOKafkaAdminClient) -> None:
    topic = of_body(instance, "caf-75")
    await ensure(admin, [topic])
    await admin.create_partitions({topic.name: NewPartitions(2)})
    with pytest.raises(TopicsError, match="number of partitions is 2, must be 1") as caught:
        await ensure(admin, [topic])
    assert caught.value.reason is TopicsReason.DIFFERENT


async def test_what_the_bus_relies_on_is_checked_and_the_rest_is_left_to_operators(
    instance: str, admin: AIOKafkaAdminClient
) -> None:
    events, journeys, *_ = declared(instance, 1, 1)
    await ensure(admin, [events, journeys])
    kept = {**events.needed, "retention.ms": "1000000"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, events.name, kept)])
    assert await ensure(admin, [events, journeys]) == ()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, journeys.name, {"cleanup.policy": "delete"})])
    with pytest.raises(TopicsError, match=r"journeys: cleanup\.policy is delete, must be compact"):
        await ensure(admin, [events, journeys])


async def test_what_kafka_refuses_is_told(instance: str, admin: AIOKafkaAdminClient) -> None:
    with pytest.raises(TopicsError, match=instance) as caught:
        await ensure(admin, [Topic(f"{instance}.many", 1)], replication=3)
    assert caught.value.reason is TopicsReason.REFUSED
