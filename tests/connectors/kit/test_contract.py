"""The contract of sources, kept by a small source: what the suite asks can be done, and the runner does its part."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.kit import state
from connectors.kit.intake import Outcome
from connectors.kit.metrics import State
from connectors.kit.session import Session
from streams.runtime.config import StoreKind
from tests.connectors.kit.ledger import LedgerPlace
from tests.support.connector_contract import BODY, Bed, SourceContract, counted, until


class TestLedger(SourceContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> LedgerPlace:
        return LedgerPlace(tmp_path)

    async def test_an_idle_runner_learns_that_its_place_was_changed(self, bed: Bed) -> None:
        """As `relais connector offsets reset` does it beside a runner that has nothing to do."""
        await bed.place.write(range(1, 6), datetime(2026, 3, 1, 12, tzinfo=UTC))
        async with bed.running() as runner:
            await until(counted(runner, 5))
            await until(lambda: runner.state is State.IDLE)
            async with Session.open("contract", replace(runner._runtime, store=StoreKind.MEMORY)) as session:
                checkpoint = state.read_checkpoint(session.store.get(state.CHECKPOINT))
                checkpoint.cursor = None
                await session.commit([(state.CHECKPOINT, checkpoint.bytes())], [])
            await until(lambda: runner.counts[Outcome.DUPLICATE] == 5)
        assert sum((await bed.opened()).values()) == 5

    async def test_it_says_that_it_is_alive_once_it_has_read_to_the_end(self, bed: Bed) -> None:
        """Once a while, in the transaction of its place; a source that only waits for others does not."""
        async with bed.running() as runner:
            await until(lambda: runner.state is State.IDLE)
            await bed.place.write([1], datetime(2026, 3, 1, 12, tzinfo=UTC))
            await until(counted(runner, 1))
        (beat,) = await bed.beats()
        assert (beat["header"]["source"], beat["every"]) == (f"{BODY}/legacy", 601)
        waiting = bed.place.source()
        waiting.passive = True  # type: ignore[attr-defined]
        async with bed.running(waiting) as runner:
            await until(lambda: runner.state is State.IDLE)
        assert await bed.beats() == [beat]
