"""What tests of more than one package lean on: one real broker for the whole run, a fresh instance for each test."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Protocol

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from hypothesis import settings

from deploy.local_kafka import LocalKafka
from tests.support.town import Town

# How long one example takes tells of the machine, not of the code.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")


class CreateTopic(Protocol):
    """What the fixture `create_topic` is."""

    async def __call__(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str: ...


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """Return the broker that all tests of the run share; a test that ends it starts one of its own."""
    with LocalKafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def instance() -> str:
    """Return an instance name that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def create_topic(kafka: LocalKafka) -> CreateTopic:
    """Return a function that creates one topic on the shared broker and returns its name."""

    async def create(name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(config or {}))])
        finally:
            await admin.close()
        return name

    return create


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Return `relais up` in a folder of its own, for all tests that want it; `start` does nothing where it runs."""
    made = Town(tmp_path_factory.mktemp("town"))
    yield made
    made.stop()
