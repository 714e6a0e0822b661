"""`relais connector run` with sinks, killed (-9) in the middle: a table, a folder and a webhook hold every state of every handoff once.

A table's rows and a folder's files bear the item's id, so that what is sent again is the same row and the same file. A webhook may be
posted again, under the same `webhook-id`: the receiver keeps each id once. The receipt is the fact `handoff.received`, once.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy import create_engine, text

from connectors.sql.table import ddl
from deploy.local_kafka import LocalKafka
from schemas import codec
from tests.connectors.http.test_contract import KEY, ReceiverPlace
from tests.support import outputs
from tests.support.connector_process import Runs, lay_file
from tests.support.facts import KEYS
from tests.support.serving import serving

STATES = ("sent", "accepted")


class Receivers:
    """The three, and what they hold: (id, handoff's key, state), in the order in which they took it where they know it."""

    def __init__(self, folder: Path, database: str, url: str, hook: ReceiverPlace) -> None:
        self.folder, self._hook = folder / "inbox", hook
        self.folder.mkdir()
        self._engine = create_engine(database)
        self._run("DROP TABLE IF EXISTS killed_inbox")
        with self._engine.connect() as connection:
            statements = ddl(connection, "killed_inbox").rstrip(";").split(";\n")
        self._run(*statements)
        key = "whsec_" + base64.b64encode(KEY).decode()
        self.config: dict[str, dict[str, Any]] = {
            "sql-table": {"url": database, "table": "killed_inbox", "receipt": "written"},
            "folder": {"place": {"folder": str(self.folder)}, "receipt": "delivery"},
            "webhook-out": {"url": url, "keys": [key], "outgoing": {"private": ["127.0.0.0/8"]}},
        }

    def files(self, folder: Path) -> list[Path]:
        head = {"body": "gba", "takes": ["handoffs"], "rate": "100/s"}
        return [lay_file(folder, f"to-{name}", name, config, **head) for name, config in self.config.items()]

    def table(self) -> list[tuple[str, str, str]]:
        with self._engine.connect() as connection:
            rows = connection.execute(
                text("SELECT item_id, item_key, content FROM killed_inbox ORDER BY position")
            ).all()
        return [(row.item_id, row.item_key, json.loads(row.content)["state"]) for row in rows]

    def inbox(self) -> list[tuple[str, str, str]]:
        told = [json.loads(file.read_text("utf-8")) for file in self.folder.glob("handoff-*.json")]
        return [(one["id"], one["key"], one["content"]["state"]) for one in told]

    def hook(self) -> list[tuple[str, str, str]]:
        return [(one["id"], one["key"], one["state"]) for one in self._hook.kept.values()]

    async def count(self) -> int:
        return len(self.table()) + len(self.inbox()) + len(self.hook())

    def close(self) -> None:
        self._run("DROP TABLE killed_inbox")
        self._engine.dispose()

    def _run(self, *statements: str) -> None:
        with self._engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))


async def _handed(kafka: LocalKafka, instance: str, count: int) -> None:
    """So many handoffs, each in one state after the other."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"{instance}.test")
    await producer.start()
    try:
        async with producer.transaction():
            for state in STATES:
                for number in range(1, count + 1):
                    datum = outputs.handoff(number, state=state)
                    value = codec.bus().encode("handoff", datum)
                    await producer.send(f"{instance}.handoffs", value, KEYS.of(datum["handoff"]))
    finally:
        await producer.stop()


async def _killed(runs: Runs, database: str, kills: int, count: int) -> None:
    await runs.prepare()
    await _handed(runs.kafka, runs.instance, count)
    async with AsyncExitStack() as stack:
        hook = ReceiverPlace(stack)
        url = await stack.enter_async_context(serving(hook.app))
        receivers = Receivers(runs.folder, database, f"{url}/", hook)
        try:
            files, whole = receivers.files(runs.folder), 3 * len(STATES) * count
            await runs.killed(files, kills, whole, receivers.count)
            assert runs.partial, "no kill came in the middle"

            async def done() -> bool:
                return await receivers.count() >= whole and await runs.count() >= 3 * count

            await runs.finished(files, done)
            held = (receivers.table(), receivers.inbox(), receivers.hook())
        finally:
            receivers.close()
    for one in held:
        assert len({id_ for id_, _, _ in one}) == len(one) == len(STATES) * count
        assert {id_ for id_, _, _ in one} == {id_ for id_, _, _ in held[0]}, "an item has one id, whoever takes it"
    for one in (held[0], held[2]):
        first = {key: state for _, key, state in reversed(one)}
        assert set(first.values()) == {"sent"}, "the states of a handoff come in order"
    expected = {f"case:gba/handoff:viriat:{n:032x}": 3 for n in range(1, count + 1)}
    assert await runs.stated() == Counter(expected), "each of the three systems has received each handoff once"


async def test_killed_in_the_middle_every_state_arrives_once(
    kafka: LocalKafka, instance: str, tmp_path: Path, postgresql: str
) -> None:
    await _killed(Runs(kafka, instance, tmp_path), postgresql, kills=1, count=50)


@pytest.mark.long
async def test_killed_again_and_again_every_state_arrives_once(
    kafka: LocalKafka, instance: str, tmp_path: Path, postgresql: str
) -> None:
    await _killed(Runs(kafka, instance, tmp_path), postgresql, kills=6, count=400)
