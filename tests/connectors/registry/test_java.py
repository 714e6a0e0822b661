"""Our topics as a Java program reads them, with Apache Avro alone: the same content as in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas import catalog
from schemas.codec import Codec, events
from streams.correlate import Correlate, Plan
from streams.runtime.processor import Record
from streams.runtime.store import MemoryStore
from tests.support import java
from tests.support.books import book
from tests.support.facts import KEYS, case, event, handoff, journey
from tests.support.loop import BODIES

SCHEMAS = (*catalog.bus(), *catalog.events())
DAY = 20_500
SENT = handoff("viriat", 7)
FACTS = (
    event("case.opened", case("viriat", "PC-é-1"), DAY, 1, refs=(journey("viriat", 1),), procedure="urbanisme.pc-maison"),
    event("handoff.sent", case("viriat", "PC-é-1"), DAY + 1, 2, handoff=SENT, to="gba", reason="Hors \"compétence\" ; voir \\ à côté"),
    event("handoff.received", case("gba", "I-1"), DAY + 2, 1, handoff=SENT),
    event("handoff.accepted", case("gba", "I-1"), DAY + 3, 2, handoff=SENT),
    event("case.decided", case("gba", "I-1"), DAY + 9, 3, outcome="granted_in_part"),
    event("case.opened", case("viriat", "PC-2"), DAY, 9, procedure="urbanisme.pc-maison"),
)  # fmt: skip


def written(facts: tuple[bytes, ...]) -> dict[str, list[bytes]]:
    """Values that the bus writes of facts, by topic."""
    plan = Plan(instance="t", partitions=1, output_partitions=1, led=False, room=1_000, keys=KEYS, events=events())
    store = MemoryStore()
    correlate = Correlate(plan, 0, store, book(BODIES))
    topics: dict[str, list[bytes]] = {"journeys": []}
    waiting, offset = list(facts), 0
    while waiting:
        now = [Record(offset + i, (DAY + 10) * 86_400_000, None, value) for i, value in enumerate(waiting)]
        effects, offset, waiting = correlate.process(now), offset + len(now), []
        store.write([*effects.state, *effects.local], offset)
        topics["journeys"] += [value for _, value in effects.state if value is not None]
        for send in effects.sends:
            if send.value is not None:
                topics.setdefault(send.topic.removeprefix("t."), []).append(send.value)
        waiting = topics.pop("case-events", [])
    return topics


def plain(value: Any) -> Any:
    """A datum as the Java program prints it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the class path of the compiled program."""
    return java.compiled(Path(__file__).with_name("Reader.java"), tmp_path_factory.mktemp("java"))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return our schemas as files that stand alone, as `relais schemas show` prints them."""
    folder = tmp_path_factory.mktemp("avsc")
    for schema in SCHEMAS:
        (folder / f"{schema.name}.{schema.version}.avsc").write_text(json.dumps(schema.json), encoding="utf-8")
    return sorted(str(path) for path in folder.iterdir())


def test_java_reads_what_python_reads(reader: str, files: list[str]) -> None:
    topics = written(FACTS)
    assert {"journeys", "statuses", "handoffs"} <= {name for name, values in topics.items() if values}
    values = [value for some in topics.values() for value in some]
    lines = java.run(reader, "Reader", files, "\n".join(value.hex() for value in values)).splitlines()
    codec = Codec(SCHEMAS)
    expected = []
    for value in values:
        schema, datum = codec.decode(value)
        expected.append((schema.json["name"], plain(datum)))
    assert [(name, json.loads(text)) for name, _, text in (line.partition(" ") for line in lines)] == expected
    assert {"Status", "Handoff", "Head", "Copy"} <= {name for name, _ in expected}
