"""What every source must do, run through the real runner on a real broker. A connector gets these tests by a subclass with one fixture.

```python
class TestOutbox(SourceContract):
    @pytest.fixture
    def place(self, tmp_path): return OutboxPlace(tmp_path)     # a `Place`
```
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pytest

from connectors.kit.contract import ConnectorConfig, Source
from connectors.kit.intake import Outcome
from connectors.kit.loop import Ground, RunnerConfig
from connectors.kit.metrics import State
from connectors.kit.runner import Runner
from connectors.kit.session import topic_of
from connectors.kit.spec import ConnectorFile, Spec
from connectors.kit.stating import Stating
from deploy import topics
from deploy.local_kafka import LocalKafka
from deploy.reading import records
from deploy.settings import Settings, load
from schemas import codec
from schemas.references import Keys
from streams.runtime.config import RuntimeConfig, StoreKind

BODY = "viriat"
PARTITIONS = 4
SECRET = bytes(range(32))
PATIENCE_S = 30.0


class Place(Protocol):
    """A system that the connector reads, as a test handles it."""

    mapping: str
    """Text of a mapping file under which record `n` states `case.opened` of case `viriat/R-n`, on the local date of its instant."""
    zone: str
    """Time zone of the system; choose one in which 23:30 is another day than in UTC, such as America/Cayenne."""

    def source(self) -> Source:
        """A new connector on the same system, as after a restart."""
        ...

    async def write(self, numbers: Iterable[int], at: datetime) -> None:
        """Let there be these records, saved at an instant."""
        ...

    async def write_bad(self) -> None:
        """Let there be one record that can never be taken."""
        ...

    async def take_down(self) -> None:
        """Let the system not answer."""
        ...

    async def bring_back(self) -> None:
        """Let the system answer again."""
        ...


@dataclass
class Bed:
    """An instance, and the connector in it."""

    kafka: LocalKafka
    instance: str
    folder: Path
    place: Place
    batch_records: int = 7
    runs: int = 0
    failing: list[Runner] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return load(
            brokers=self.kafka.bootstrap, instance=self.instance, partitions=PARTITIONS, output_partitions=1,
            data_dir=self.folder,
        )  # fmt: skip

    async def prepare(self) -> None:
        await topics.ensure_instance(self.settings, self.kafka.bootstrap)
        await topics.ensure_connector(self.settings, self.kafka.bootstrap, "contract")
        (self.folder / "contract.map.yaml").write_text(self.place.mapping, encoding="utf-8")

    def spec(self) -> Spec:
        file = ConnectorFile(
            name="contract", connector="contract", body=BODY, system="legacy", time_zone=self.place.zone,
            mapping=Path("contract.map.yaml"), every="50ms",  # type: ignore[arg-type]
        )  # fmt: skip
        return Spec(self.folder / "contract.yaml", file, type(self.place.source()), ConnectorConfig())

    def runner(self, source: Source | None = None, *, cold: bool = False) -> Runner:
        """A new runner of the same connector: on the local store of the last one, or `cold` on none."""
        runtime = RuntimeConfig(
            brokers=(self.kafka.bootstrap,), instance=self.instance, group=f"{self.instance}.kit",
            data_dir=self.folder / "stores", store=StoreKind.MEMORY if cold else StoreKind.ROCKSDB, store_cache_mb=8,
            store_buffer_mb=8,
        )  # fmt: skip

        async def prepare() -> Ground:
            return Ground(Stating(BODY, "legacy", codec.events(), Keys(SECRET), PARTITIONS, None))

        config = RunnerConfig(
            batch_records=self.batch_records, queue_batches=2, retry_s=0.05, prove_s=0.2, fenced_s=0.2
        )
        return Runner(self.spec(), prepare, runtime, config, source or self.place.source())

    @asynccontextmanager
    async def running(self, source: Source | None = None, *, cold: bool = False) -> AsyncIterator[Runner]:
        """A runner at work; it is stopped as an operator would at the end."""
        runner = self.runner(source, cold=cold)
        task = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            runner.stop()
            await asyncio.wait_for(task, PATIENCE_S)

    async def facts(self) -> list[dict[str, Any]]:
        """Facts on the bus: `type`, and their datum."""
        found = []
        async for record in records(self.kafka.bootstrap, f"{self.instance}.case-events"):
            schema, datum = codec.events().decode(record.value or b"")
            found.append({"type": schema.name, **datum})
        return found

    async def opened(self) -> Counter[int]:
        """How often each number was stated."""
        facts = await self.facts()
        return Counter(int(f["header"]["subject"].rpartition("-")[2]) for f in facts if f["type"] == "case.opened")

    async def beats(self) -> list[dict[str, Any]]:
        """What sources said of themselves."""
        found = records(self.kafka.bootstrap, f"{self.instance}.reference")
        decoded = [codec.events().decode(record.value or b"") async for record in found]
        return [datum for schema, datum in decoded if schema.name == "source.heartbeat"]

    async def letters(self) -> list[dict[str, Any]]:
        """Dead letters."""
        found = records(self.kafka.bootstrap, f"{self.instance}.dead-letters")
        return [codec.bus().decode(record.value or b"")[1] async for record in found]


async def until(what: Callable[[], bool], patience: float = PATIENCE_S) -> None:
    """Wait until something is so."""
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, "this did not come about"
        await asyncio.sleep(0.01)


def _earlier() -> datetime:
    """An instant that is no future anywhere."""
    return datetime.now(UTC) - timedelta(days=2)


def counted(runner: Runner, least: int) -> Callable[[], bool]:
    return lambda: runner.counts[Outcome.PUBLISHED] >= least


class SourceContract:
    """The suite. Subclass it, and give the fixture `place`."""

    @pytest.fixture
    async def bed(self, kafka: LocalKafka, instance: str, tmp_path: Path, place: Place) -> Bed:
        folder = tmp_path / "bed"
        folder.mkdir()
        bed = Bed(kafka, instance, folder, place)
        await bed.prepare()
        return bed

    async def test_a_check_says_that_all_is_well(self, bed: Bed) -> None:
        await bed.place.write([1], _earlier())
        report = await bed.place.source().check()
        assert report.ok, report
        assert report.findings

    async def test_every_record_is_stated_once(self, bed: Bed) -> None:
        await bed.place.write(range(1, 31), _earlier())
        async with bed.running() as runner:
            await until(counted(runner, 30))
            await bed.place.write(range(31, 41), _earlier())
            await until(counted(runner, 40))
        assert await bed.opened() == Counter(range(1, 41))
        assert await bed.letters() == []

    async def test_restarts_in_the_middle_of_a_batch(self, bed: Bed) -> None:
        """Runners that end without a word, at any moment, and lose their local store every other time."""
        await bed.place.write(range(1, 61), _earlier())
        bed.batch_records = 5
        for turn in range(6):
            task = asyncio.create_task((runner := bed.runner(cold=bool(turn % 2))).run())
            await until(lambda runner=runner, task=task: bool(runner.counts) or task.done())  # type: ignore[misc]
            await asyncio.sleep(0.003 * turn)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with bed.running(cold=True) as runner:
            await until(lambda: runner.state is State.IDLE)
        assert await bed.opened() == Counter(range(1, 61))

    async def test_what_is_read_twice_is_one_fact(self, bed: Bed) -> None:
        await bed.place.write(range(1, 11), _earlier())
        async with bed.running() as runner:
            await until(counted(runner, 10))
        reading = bed.place.source()
        batches = [batch async for batch in reading.read(None)]

        class Twice:
            Config = ConnectorConfig

            async def check(self) -> Any: ...

            async def read(self, since: Any) -> AsyncIterator[Any]:
                for batch in (*batches, *batches):
                    yield batch

        async with bed.running(Twice()) as runner:  # type: ignore[arg-type]
            await until(lambda: runner.state is State.IDLE)
            assert runner.counts.keys() <= {Outcome.DUPLICATE}
        assert await bed.opened() == Counter(range(1, 11))

    async def test_a_system_that_is_down_is_waited_for(self, bed: Bed) -> None:
        await bed.place.write([1, 2, 3], _earlier())
        await bed.place.take_down()
        async with bed.running() as runner:
            await until(lambda: runner.state is State.UNAVAILABLE)
            assert runner.told
            await bed.place.bring_back()
            await until(counted(runner, 3))
        assert await bed.opened() == Counter([1, 2, 3])
        assert await bed.letters() == []

    async def test_a_bad_record_is_a_dead_letter_and_stops_nobody(self, bed: Bed) -> None:
        await bed.place.write([1, 2], _earlier())
        await bed.place.write_bad()
        await bed.place.write([3, 4], _earlier())
        async with bed.running() as runner:
            await until(counted(runner, 4))
            await until(lambda: runner.counts[Outcome.REFUSED] == 1)
        assert await bed.opened() == Counter([1, 2, 3, 4])
        letter, *rest = await bed.letters()
        assert not rest
        assert letter["topic"] == topic_of(bed.instance, "contract")
        assert letter["value"]
        assert letter["detail"]

    async def test_stopping_while_it_reads_is_quick_and_loses_nothing(self, bed: Bed) -> None:
        await bed.place.write(range(1, 41), _earlier())
        async with bed.running() as runner:
            await until(lambda: bool(runner.counts))
            begun = time.monotonic()
        assert time.monotonic() - begun < 5
        async with bed.running() as runner:
            await until(lambda: runner.state is State.IDLE)
        assert await bed.opened() == Counter(range(1, 41))

    async def test_the_legal_date_is_that_of_the_source(self, bed: Bed) -> None:
        """Half past eleven in the evening, where the system stands: in UTC it is another day."""
        late = datetime.now(ZoneInfo(bed.place.zone)).replace(hour=23, minute=30, second=0, microsecond=0)
        late -= timedelta(days=2)
        assert late.date() != late.astimezone(UTC).date(), "choose a zone in which this shows"
        await bed.place.write([1], late)
        async with bed.running() as runner:
            await until(counted(runner, 1))
        [fact] = await bed.facts()
        assert fact["header"]["occurred_on"] == late.date().toordinal() - datetime(1970, 1, 1, tzinfo=UTC).toordinal()
