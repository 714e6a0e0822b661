"""The publisher client against a real gateway: what it was given is on the bus once, whatever happens between."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from connectors.publisher import AlreadySaidError, Event, Flushed, Publisher, PublisherError, client, handoff_reference
from connectors.publisher.client import BATCH
from tests.support.gateway import World, open_gateway
from tests.support.serving import serving

TODAY = datetime.now(ZoneInfo("Europe/Paris")).date()
NOWHERE = "http://127.0.0.1:9"


def opened(number: str, **data: Any) -> Event:
    fields = {"procedure": "urbanisme.pc-maison"} | data
    return Event("case.opened", f"case:viriat/{number}", f"{number}-opened", fields, TODAY)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_gateway(tmp_path) as one:
        yield one


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


@pytest.fixture
def publisher(world: World, spool: Path) -> Iterator[Publisher]:
    with Publisher(world.url, world.town.tokens["viriat"], "viriat/back-office", spool) as made:
        yield made


async def test_what_is_published_is_sent_once(world: World, publisher: Publisher) -> None:
    reference = handoff_reference("viriat", "PC-1", "gba")
    sent = Event(
        "handoff.sent", "case:viriat/PC-1", "PC-1-sent", {"handoff": reference, "to": "gba", "kind": "transfer"}, TODAY
    )
    publisher.publish(opened("PC-1"), sent)
    assert await asyncio.to_thread(publisher.flush) == Flushed(2, 0, 0)
    before = world.facts()
    assert before
    publisher.publish(opened("PC-1"), sent)  # the program began again from a backup
    assert await asyncio.to_thread(publisher.flush) == Flushed(2, 0, 0)
    assert world.facts() == before
    assert await asyncio.to_thread(publisher.flush) == Flushed(0, 0, 0)


async def test_the_example_of_the_guide_runs(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = Path(client.__file__).with_name("README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    program = block.replace("https://relais.example", world.url).replace("grand-bourg", "gba")
    await asyncio.to_thread(exec, program, {"token": world.town.tokens["viriat"]})
    assert capsys.readouterr().out == "Flushed(sent=2, refused=0, waiting=0)\n"


async def test_nothing_is_lost_while_the_gateway_is_down(world: World, spool: Path) -> None:
    token = world.town.tokens["viriat"]
    with Publisher(NOWHERE, token, "viriat/back-office", spool) as cut_off:
        cut_off.publish(opened("PC-1"), opened("PC-2"))
        assert await asyncio.to_thread(cut_off.flush, 0) == Flushed(0, 0, 2)
    with Publisher(world.url, token, "viriat/back-office", spool) as back:
        assert await asyncio.to_thread(back.flush) == Flushed(2, 0, 0)


async def test_a_program_that_is_killed_has_said_what_it_published(world: World, spool: Path) -> None:
    program = """
import sys, time
from datetime import date
from pathlib import Path
from connectors.publisher import Event, Publisher
relais = Publisher(sys.argv[1], "token", "viriat/back-office", Path(sys.argv[2]))
for n in range(10_000):
    fields = {"procedure": "urbanisme.pc-maison"}
    relais.publish(Event("case.opened", f"case:viriat/K-{n}", f"K-{n}", fields, date.fromisoformat(sys.argv[3])))
    print(n, flush=True)
"""
    command = [sys.executable, "-c", program, NOWHERE, str(spool), TODAY.isoformat()]
    child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    assert child.stdout is not None
    for _ in range(30):
        await child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    rest = (await child.stdout.read()).split()
    await child.wait()
    with Publisher(world.url, world.town.tokens["viriat"], "viriat/back-office", spool) as back:
        assert (await asyncio.to_thread(back.flush)).sent >= 30 + len(rest)


async def test_a_flaw_is_told_and_the_others_are_taken(publisher: Publisher) -> None:
    publisher.publish(opened("PC-1"), opened("PC-2", procedure="Not A Code"), opened("PC-3"))
    assert await asyncio.to_thread(publisher.flush) == Flushed(2, 1, 0)
    (refused,) = publisher.refused()
    assert refused.event["id"] == "PC-2-opened"
    assert refused.flaws[0].field == "data.procedure"
    assert refused.flaws[0].mend
    publisher.publish(opened("PC-2"))  # corrected, under the same id
    assert publisher.refused() == []
    assert await asyncio.to_thread(publisher.flush) == Flushed(1, 0, 0)
    publisher.publish(opened("PC-4", unknown=1))
    assert await asyncio.to_thread(publisher.flush) == Flushed(0, 1, 0)
    publisher.forget("case:viriat/PC-4", "PC-4-opened")
    assert publisher.refused() == []


async def test_what_follows_a_refused_event_of_its_case_waits_only_if_that_is_asked_for(
    world: World, spool: Path
) -> None:
    def closed(number: str) -> Event:
        return Event("case.closed", f"case:viriat/{number}", f"{number}-closed", {"reason": "done"}, TODAY)

    token = world.town.tokens["viriat"]
    with Publisher(world.url, token, "viriat/back-office", spool, in_order=True) as publisher:
        publisher.publish(opened("PC-1", procedure="Not A Code"), opened("PC-2"), closed("PC-1"), closed("PC-2"))
        assert await asyncio.to_thread(publisher.flush) == Flushed(2, 1, 1)
        assert await asyncio.to_thread(publisher.flush) == Flushed(0, 0, 1)
        publisher.publish(opened("PC-1"))  # corrected: it goes first
        assert [json.loads(text)["id"] for _, text in publisher._spool.head(9)] == ["PC-1-opened", "PC-1-closed"]
        assert await asyncio.to_thread(publisher.flush) == Flushed(2, 0, 0)
        publisher.publish(opened("PC-3", unknown=1), closed("PC-3"))
        assert await asyncio.to_thread(publisher.flush) == Flushed(0, 1, 1)
        publisher.forget("case:viriat/PC-3", "PC-3-opened")
        assert await asyncio.to_thread(publisher.flush) == Flushed(1, 0, 0)
    with Publisher(world.url, token, "viriat/back-office", spool) as publisher:
        publisher.publish(opened("PC-4", unknown=1), closed("PC-4"))
        assert await asyncio.to_thread(publisher.flush) == Flushed(1, 1, 0)


async def test_more_than_a_batch_and_more_than_the_gateway_reads_at_once(world: World, publisher: Publisher) -> None:
    events = [opened(f"B-{n}", label="x" * 200) for n in range(3)]
    publisher.publish(*(opened(f"A-{n}") for n in range(BATCH + 3)))
    assert (await asyncio.to_thread(publisher.flush)).sent == BATCH + 3
    publisher.publish(*events, opened("huge", label="x" * 3_000_000))
    found = await asyncio.to_thread(publisher.flush)
    assert (found.sent + found.refused, found.waiting) == (4, 0)
    assert "huge-opened" in [one.event["id"] for one in publisher.refused()]
    assert world.facts()


async def test_a_wrong_token_stops_and_keeps_everything(world: World, spool: Path) -> None:
    with Publisher(world.url, "relais_wrong", "viriat/back-office", spool) as publisher:
        publisher.publish(opened("PC-1"))
        with pytest.raises(PublisherError, match="token") as caught:
            await asyncio.to_thread(publisher.flush)
        assert caught.value.code == "unauthenticated"
        assert "relais_wrong" not in str(caught.value)
        assert await asyncio.to_thread(_waiting, publisher) == 1


def _waiting(publisher: Publisher) -> int:
    return publisher._spool.waiting()


async def test_it_waits_as_long_as_it_is_asked_to(spool: Path) -> None:
    tries: list[float] = []

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        await Request(scope, receive).body()
        tries.append(asyncio.get_running_loop().time())
        answer: Response = PlainTextResponse("busy", 503, {"Retry-After": "1"})
        if len(tries) == 3:
            answer = PlainTextResponse("{}", 202)
        await answer(scope, receive, send)

    async with serving(busy) as url:
        with Publisher(url, "t", "viriat/back-office", spool) as publisher:
            publisher.publish(opened("PC-1"))
            assert await asyncio.to_thread(publisher.flush, 0.5) == Flushed(0, 0, 1)
            assert await asyncio.to_thread(publisher.flush) == Flushed(1, 0, 0)
    assert tries[2] - tries[1] >= 1


async def test_an_address_of_something_else_is_told(spool: Path) -> None:
    async with serving(PlainTextResponse("<html>", 404)) as url:
        with Publisher(url, "t", "viriat/back-office", spool) as publisher:
            publisher.publish(opened("PC-1"))
            with pytest.raises(PublisherError, match="check the address"):
                await asyncio.to_thread(publisher.flush)


def test_a_token_does_not_go_in_clear(spool: Path) -> None:
    with pytest.raises(ValueError, match="https"):
        Publisher("http://relais.example", "t", "viriat/back-office", spool)


def test_another_word_under_the_same_id_is_refused_at_once(spool: Path) -> None:
    with Publisher(NOWHERE, "t", "viriat/back-office", spool) as publisher:
        publisher.publish(opened("PC-1"))
        publisher.publish(opened("PC-1"))
        with pytest.raises(AlreadySaidError):
            publisher.publish(opened("PC-2"), opened("PC-1", channel="post"))
        assert _waiting(publisher) == 1
    assert spool.stat().st_mode & 0o077 == 0


def test_an_event_says_its_date() -> None:
    at = datetime(2026, 3, 2, 23, 30, tzinfo=ZoneInfo("Europe/Paris"))
    told = Event("case.closed", "case:viriat/1", "1", {}, occurred_at=at).cloudevent("viriat/x")
    assert (told["time"], told["data"]["occurred_on"]) == ("2026-03-02T23:30:00+01:00", "2026-03-02")
    with pytest.raises(ValueError, match="occurred_on"):
        Event("case.closed", "case:viriat/1", "1").cloudevent("viriat/x")
    with pytest.raises(ValueError, match="offset"):
        Event("case.closed", "case:viriat/1", "1", {}, occurred_at=at.replace(tzinfo=None)).cloudevent("viriat/x")
    assert Event("case.closed", "case:viriat/1", "1", {}, date(2026, 3, 2) + timedelta(1)).cloudevent("v/x")[
        "data"
    ] == {"occurred_on": "2026-03-03"}
