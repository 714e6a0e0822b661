"""What every sink must do, run through the real runner on a real broker. A connector gets these tests by a subclass with one fixture.

```python
class TestInboxTable(SinkContract):
    @pytest.fixture
    def place(self, tmp_path): return TablePlace(tmp_path)     # a `SinkPlace`
```
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import pytest
from aiokafka import AIOKafkaProducer

from connectors.kit.contract import ConnectorConfig, Sink
from connectors.kit.intake import Outcome
from connectors.kit.loop import Ground, RunnerConfig
from connectors.kit.metrics import State
from connectors.kit.outlet import Outlet
from connectors.kit.spec import ConnectorFile, Spec
from connectors.kit.stating import Stating
from deploy import topics
from deploy.local_kafka import LocalKafka
from deploy.reading import records
from deploy.settings import load
from schemas import codec
from streams.engine.book import Book
from streams.runtime.config import RuntimeConfig
from tests.support import outputs
from tests.support.books import book
from tests.support.connector_contract import PATIENCE_S
from tests.support.facts import KEYS

BODY = "gba"
"""Body to which the handoffs of these tests are addressed."""


class SinkPlace(Protocol):
    """A receiver, as a test handles it."""

    keeps_states: bool
    """Whether it keeps every state that it was sent; else the newest of each handoff (a table)."""
    receipts: bool
    """Whether its taking a handoff means that the body has received it (`Sent(receipt=True)`)."""

    def sink(self) -> Sink:
        """A new connector to the same receiver, as after a restart."""
        ...

    async def received(self) -> Sequence[Mapping[str, Any]]:
        """What the receiver holds, in the order in which it came: `id` of the item (of each only once) and `state` of the handoff."""
        ...

    async def take_down(self) -> None:
        """Let the receiver not answer."""
        ...

    async def bring_back(self) -> None:
        """Let the receiver answer again."""
        ...


Takes = Literal["handoffs", "statuses"]


@dataclass
class SinkBed:
    """An instance with handoffs in it, and the connector."""

    takes: ClassVar[Takes] = "handoffs"
    kafka: LocalKafka
    instance: str
    folder: Path
    place: SinkPlace
    producer: AIOKafkaProducer
    rules: Book

    async def say(self, number: int, state: str | None, **changes: Any) -> None:
        """A handoff comes to be in a state; None: it is no more."""
        key, value = self.record(number + 1, state, **changes)
        async with self.producer.transaction():
            await self.producer.send_and_wait(f"{self.instance}.{self.takes}", value, key, partition=key[1] % 2)

    def record(self, number: int, state: str | None, **changes: Any) -> tuple[bytes, bytes | None]:
        """A handoff as the bus has it: key and value."""
        datum = outputs.handoff(number, state=state, **changes)
        return KEYS.of(datum["handoff"]), codec.bus().encode("handoff", datum) if state else None

    @asynccontextmanager
    async def running(self, sink: Sink | None = None) -> AsyncIterator[Outlet]:
        """The connector at work; it is stopped as an operator would at the end."""
        outlet = self.outlet(sink)
        task = asyncio.create_task(outlet.run())
        try:
            yield outlet
        finally:
            outlet.stop()
            await asyncio.wait_for(task, PATIENCE_S)

    def outlet(self, sink: Sink | None = None) -> Outlet:
        """The connector, not started."""
        file = ConnectorFile(
            name="contract", connector="contract", body=BODY, system="legacy", time_zone="Europe/Paris",
            takes=(self.takes,),
        )  # fmt: skip
        sink = sink or self.place.sink()
        spec = Spec(self.folder / "contract.yaml", file, type(sink), ConnectorConfig())
        runtime = RuntimeConfig(
            brokers=(self.kafka.bootstrap,), instance=self.instance, group=f"{self.instance}.kit",
            data_dir=self.folder / "stores", store_cache_mb=8, store_buffer_mb=8,
        )  # fmt: skip

        async def prepare() -> Ground:
            return Ground(Stating(BODY, "legacy", codec.events(), KEYS, 2, None), self.rules)

        return Outlet(spec, prepare, runtime, RunnerConfig(batch_records=5, retry_s=0.05, fenced_s=0.2), sink)

    async def until(self, states: list[str]) -> None:
        """Wait until the receiver holds handoffs in these states, in whatever order."""
        end = time.monotonic() + PATIENCE_S
        while (found := sorted(str(item["state"]) for item in await self.place.received())) != sorted(states):
            assert time.monotonic() < end, found
            await asyncio.sleep(0.02)

    async def facts(self) -> list[dict[str, Any]]:
        """Facts that the connector stated."""
        return [
            {"type": (read := codec.events().decode(record.value or b""))[0].name, **read[1]}
            async for record in records(self.kafka.bootstrap, f"{self.instance}.case-events")
        ]


class StatusBed(SinkBed):
    """With statuses in it: each of a journey with case `n` of the body, and the handoff whose states it shows."""

    takes: ClassVar[Takes] = "statuses"

    def record(self, number: int, state: str | None, *, to: str = BODY) -> tuple[bytes, bytes | None]:  # type: ignore[override]
        """The status: key and value."""
        case, reference = f"case:{to}/{number}", KEYS.of(f"case:{to}/{number}")
        passage = {
            "handoff": KEYS.of(f"handoff:{to}:{number:032x}"), "from_body": to, "to": "viriat", "kind": "consultation",
            "step": None, "state": state, "visibility": "everyone", "sent_on": 20_000, "since": 20_000, "due_on": None,
        }  # fmt: skip
        value = outputs.status([{"case": case, "body": to}], [reference], [passage]) if state else None
        return reference, value


class SinkContract:
    """The suite. Subclass it, and give the fixture `place`."""

    bed_of: ClassVar[type[SinkBed]] = SinkBed
    """`StatusBed` for a sink that takes statuses."""

    @pytest.fixture
    async def bed(self, kafka: LocalKafka, instance: str, tmp_path: Path, place: SinkPlace) -> AsyncIterator[SinkBed]:
        settings = load(
            brokers=kafka.bootstrap, instance=instance, partitions=2, output_partitions=2, data_dir=tmp_path
        )
        await topics.ensure_connector(settings, kafka.bootstrap, "contract")
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"{instance}.test")
        await producer.start()
        try:
            yield self.bed_of(kafka, instance, tmp_path, place, producer, book())
        finally:
            await producer.stop()

    async def test_a_check_says_that_all_is_well(self, bed: SinkBed) -> None:
        report = await bed.place.sink().check()
        assert report.ok, report
        assert report.findings

    async def test_handoffs_to_the_body_arrive_once_and_those_to_others_never(self, bed: SinkBed) -> None:
        for number in range(8):
            await bed.say(number, "sent")
        await bed.say(90, "sent", to="prefecture-ain")
        async with bed.running():
            await bed.until(["sent"] * 8)
        async with bed.running() as outlet:
            await bed.say(8, "sent")
            await bed.until(["sent"] * 9)
        assert outlet.counts[Outcome.SENT] == 1
        assert len({item["id"] for item in await bed.place.received()}) == 9

    async def test_states_of_a_handoff_come_in_order(self, bed: SinkBed) -> None:
        async with bed.running():
            states: list[str] = []
            for state in ("sent", "received", "accepted", "completed"):
                await bed.say(1, state)
                states.append(state)
                await bed.until(states if bed.place.keeps_states else [state])

    async def test_restarts_lose_nothing(self, bed: SinkBed) -> None:
        """Connectors that end without a word, at any moment."""
        for number in range(12):
            await bed.say(number, "sent")
        for turn in range(4):
            task = asyncio.create_task(bed.outlet().run())
            await asyncio.sleep(0.1 + 0.15 * turn)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with bed.running() as outlet:
            await bed.until(["sent"] * 12)
            end = time.monotonic() + PATIENCE_S
            while outlet.state is not State.IDLE:
                assert time.monotonic() < end
                await asyncio.sleep(0.01)

    async def test_a_receiver_that_is_down_is_waited_for(self, bed: SinkBed) -> None:
        await bed.place.take_down()
        await bed.say(1, "sent")
        async with bed.running() as outlet:
            end = time.monotonic() + PATIENCE_S
            while outlet.state is not State.UNAVAILABLE and not outlet.counts[Outcome.RETRIED]:
                assert time.monotonic() < end
                await asyncio.sleep(0.01)
            await bed.place.bring_back()
            await bed.until(["sent"])
        found = records(bed.kafka.bootstrap, f"{bed.instance}.dead-letters")
        assert [record async for record in found] == []

    async def test_what_taking_a_handoff_means_is_stated(self, bed: SinkBed) -> None:
        await bed.say(1, "sent")
        async with bed.running():
            await bed.until(["sent"])
            await asyncio.sleep(0.3)
        stated = [fact["type"] for fact in await bed.facts()]
        assert stated == (["handoff.received"] if bed.place.receipts else [])
