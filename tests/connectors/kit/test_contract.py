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
from tests.support.connector_contract import Bed, SourceContract, counted, until


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
            session = await Session.open("contract", replace(runner._runtime, store=StoreKind.MEMORY))
            checkpoint = state.read_checkpoint(session.store.get(state.CHECKPOINT))
            checkpoint.cursor = None
            await session.commit([(state.CHECKPOINT, checkpoint.bytes())], [])
            await session.close()
            await until(lambda: runner.counts[Outcome.DUPLICATE] == 5)
        assert sum((await bed.opened()).values()) == 5
