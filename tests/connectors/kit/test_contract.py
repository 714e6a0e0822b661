"""The contract of sources, kept by a small source: what the suite asks can be done, and the runner does its part."""

from pathlib import Path

import pytest

from tests.connectors.kit.ledger import LedgerPlace
from tests.support.connector_contract import SourceContract


class TestLedger(SourceContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> LedgerPlace:
        return LedgerPlace(tmp_path)
