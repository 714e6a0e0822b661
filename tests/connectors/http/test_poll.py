"""Polling a real JSON API: every way of paging, interrupted anywhere, rows that move and commit late, throttles and failures."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from connectors.http.poll import HttpPoll, HttpPollConfig
from connectors.kit.contract import Batch, ConfigError, Cursor, Record, Refused, Unavailable
from tests.connectors.http.api import Api
from tests.support.serving import LOOPBACK, serving

PAGING: dict[str, dict[str, Any]] = {
    "page": {"by": "page", "size": 3},
    "offset": {"by": "offset", "size": 3},
    "cursor": {"by": "cursor", "at": "/next", "param": "mark"},
    "link": {"by": "link"},
}
SINCE = {"param": "since", "modified": "/changed", "overlap_s": 60}


Make = Callable[..., HttpPoll]


@pytest.fixture
async def source() -> AsyncIterator[Make]:
    """Make sources; they are closed afterwards."""
    made: list[HttpPoll] = []

    def make(url: str, by: str = "", **more: Any) -> HttpPoll:
        fields: dict[str, Any] = {"url": f"{url}/rows", "records": "/data/rows", "key": "/id", "since": SINCE}
        if by:
            fields |= {"params": {"by": by}, "paging": PAGING[by]}
        made.append(HttpPoll(HttpPollConfig.model_validate(fields | {"outgoing": LOOPBACK} | more)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def taken(one: HttpPoll, since: Cursor, most: int = 1000) -> list[Batch]:
    """Batches of one read, broken off after so many."""
    found: list[Batch] = []
    async with aclosing(one.read(since)) as reading:  # type: ignore[type-var]
        async for batch in reading:
            found.append(batch)
            if len(found) == most:
                break
    return found


def states(batches: list[Batch]) -> list[tuple[str, str]]:
    return [(r.key, r.content["state"]) for b in batches for r in b.records if isinstance(r, Record)]


@pytest.mark.parametrize("by", PAGING)
async def test_every_row_and_every_change_wherever_it_is_interrupted(source: Make, by: str) -> None:
    api, now = Api(), time.time() - 10_000
    for number in range(10):
        api.put(number, now + number)
    async with serving(api.app) as url:
        one = source(url, by)
        whole = await taken(one, None)
        assert states(whole) == [(str(n), "open") for n in range(10)]
        for stop in range(1, len(whole)):
            first = await taken(source(url, by), None, stop)
            assert states(first) + states(await taken(source(url, by), first[-1].cursor)) == states(whole)
        api.put(3, now + 500, "closed")
        api.put(10, now + 445)  # visible after a younger one, and within the overlap
        again = await taken(source(url, by), whole[-1].cursor)
        assert states(again)[-2:] == [("10", "open"), ("3", "closed")]
        assert len(states(again)) == 11  # all the others are within the overlap of the newest, now + 9
        api.put(11, now + 430)
        api.put(12, now + 445)
        assert states(await taken(source(url, by), again[-1].cursor)) == [
            ("10", "open"),
            ("12", "open"),
            ("3", "closed"),
        ]


async def test_what_an_overlap_cannot_see_a_whole_pass_does(source: Make) -> None:
    api, now = Api(), time.time() - 10_000
    api.put(1, now + 1000)
    async with serving(api.app) as url:
        cursor = (await taken(source(url, "page"), None))[-1].cursor
        api.put(2, now)
        assert states(await taken(source(url, "page"), cursor)) == [("1", "open")]
        assert states(await taken(source(url, "page"), cursor | {"whole_at": now - 80_000})) == [
            ("2", "open"),
            ("1", "open"),
        ]
        assert states(await taken(source(url, "link"), cursor | {"whole_at": now - 80_000})) == [("1", "open")]


async def test_a_moment_to_come_hides_nothing(source: Make) -> None:
    api, now = Api(), time.time()
    api.put(1, now + 1e9)
    async with serving(api.app) as url:
        cursor = (await taken(source(url), None))[-1].cursor
        api.put(2, now - 10)
        assert ("2", "open") in states(await taken(source(url), cursor))


async def test_nothing_new_is_told_by_a_tag(source: Make) -> None:
    api = Api()
    api.put(1, time.time() - 100)
    async with serving(api.app) as url:
        one = source(url)
        cursor = (await taken(one, None))[-1].cursor
        cursor = (await taken(one, cursor))[-1].cursor  # with the moment of the newest: another address, another tag
        assert (await taken(one, cursor), api.unchanged) == ([], 1)
        api.put(2, time.time() - 50)
        assert len(states(await taken(one, cursor))) == 2


async def test_a_page_that_the_server_forgot_begins_the_pass_again(source: Make) -> None:
    api, now = Api(), time.time() - 10_000
    for number in range(7):
        api.put(number, now + number)
    async with serving(api.app) as url:
        (first,) = await taken(source(url, "cursor"), None, 1)
        api.age = 1
        rest = await taken(source(url, "cursor"), first.cursor)
        assert states(rest) == [(str(n), "open") for n in range(7)]
        api.failures = [JSONResponse({}, 400)]
        with pytest.raises(ConfigError, match="url"):
            await taken(source(url, "cursor"), None)


async def test_it_waits_and_says_for_how_long(source: Make) -> None:
    api = Api()
    async with serving(api.app) as url:
        for answer, after in [
            (Response(status_code=429, headers={"retry-after": "30"}), 30),
            (Response(status_code=503), None),
            (Response("<html>maintenance"), None),
        ]:
            api.failures = [answer]
            with pytest.raises(Unavailable) as told:
                await taken(source(url), None)
            assert told.value.after_s == after
        begun = time.monotonic()
        one = source(url, pause_s=0.2)
        for _ in range(3):
            await taken(one, None)
        assert time.monotonic() - begun >= 0.4
    with pytest.raises(Unavailable):
        await taken(source(url), None)


async def test_rows_that_cannot_be_read_are_refused_one_by_one(source: Make) -> None:
    api = Api()
    rows = [{"id": 1}, {"id": None}, "text", {"id": {"a": 1}}, {"id": 2, "version": 7}]
    api.failures = [JSONResponse({"data": {"rows": rows}})]
    async with serving(api.app) as url:
        ((batch),) = await taken(source(url, version="/version"), None)
    told = [(r.key, r.version) if isinstance(r, Record) else r.place for r in batch.records]
    assert told == [("1", None), "page 1, record 2", "page 1, record 3", "page 1, record 4", ("2", "7")]
    assert next(r for r in batch.records if isinstance(r, Refused)).raw == b'{"id": null}'


async def test_circles_and_foreign_pages_stop_it(source: Make) -> None:
    api = Api()
    async with serving(api.app) as url:
        for body, headers, more in [
            ({"data": {"rows": []}, "next": "x"}, {}, {"paging": PAGING["cursor"], "most_pages": 3}),
            ({"data": {"rows": []}}, {"link": "<https://other.example/rows>; rel=next"}, {"paging": PAGING["link"]}),
            ({"data": {"rows": []}}, {"link": '</rows?p=1>; rel="next"'}, {"paging": PAGING["link"]}),
            ({"rows": []}, {}, {}),
        ]:
            api.failures = [JSONResponse(body, headers=headers) for _ in range(5)]
            with pytest.raises(ConfigError):
                await taken(source(url, **more), None)
        with pytest.raises(ConfigError, match="offsets"):
            await taken(source(url), {"line": 3})


async def test_the_check_tells_what_is_wrong_before_anything_is_read(source: Make) -> None:
    api = Api()
    api.put(1, time.time())
    async with serving(api.app) as url:
        assert (await source(url).check()).ok
        for wrong, what in [
            ({"records": "/rows"}, "records"), ({"key": "/number"}, "key"),
            ({"since": SINCE | {"modified": "/date"}}, "modified"), ({"outgoing": {}}, "private"),
        ]:  # fmt: skip
            report = await source(url, **wrong).check()
            assert not report.ok
            assert any(what in f.mend for f in report.findings if not f.ok)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"time_zone": "Europe/Lyon"}, "time zone"),
        ({"key": "id"}, "slash"),
        ({"paging": {"by": "magic"}}, "by"),
        ({"sinc": 1}, "sinc"),
    ],
)
def test_a_wrong_configuration_names_the_field(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        HttpPollConfig.model_validate({"url": "https://api.example", "key": "/id"} | wrong)
