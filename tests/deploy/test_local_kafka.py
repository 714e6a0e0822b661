import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy import kafka_jars, ports
from deploy.kafka_jars import LocalKafkaError, LocalKafkaReason
from deploy.local_kafka import LocalKafka

TOPIC = "kept"


async def _produce(bootstrap: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="test", acks="all")
    await producer.start()
    try:
        async with producer.transaction():
            for value in values:
                await producer.send(TOPIC, value, partition=0)
    finally:
        await producer.stop()


async def _read(bootstrap: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(TOPIC, 0)])
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


@pytest.mark.system
async def test_a_crash_keeps_what_was_committed_and_the_address(tmp_path: Path) -> None:
    written = [b"one", b"two", b"three"]
    with LocalKafka(tmp_path) as broker:
        assert broker.ready()
        before, pid = broker.bootstrap, broker.pid
        assert int(before.rpartition(":")[2]) in ports.RANGE, "no client can take its port while it is away"
        admin = AIOKafkaAdminClient(bootstrap_servers=before)
        await admin.start()
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
        await admin.close()
        await _produce(before, written)

        broker.kill()
        assert not broker.running()
        assert not broker.ready()

        broker.start()
        assert broker.bootstrap == before
        assert broker.pid != pid
        assert await _read(before, 3) == written
        await _produce(before, [b"four"])

        same = LocalKafka(tmp_path).start()
        assert same.pid == broker.pid, "a broker that runs is taken as it is"
        same.stop()
        assert not broker.running()

        broker.start()
        assert await _read(broker.bootstrap, 4) == [*written, b"four"]
    assert not broker.running()


@pytest.mark.system
def test_two_starts_at_once_are_one_broker(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: LocalKafka(tmp_path).start(), range(2))
    try:
        assert first.pid == second.pid
        assert first.bootstrap == second.bootstrap
    finally:
        first.stop()
        second.stop()
    assert not first.running()
    assert not second.running()


def test_what_never_started_does_not_run(tmp_path: Path) -> None:
    broker = LocalKafka(tmp_path / "none", port=19092)
    assert not broker.running()
    assert not broker.ready()
    assert broker.bootstrap == "127.0.0.1:19092"
    broker.stop()


def test_a_port_that_was_asked_for_is_not_exchanged(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalKafkaError, match=f"port {port} is taken"):
            LocalKafka(tmp_path, port=port).start()
    assert not LocalKafka(tmp_path).running()


def test_a_broken_jar_is_seen_and_an_unreachable_repository_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kafka"
    folder.mkdir()
    first, *others = kafka_jars.locked()
    for jar in others:
        os.link(kafka_jars.cache_dir() / "kafka" / jar.name, folder / jar.name)
    (folder / first.name).write_bytes(b"not a jar")
    monkeypatch.setenv("RELAIS_CACHE", str(tmp_path))
    monkeypatch.setenv("RELAIS_MAVEN_MIRROR", "http://127.0.0.1:9/")  # the discard port: nobody listens
    said: list[str] = []
    with pytest.raises(LocalKafkaError, match="RELAIS_BROKERS") as caught:
        kafka_jars.jars(said.append)
    assert caught.value.reason is LocalKafkaReason.UNREACHABLE
    assert "1 files" in said[0]


def test_a_mirror_of_the_machine_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELAIS_MAVEN_MIRROR", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert kafka_jars.maven_mirror() is None
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0"><mirrors>'
        "<mirror><mirrorOf>other</mirrorOf><url>http://127.0.0.1/other</url></mirror>"
        "<mirror><mirrorOf>central, x</mirrorOf><url>http://127.0.0.1/mirror/</url></mirror>"
        "</mirrors></settings>"
    )
    assert kafka_jars.maven_mirror() == "http://127.0.0.1/mirror"
    monkeypatch.setenv("RELAIS_MAVEN_MIRROR", "http://127.0.0.1/mine/")
    assert kafka_jars.maven_mirror() == "http://127.0.0.1/mine"
