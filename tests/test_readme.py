"""The commands of the README, run one after the other against the running example, as a newcomer would."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.example import STALLED
from tests.support.town import Town

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"^```(sh|python) run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""Blocks that are run say so: ```sh run, ```python run."""


def blocks() -> list[tuple[str, str]]:
    return [(kind, text) for kind, text in BLOCK.findall(README.read_text(encoding="utf-8"))]


def test_blocks_are_run_unless_they_cannot_be() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.count("```sh run") + text.count("```python run") == len(blocks()) >= 8
    plain = re.findall(r"^```(?:sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert [block.split()[:2] for block in plain] == [["make", "run"], ["relais", "replay"]]


@pytest.mark.system
def test_the_commands_work(town: Town) -> None:
    town.start()
    said: list[str] = []
    for kind, text in blocks():
        here = text.replace("127.0.0.1:8400", f"127.0.0.1:{town.port}")
        command = ["bash", "-euo", "pipefail", "-c", here] if kind == "sh" else [sys.executable, "-c", here]
        done = subprocess.run(
            command, cwd=town.folder, env=town.environment(), capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    stalled = json.loads(said[1])
    assert [a["body"]["id"] for a in stalled["alerts"]] == ["grand-bourg"]
    assert json.loads(said[3])["shown"] is True
    taken = town.ask("viriat", f"/v1/journeys/{STALLED}").json()
    assert [h["state"] for h in taken["handoffs"]] == ["received"]
    assert json.loads(said[4])["shown"] is True
    asked = json.loads(said[6])
    assert [(h["to"]["id"], h["state"]) for h in asked["handoffs"]] == [("grand-bourg", "sent")]
