"""`relais connector run` with a JSON API and demarche.numerique, killed (-9) in the middle: every record once, whatever changes then."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.local_kafka import LocalKafka
from tests.connectors.demarche.platform import DEMARCHE, TOKEN, Platform
from tests.connectors.demarche.test_source import MAP
from tests.connectors.http.api import Api
from tests.connectors.http.test_contract import MAPPING
from tests.support.connector_process import Runs, lay_file
from tests.support.serving import serving

OUT = {"private": ["127.0.0.0/8"]}
LATER = 10
"""Records that come, and dossiers that move, after the kills."""


def lay(folder: Path, api: str, platform: str) -> list[Path]:
    """A connector to each; the platform's with the mapping that comes with it."""
    configs: dict[str, dict[str, Any]] = {
        "http-poll": {
            "url": f"{api}/rows", "params": {"by": "cursor"}, "records": "/data/rows", "key": "/id",
            "paging": {"by": "cursor", "at": "/next", "param": "mark"},
            "since": {"param": "since", "modified": "/changed", "overlap_s": 5}, "outgoing": OUT,
        },
        "demarche": {"url": platform, "token": TOKEN, "demarche": DEMARCHE, "page": 10, "together": 5, "outgoing": OUT},
    }  # fmt: skip
    (folder / "http-poll.map.yaml").write_text(MAPPING)
    shutil.copy(MAP, folder / "demarche.map.yaml")
    return [lay_file(folder, name, name, config, rate="400/s") for name, config in configs.items()]


async def _killed(runs: Runs, kills: int, count: int) -> None:
    await runs.prepare()
    api, platform, begun = Api(), Platform(), time.time() - 86_400
    async with AsyncExitStack() as stack:
        at = await stack.enter_async_context(serving(api.app))
        platform.url = f"{await stack.enter_async_context(serving(platform.app))}/api/v2/graphql"
        files = lay(runs.folder, at, platform.url)
        for number in range(1, count + 1):
            api.put(number, begun + number)
            platform.deposit(number, begun + number // 3)
        await runs.killed(files, kills, whole=3 * count)  # of a deposit the mapping states two facts
        assert runs.partial, "no kill came in the middle"
        for number in range(count + 1, count + 1 + LATER):
            api.put(number, begun + number)
        for number in range(1, LATER + 1):
            platform.move(number, "passe_en_instruction", begun + 2 * count)

        async def done() -> bool:
            return await runs.count() >= 3 * count + 2 * LATER

        await runs.finished(files, done)
    expected = Counter({f"case:viriat/R-{n}": 1 for n in range(1, count + LATER + 1)})
    expected.update({f"case:viriat/{n}": 3 if n <= LATER else 2 for n in range(1, count + 1)})
    assert await runs.stated() == expected
    assert TOKEN not in runs.log
    assert "since=" not in runs.log, "addresses that are called may hold what is not for a log"


async def test_killed_in_the_middle_every_record_is_stated_once(
    kafka: LocalKafka, instance: str, tmp_path: Path
) -> None:
    await _killed(Runs(kafka, instance, tmp_path), kills=1, count=150)


@pytest.mark.long
async def test_killed_again_and_again_every_record_is_stated_once(
    kafka: LocalKafka, instance: str, tmp_path: Path
) -> None:
    await _killed(Runs(kafka, instance, tmp_path), kills=10, count=1_000)
