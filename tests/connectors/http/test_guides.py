"""What the guides of these connectors show can be written into a file as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.kit.spec import ConnectorFile, installed, kind_of

CONNECTORS = Path(__file__).parents[3] / "connectors"
_BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
_ALONE = ("webhook-in", "webhook-out")
"""Connectors of the blocks that show a configuration alone, in their order."""


def shown(folder: str) -> list[dict[str, Any]]:
    return [
        yaml.safe_load(block)
        for block in _BLOCK.findall((CONNECTORS / folder / "README.md").read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("folder", ["http", "demarche"])
def test_the_examples_are_configurations(folder: str) -> None:
    alone = iter(_ALONE)
    examples = shown(folder)
    assert len(examples) >= 2
    for example in examples:
        name = ConnectorFile.model_validate(example).connector if "connector" in example else next(alone)
        assert name in installed()
        kind_of(name).Config.model_validate(example["config"])
