"""Polling a table that nobody may change."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from connectors.kit.contract import ConfigError, Refused
from connectors.sql.poll import Poll
from tests.connectors.sql.base import Base, drain, keys, records, told

START = datetime.fromisoformat("2026-03-02T09:00:00")
PERMITS = """CREATE TABLE permits (number VARCHAR(40) PRIMARY KEY, state VARCHAR(20) NOT NULL, fee NUMERIC(20,2), filed DATE,
 changed TIMESTAMP NULL)"""

FEE = {"sqlite": "12.10", "postgresql": "1234567890123456.10", "mariadb": "1234567890123456.10"}
"""A fee; in SQLite a number with a point is a binary one."""


def poll(base: Base, **settings: Any) -> Poll:
    given = {"table": "permits", "key": ["number"], "modified": "changed", "time_zone": "Europe/Paris"} | settings
    return base.hold(Poll(Poll.Config.model_validate(base.settings | given)))


def fill(base: Base, count: int, minutes: float = 1) -> None:
    with base.engine.begin() as connection:
        connection.execute(text(PERMITS))
        rows = [
            {
                "n": f"PC-{i:04}",
                "f": FEE[base.kind],
                "c": (START + timedelta(minutes=i * minutes)).isoformat(" ") + ".000000",
            }
            for i in range(count)
        ]
        if rows:
            connection.execute(text("INSERT INTO permits VALUES (:n, 'filed', :f, '2026-03-01', :c)"), rows)


@pytest.fixture
def permits(base: Base) -> Base:
    fill(base, 25)
    return base


async def test_every_row_comes_once_in_order_with_exact_values(permits: Base) -> None:
    source = poll(permits, page_rows=10, batch_rows=4)
    batches = await drain(source.read(None))
    assert keys(batches) == [f"PC-{i:04}" for i in range(25)]
    first = records(batches)[0]
    assert dict(first.content) == {
        "number": "PC-0000",
        "state": "filed",
        "fee": FEE[permits.kind],
        "filed": "2026-03-01",
        "changed": "2026-03-02T09:00:00+01:00",
    }
    again = await drain(source.read(batches[-1].cursor))
    assert keys(again) == [f"PC-{i:04}" for i in range(14, 25)]  # ten minutes are read again
    assert [r.content for r in records(again)] == [r.content for r in records(batches)[14:]]


async def test_it_goes_on_from_any_batch(permits: Base) -> None:
    source = poll(permits, page_rows=7, batch_rows=3, overlap=60)
    batches = await drain(source.read(None))
    for i, batch in enumerate(batches):
        rest = await drain(source.read(batch.cursor))
        assert set(keys(batches[i + 1 :])) <= set(keys(rest)) <= set(keys(batches[max(0, i - 1) :]))


async def test_rows_of_one_time_are_read_whole_wherever_a_page_ends(base: Base) -> None:
    fill(base, 10, minutes=0)
    source = poll(base, page_rows=3, batch_rows=2)
    batches = await drain(source.read(None))
    assert keys(batches) == [f"PC-{i:04}" for i in range(10)]
    for batch in batches:
        assert len(keys(await drain(source.read(batch.cursor)))) == 10


@pytest.mark.parametrize("base", ["sqlite"], indirect=True)  # which keeps times as the text that somebody wrote
@pytest.mark.parametrize(
    "form", ["2026-03-02 09:00:00", "2026-03-02T09:00:00", "2026-03-02 09:00:00.000000", "2026-03-02 09:00:00.5"]
)
async def test_a_time_is_compared_as_it_was_written(base: Base, form: str) -> None:
    fill(base, 0)
    for n in range(10):
        base.run("INSERT INTO permits VALUES (:n, 'filed', 0, '2026-03-01', :c)", n=f"PC-{n}", c=form)
    base.run("INSERT INTO permits VALUES ('PC-x', 'filed', 0, '2026-03-01', CURRENT_TIMESTAMP)")
    source = poll(base, page_rows=3, overlap=1)
    batches = await drain(source.read(None))
    assert keys(batches) == [*(f"PC-{n}" for n in range(10)), "PC-x"]
    assert records(batches)[0].content["changed"].startswith("2026-03-02T09:00:00")
    again = await drain(source.read({"modified": "2026-03-02T09:00:01"}))
    assert keys(again) == keys(batches)


async def test_a_row_that_is_committed_late_is_not_lost(base: Base) -> None:
    if base.kind == "sqlite":
        base.run(
            "PRAGMA journal_mode=WAL"
        )  # one writer at a time: there the second row is committed first by another order
    fill(base, 5)
    source = poll(base)
    late, insert = base.engine.connect(), "INSERT INTO permits VALUES (:n, 'filed', 0, '2026-03-01', :c)"
    times = [(START + timedelta(minutes=m)).isoformat(" ") + ".000000" for m in (6, 7)]
    if base.kind != "sqlite":
        late.execute(text(insert), {"n": "LATE", "c": times[0]})
    base.run(insert, n="EARLY", c=times[1])
    batches = await drain(source.read(None))
    assert "EARLY" in keys(batches)
    assert "LATE" not in keys(batches)
    if base.kind == "sqlite":
        late.execute(text(insert), {"n": "LATE", "c": times[0]})
    late.commit()
    late.close()
    assert "LATE" in keys(await drain(source.read(batches[-1].cursor)))


async def test_a_row_of_the_year_2037_hides_nothing(permits: Base) -> None:
    permits.run("UPDATE permits SET changed = '2037-01-01 00:00:00.000000' WHERE number = 'PC-0003'")
    source = poll(permits)
    batches = await drain(source.read(None))
    assert datetime.fromisoformat(batches[-1].cursor["modified"]).year < 2037
    assert "PC-0003" in keys(await drain(source.read(batches[-1].cursor)))


async def test_rows_without_a_date_are_read_at_each_poll_and_the_check_says_so(permits: Base) -> None:
    permits.run("UPDATE permits SET changed = NULL WHERE number < 'PC-0003'")
    source = poll(permits, batch_rows=10)
    batches = await drain(source.read(None))
    assert sorted(keys(batches)) == [f"PC-{i:04}" for i in range(25)]
    assert "PC-0002" in keys(await drain(source.read(batches[-1].cursor)))
    found = told(await source.check())
    assert "some rows have no changed" in found
    assert "no index begins with changed" in found


async def test_an_indexed_table_passes_the_check(permits: Base) -> None:
    permits.run("CREATE INDEX by_change ON permits (changed, number)")
    report = await poll(permits).check()
    assert "no index" not in told(report)
    assert "unique" not in told(report)
    assert report.ok, told(report)


async def test_a_wrong_time_zone_shows_at_the_clock(permits: Base) -> None:
    shown = "time_zone must be its own zone, which is not Indian/Reunion"
    report = await poll(permits, time_zone="Indian/Reunion").check()
    assert (shown in told(report)) == (
        permits.kind == "mariadb"
    )  # elsewhere times come with an offset, or from this machine
    assert shown not in told(await poll(permits, time_zone="UTC").check())


async def test_a_query_is_read_like_a_table(permits: Base) -> None:
    words = "SELECT number AS n, state, changed AS c, 'a:b' AS colon, 'x%y' AS percent FROM permits WHERE number LIKE 'PC-001%';"
    modified = {} if permits.kind == "sqlite" else {"modified": "c"}  # there a time has no type of its own
    source = poll(permits, table=None, query=words, key=["N"], **({"modified": None} | modified), page_rows=4)
    batches = await drain(source.read(None))
    assert keys(batches) == [f"PC-001{i}" for i in range(10)]
    assert records(batches)[0].content["colon"] == "a:b"
    assert records(batches)[0].content["percent"] == "x%y"
    assert (await source.check()).findings[0].ok


async def test_without_a_date_everything_is_read_and_a_version_is_taken_along(permits: Base) -> None:
    permits.run("ALTER TABLE permits ADD COLUMN revision INTEGER", "UPDATE permits SET revision = 3")
    source = poll(permits, modified=None, version="revision", columns=["state"], page_rows=10)
    for _ in range(2):
        batches = await drain(source.read(None))
        assert len(keys(batches)) == 25
    first = records(batches)[0]
    assert (first.version, dict(first.content)) == ("3", {"number": "PC-0000", "state": "filed", "revision": 3})


async def test_a_number_that_grows_says_what_is_new(base: Base) -> None:
    base.run("CREATE TABLE log (id INTEGER PRIMARY KEY, said VARCHAR(20))")
    base.run(*(f"INSERT INTO log VALUES ({i}, 'x')" for i in range(1, 31)))
    source = poll(base, table="log", key=["id"], modified="id", overlap=5)
    batches = await drain(source.read(None))
    assert len(keys(batches)) == 30
    assert keys(await drain(source.read(batches[-1].cursor))) == [str(i) for i in range(25, 31)]


async def test_a_row_without_its_key_is_refused_and_the_next_is_read(base: Base) -> None:
    base.run("CREATE TABLE permits (number VARCHAR(40), state VARCHAR(20), changed TIMESTAMP NULL)")
    base.run(
        "INSERT INTO permits VALUES ('', 'a', '2026-03-01 00:00:00.000000'), ('PC-1', 'b', '2026-03-02 00:00:00.000000')"
    )
    source = poll(base)
    (batch,) = await drain(source.read(None))
    refused, taken = batch.records
    assert isinstance(refused, Refused)
    assert "number must not be empty" in refused.mend
    assert not isinstance(taken, Refused)
    assert "nothing in the database keeps number unique" in told(await source.check())


@pytest.mark.parametrize("base", ["postgresql"], indirect=True)
async def test_dates_that_python_cannot_hold_come_as_text_and_hold_nothing_up(permits: Base) -> None:
    permits.run("UPDATE permits SET filed = 'infinity' WHERE number = 'PC-0001'")
    permits.run("UPDATE permits SET changed = 'infinity', filed = '0044-03-15 BC' WHERE number = 'PC-0002'")
    source = poll(permits, page_rows=5)
    batches = await drain(source.read(None))
    found = {record.key: record.content for record in records(batches)}
    assert len(found) == 25
    assert [found[f"PC-000{n}"]["filed"] for n in (0, 1, 2)] == ["2026-03-01", "infinity", "0044-03-15 BC"]
    assert batches[-1].cursor == {"modified": "2026-03-02T09:24:00"}
    assert "PC-0002" in keys(await drain(source.read(batches[-1].cursor)))


@pytest.mark.parametrize("base", ["mariadb"], indirect=True)
async def test_dates_that_are_none_come_as_text(permits: Base) -> None:
    permits.run("SET sql_mode = ''", "UPDATE permits SET filed = '0000-00-00', changed = 0 WHERE number = 'PC-0002'")
    batches = await drain(poll(permits).read(None))
    assert {record.key: record.content for record in records(batches)}["PC-0002"]["filed"] == "0000-00-00"
    assert batches[-1].cursor == {"modified": "2026-03-02T09:24:00"}


async def test_it_cannot_write(permits: Base) -> None:
    source = poll(permits)
    with pytest.raises(ConfigError):
        await source._server.run(lambda connection: connection.execute(text("DELETE FROM permits")))
    assert len(permits.rows("SELECT * FROM permits")) == 25


@pytest.mark.parametrize("since", [{"modified": 5}, {"modified": "x"}, {"row": 1}, 7])
async def test_a_foreign_position_is_told(permits: Base, since: Any) -> None:
    source = poll(permits)
    with pytest.raises(ConfigError, match=r"reset|fit|refuses"):
        await drain(source.read(since))
