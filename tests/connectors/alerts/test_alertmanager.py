"""Alerts in a real Alertmanager: fired once, kept firing, ended; restarts on both sides."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connectors.alerts.alertmanager import AlertmanagerConfig, AlertSink
from connectors.alerts.ledger import Dispatch, Ledger
from connectors.status.database import Database, sqlite_url
from connectors.status.model import ReadModel
from connectors.status.writing import Batch, Writer
from deploy.ports import free_port
from schemas.codec import bus, events
from tests.support import outputs
from tests.support.facts import KEYS
from tests.support.loop import BODIES, book

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
Notes = list[tuple[str, str]]


@contextmanager
def receiver() -> Iterator[tuple[int, Notes]]:
    """Whom Alertmanager wakes: (status, alert id) of each notification."""
    notes: Notes = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["content-length"])))
            notes.extend((a["status"], a["labels"]["alert"]) for a in said["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], notes
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def alertmanager(folder: Path, port: int, hook: int) -> Iterator[str]:
    assert PROGRAM is not None
    folder.mkdir(exist_ok=True)
    route = {
        "receiver": "hook",
        "group_by": ["..."],
        "group_wait": "10ms",
        "group_interval": "1s",
        "repeat_interval": "1h",
    }
    hooks = [{"url": f"http://127.0.0.1:{hook}/", "send_resolved": True}]
    (folder / "config.yml").write_text(
        json.dumps({"route": route, "receivers": [{"name": "hook", "webhook_configs": hooks}]})
    )
    command = [
        PROGRAM, f"--config.file={folder / 'config.yml'}", f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=error",
    ]  # fmt: skip
    child = subprocess.Popen(command)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(10)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - another process moves it
            await asyncio.sleep(0.05)


async def firing(url: str, count: int) -> list[dict[str, Any]]:
    async with httpx2.AsyncClient() as http, asyncio.timeout(20):
        while True:
            with suppress(httpx2.TransportError):
                found: list[dict[str, Any]] = (await http.get(f"{url}/api/v2/alerts")).json()
                if len(found) == count:
                    return found
            await asyncio.sleep(0.05)


class Bus:
    def __init__(self, folder: Path) -> None:
        self.database = Database(sqlite_url(folder / "read.db"))
        self.writer = Writer(self.database, KEYS, events())
        self.tables = self.writer.begin()
        self.at = 0

    def say(self, *alerts: dict[str, Any]) -> None:
        records = [outputs.record(a["alert"], bus().encode("alert", a)) for a in alerts]
        self.writer.apply(self.tables, [Batch("alerts", 0, self.at, self.at + len(records), records)])
        self.at += len(records)

    @asynccontextmanager
    async def sink(self, url: str) -> AsyncIterator[None]:
        config = AlertmanagerConfig(urls=(url,), interval_s=0.5, look_s=0.1, end_after=60)
        task = asyncio.create_task(
            AlertSink(ReadModel(self.database), Ledger(self.database), book(BODIES), config).run()
        )
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.skipif(PROGRAM is None, reason="Alertmanager is not installed here")
async def test_fired_once_kept_and_ended_over_restarts_of_both(tmp_path: Path) -> None:
    world, port = Bus(tmp_path), free_port()
    one = outputs.alert(
        1, reason="not-delivered", severity="warning", body="gba", other="viriat", rule="transfer.received"
    )
    two = outputs.alert(2)
    names = [a["alert"].hex() for a in (one, two)]
    with receiver() as (hook, notes):
        with alertmanager(tmp_path / "am", port, hook) as url:
            async with world.sink(url):
                world.say(one, two)
                found = await firing(url, 2)
                labels = next(a["labels"] for a in found if a["labels"]["alert"] == names[0])
                assert labels == {
                    "alertname": "RelaisNotDelivered", "instance": "main", "reason": "not-delivered",
                    "severity": "warning", "rule": "transfer.received", "body": "gba", "other": "viriat",
                    "procedure": "urbanisme.pc-maison", "alert": names[0],
                }  # fmt: skip
                assert "case:" not in json.dumps(found)
                world.say(one | {"severity": "critical"}, two)
                await until(lambda: len(notes) == 2)
            world.say(two | {"episodes": [{"raised_on": 20_011, "resolved_on": 20_020}]})
            async with world.sink(url):
                assert [a["labels"] for a in await firing(url, 1)] == [labels]
                await until(lambda: len(notes) == 3)
        async with world.sink(url):
            await asyncio.sleep(0.3)
            with alertmanager(tmp_path / "am", port, hook):
                await firing(url, 1)
                two_again = {"raised_on": 20_030, "resolved_on": None}
                world.say(two | {"episodes": [{"raised_on": 20_011, "resolved_on": 20_020}, two_again]})
                await firing(url, 2)
                await until(lambda: len(notes) == 4)
                silent = 2**31 - 1
                world.say(one | {"acknowledged_on": 20_040, "silent_until": silent})
                assert [a["labels"]["alert"] for a in await firing(url, 1)] == [names[1]]
                await until(lambda: len(notes) == 5)
    assert sorted(notes) == sorted(
        [
            ("firing", names[0]),
            ("firing", names[1]),
            ("resolved", names[1]),
            ("firing", names[1]),
            ("resolved", names[0]),
        ]
    )
    world.database.close()


def test_an_episode_is_entered_once_and_its_labels_stay(database: Database) -> None:
    ledger = Ledger(database)
    first = Dispatch(b"a" * 16, 5, {"severity": "warning"}, {"summary": "é"})
    assert ledger.turn([first], 1_000, 0) == [first]
    changed = Dispatch(b"a" * 16, 5, {"severity": "critical"}, {})
    assert Ledger(database).turn([changed], 2_000, 0) == [first]
    (ended,) = ledger.turn([], 3_000, 0)
    assert ended.resolved_at == 3_000
    assert ledger.turn([], 4_000, 3_000) == [ended]
    (back,) = ledger.turn([changed], 5_000, 3_000)
    assert (back.resolved_at, back.labels) == (None, first.labels)
    second = Dispatch(b"a" * 16, 9, {}, {})
    assert [d.resolved_at for d in ledger.turn([second], 6_000, 0)] == [6_000, None]
    assert ledger.turn([second], 7_000, 6_500) == [second]
