"""Two buses on one broker, and bridges between them that are killed: every fact there once, as it was, and no circle."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from connectors.relais.carrying import VIA, Carrying, Ends
from deploy import topics
from deploy.cli import app
from deploy.local_kafka import LocalKafka
from deploy.reading import records
from deploy.settings import load
from schemas import canonical
from schemas.codec import bus, events
from schemas.references import Keys, partition_of
from streams.engine.routing import ADMITTED
from streams.runtime.processor import Record
from tests.support.facts import case, event

ROOT = Path(__file__).resolve().parents[3]
NOW_MS = 1_772_000_000_000
TODAY = NOW_MS // 86_400_000
SIGNED = {"key_id": "ads-2026", "signature": "A" * 86 + "=="}


def fact(body: str, number: int, **header: str) -> bytes:
    """A fact of a body, attested by it and signed."""
    schema, datum = events().decode(event("case.opened", case(body, f"R-{number}"), TODAY, number, attested_by="body"))
    datum["header"] |= SIGNED | header
    return events().encode(schema.name, datum)


def carrying(*bodies: str, here: str = "ain") -> Carrying:
    ends = Ends(origin="rhone", here=here, instance="b", partitions=4, bodies=bodies)
    return Carrying(ends, Keys(bytes(16)), events())


def record(value: bytes | None, *headers: tuple[str, bytes]) -> Record:
    return Record(7, NOW_MS, b"key of the other bus", value, headers)


def test_a_fact_goes_on_as_it_is_under_the_key_of_this_bus() -> None:
    value = fact("viriat", 1)
    send = carrying("viriat").carried("a.case-events", 0, record(value, (ADMITTED, b"x" * 8), ("trace", b"t")))
    assert send is not None
    key = Keys(bytes(16)).of(case("viriat", "R-1"))
    assert (send.topic, send.partition, send.key, send.value) == ("b.case-events", partition_of(key, 4), key, value)
    assert send.headers == [("trace", b"t"), (VIA, b"rhone")]


def test_nothing_else_goes_on() -> None:
    value, message = fact("viriat", 1), bus().encode("tick", {"at": NOW_MS})
    for given in (record(message), record(None), record(fact("gba", 1)), record(value, (VIA, b"loire,ain"))):
        assert carrying("viriat").carried("a.case-events", 0, given) is None
    send = carrying("viriat").carried("a.case-events", 0, record(value, (VIA, b"loire")))
    assert send is not None
    assert send.headers == [(VIA, b"loire,rhone")]


def test_what_cannot_be_taken_is_a_dead_letter_with_its_reason() -> None:
    spoken_for = fact("viriat", 1, subject=case("gba", "R-1"))
    for value, reason in ((b"\xc3\x01" + b"?" * 20, "unknown-schema"), (spoken_for, "invalid")):
        send = carrying("viriat").carried("a.case-events", 3, record(value))
        assert send is not None
        assert send.topic == "b.dead-letters"
        letter = bus().decode(send.value or b"")[1]
        assert (letter["reason"], letter["topic"], letter["partition"], letter["value"]) == (
            reason,
            "a.case-events",
            3,
            value,
        )


def test_a_file_that_cannot_be_used_says_what_to_mend(tmp_path: Path) -> None:
    file = tmp_path / "bridge.yaml"
    file.write_text(
        "name: from-rhone\norigin: rhone\nhere: ain\nbrokers: k:9092\nbodies: [Ville de Brignais]\nspeed: 3\n"
    )
    result = CliRunner().invoke(app, ["bridge", str(file), "--check"])
    assert result.exit_code != 0
    text = str(result.exception)
    assert "bridge.yaml:5: bodies.0" in text
    assert "bridge.yaml:6: speed" in text
    file.write_text("name: from-rhone\norigin: rhone\nhere: ain\nbrokers: k:9092\nbodies: [ville-brignais]\n")
    assert "ville-brignais" in CliRunner().invoke(app, ["bridge", str(file), "--check"]).output


class Buses:
    """Two instances, and a bridge each way."""

    def __init__(self, brokers: str, name: str, folder: Path) -> None:
        self.brokers, self.folder = brokers, folder
        self.names = {"ain": f"{name}-a", "rhone": f"{name}-b"}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    async def prepare(self) -> None:
        for instance in self.names.values():
            await topics.ensure_instance(load(instance=instance, partitions=4, output_partitions=1), self.brokers)

    def start(self, here: str, bodies: list[str]) -> None:
        origin = "rhone" if here == "ain" else "ain"
        file = self.folder / f"{here}.yaml"
        told = {"name": f"from-{origin}", "origin": origin, "here": here, "brokers": self.brokers, "bodies": bodies}
        file.write_text(json.dumps(told | {"instance": self.names[origin]}))
        command = [sys.executable, "-m", "tests.connectors.relais.bridging", self.brokers, self.names[here], str(file)]
        self.running[here] = subprocess.Popen(command, cwd=ROOT)

    def kill(self, here: str) -> None:
        child = self.running.pop(here)
        child.kill()
        child.wait()

    async def write(self, at: str, values: list[bytes]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.brokers, acks="all")
        await producer.start()
        try:
            for n, value in enumerate(values):
                await producer.send(f"{self.names[at]}.case-events", value=value, key=b"k", partition=n % 4)
            await producer.flush()
        finally:
            await producer.stop()

    async def facts(self, at: str) -> Counter[bytes]:
        return Counter([r.value or b"" async for r in records(self.brokers, f"{self.names[at]}.case-events")])

    async def until(self, at: str, count: int) -> None:
        async with asyncio.timeout(60):
            while len(await self.facts(at)) < count:  # noqa: ASYNC110 - another process moves it
                await asyncio.sleep(0.1)


@pytest.fixture
def buses(kafka: LocalKafka, instance: str, tmp_path: Path) -> Iterator[Buses]:
    made = Buses(kafka.bootstrap, instance, tmp_path)
    yield made
    for here in list(made.running):
        made.kill(here)


@pytest.mark.system
async def test_two_buses_each_fact_once_and_as_it_was_whatever_is_killed(buses: Buses) -> None:
    await buses.prepare()
    ours, theirs = [fact("viriat", n) for n in range(600)], [fact("brignais", n) for n in range(600)]
    everybody = ["viriat", "brignais"]  # wrong on purpose: the header alone has to end the circle
    for here in ("ain", "rhone"):
        buses.start(here, everybody)

    async def speak() -> None:
        for n in range(0, 600, 10):
            await buses.write("ain", ours[n : n + 10])
            await buses.write("rhone", theirs[n : n + 10])

    speaking = asyncio.create_task(speak())
    dice = random.Random(5)
    for turn in range(5):
        here = ("ain", "rhone")[turn % 2]
        before = len(await buses.facts(here))
        await buses.until(here, min(before + 15, 1200))
        await asyncio.sleep(dice.uniform(0, 0.1))
        buses.kill(here)
        buses.start(here, everybody)
    await speaking
    for at in ("ain", "rhone"):
        await buses.until(at, 1200)
    await buses.write("ain", [last := fact("viriat", 9999)])
    await buses.until("rhone", 1201)
    expected = Counter([*ours, *theirs, last])
    assert await buses.facts("ain") == expected
    assert await buses.facts("rhone") == expected
    digests = {canonical.digest(*events().decode(value)) for value in expected}
    assert len(digests) == 1201
