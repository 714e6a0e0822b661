"""`relais connector run` on a real server, killed (-9) in the middle: every row of a table and of an outbox once on the bus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from deploy.local_kafka import LocalKafka
from tests.connectors.sql.base import Base
from tests.support.connector_process import Runs, lay_file

MAPPING = """
case: "'{prefix}-' & {number}"
events:
  - states: case.opened
    on: "'2026-03-02'"
    with: {{procedure: voirie.signalement}}
"""


def lay(folder: Path, base: Base) -> Sequence[Path]:
    """A connector that polls and one that empties an outbox, over the same database."""
    base.run(
        "CREATE TABLE requests (number INTEGER PRIMARY KEY, changed TIMESTAMP NULL)",
        "CREATE TABLE outbox (id INTEGER PRIMARY KEY, aggregatetype VARCHAR(255), aggregateid VARCHAR(255), "
        "type VARCHAR(255), payload TEXT)",
    )
    own = {
        "poll": {
            "table": "requests",
            "key": ["number"],
            "modified": "changed",
            "page_rows": 40,
        },
        "outbox": {"batch_rows": 20},
    }
    for name, number in (("poll", "$string(number)"), ("outbox", "aggregateid")):
        (folder / f"{name}.map.yaml").write_text(MAPPING.format(prefix=name.upper(), number=number))
        lay_file(folder, name, f"sql-{name}", base.settings | own[name])
    return folder / "poll.yaml", folder / "outbox.yaml"


def fill(base: Base, numbers: range) -> None:
    with base.engine.begin() as connection:
        rows = [{"n": n, "at": f"2026-03-02 09:{n // 60 % 60:02}:{n % 60:02}"} for n in numbers]
        connection.execute(text("INSERT INTO requests VALUES (:n, :at)"), rows)
        connection.execute(
            text("INSERT INTO outbox VALUES (:n, 'request', :n, 'opened', '{}')"), [{"n": n} for n in numbers]
        )


async def killed(runs: Runs, base: Base, kills: int, count: int) -> None:
    await runs.prepare()
    files = lay(runs.folder, base)
    fill(base, range(count))
    await runs.killed(files, kills, 2 * count)
    fill(base, range(count, count + 10))

    async def done() -> bool:
        return len(await runs.stated()) >= 2 * (count + 10) and not base.rows("SELECT id FROM outbox")

    await runs.finished(files, done)
    expected = Counter(f"case:viriat/{name}-{n}" for n in range(count + 10) for name in ("POLL", "OUTBOX"))
    assert await runs.stated() == expected


@pytest.mark.parametrize("base", ["postgresql", "mariadb"], indirect=True)
async def test_killed_in_the_middle_every_row_is_stated_once(
    kafka: LocalKafka, instance: str, tmp_path: Path, base: Base
) -> None:
    await killed(Runs(kafka, instance, tmp_path), base, kills=1, count=300)


@pytest.mark.long
@pytest.mark.parametrize("base", ["postgresql", "mariadb"], indirect=True)
async def test_killed_again_and_again_every_row_is_stated_once(
    kafka: LocalKafka, instance: str, tmp_path: Path, base: Base
) -> None:
    await killed(Runs(kafka, instance, tmp_path), base, kills=12, count=4_000)
