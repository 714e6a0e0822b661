"""Dead letters through the real bus: found, looked at, put back once the cause is mended."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy import fleet
from deploy import settings as chosen
from deploy.errors import DeployError
from deploy.letters import Choice, Letter, letters
from deploy.local_kafka import LocalKafka
from deploy.reading import records
from deploy.topics import ensure_instance
from schemas import codec
from streams.letters import dead_letter
from streams.reasons import Reason
from streams.runtime.processor import Record
from tests.support.facts import case, event

pytestmark = pytest.mark.system

BODY = "nouvelle-ville"
RUBBISH = b"\x07rubbish of Jeanne"
HEADERS = [("trace", b"\x00\x01"), ("empty", b"")]
WAIT_S = 40.0


def directory(path: Path, *bodies: str) -> Path:
    path.write_text(json.dumps({"bodies": [{"id": b, "name": b, "kind": "commune"} for b in bodies]}))
    return path


async def until(found: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if got := await found():
            return got
        await asyncio.sleep(0.3)
    raise AssertionError(f"not within {WAIT_S:.0f} s: {what}")


class Desk:
    """Runs `relais dead-letters` as an operator does."""

    def __init__(self, settings: chosen.Settings, brokers: str) -> None:
        rest = {k: v for k, v in os.environ.items() if not k.startswith("RELAIS_")}
        own = {"BROKERS": brokers, "INSTANCE": settings.instance, "DATA_DIR": str(settings.data_dir)}
        self.environment = rest | {f"RELAIS_{k}": v for k, v in own.items()}

    async def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy", "dead-letters", *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stderr
        return done

    async def json(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (await self.run(*arguments, "--json")).stdout.splitlines()]


async def test_what_was_refused_is_found_and_put_back(kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    settings = chosen.load(instance=instance, data_dir=tmp_path, partitions=2, output_partitions=2, cache_mb=64)
    settings.ensure_reference_secret()
    await ensure_instance(settings, kafka.bootstrap, [BODY])
    known = directory(tmp_path / "directory.yaml", "viriat")
    arguments = ["--directory", str(known), "--speaker", BODY]
    own, common = f"{instance}.case-events.{BODY}", f"{instance}.case-events"
    sound = event("case.opened", case(BODY, 1), 20_000, 1, attested_by="body")
    foreign = event("case.opened", case("viriat", 2), 20_000, 2, attested_by="body")
    desk = Desk(settings, kafka.bootstrap)

    async def letters_now(reason: Reason, topic: str) -> list[Letter]:
        choice = Choice(reasons=(reason,), topics=(topic,))
        return [letter async for letter in letters(kafka.bootstrap, instance, choice)]

    with fleet.workers(settings, kafka.bootstrap, 1, arguments) as running:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        await producer.start()
        try:
            await producer.send_and_wait(common, RUBBISH, key=b"k", partition=1, headers=HEADERS)
            for value in (RUBBISH, sound, foreign):
                await producer.send_and_wait(own, value, partition=0, headers=HEADERS)
        finally:
            await producer.stop()
        await until(lambda: letters_now(Reason.NOT_ALLOWED, own), "the last of the letters")
        await until(lambda: letters_now(Reason.UNREADABLE, common), "the letter of the other topic")

        listed = await desk.json("list")
        ids = {found["id"]: (found["reason"], found["retriable"]) for found in listed}
        assert ids == {
            f"{common}/1/0": ("unreadable", False),
            f"{own}/0/0": ("unreadable", False),
            f"{own}/0/1": ("unknown-body", True),
            f"{own}/0/2": ("not-allowed", False),
        }
        assert all(found["kept"] for found in listed)
        only = await desk.json(
            "list", "--reason", "unreadable", "--topic", f"case-events.{BODY}", "--since", "2020-01-01"
        )
        assert [found["id"] for found in only] == [f"{own}/0/0"]
        assert await desk.json("list", "--since", "2999-01-01") == []
        words = await desk.run("list")
        assert "add the body to the directory, then replay" in words.stdout
        assert words.stderr == "4 dead letters: 2 unreadable, 1 unknown-body, 1 not-allowed\n"

        shown = await desk.run("show", f"{common}/1/0")
        assert "unreadable" in shown.stdout
        assert "Jeanne" not in words.stdout + shown.stdout
        assert base64.b64encode(RUBBISH).decode() not in shown.stdout
        (content,) = await desk.json("show", f"{common}/1/0", "--value")
        assert base64.b64decode(content["value"]) == RUBBISH and base64.b64decode(content["key"]) == b"k"
        assert {n: base64.b64decode(v) for n, v in content["headers"].items()} == dict(HEADERS)
        (content,) = await desk.json("show", f"{own}/0/1", "--value")
        assert content["event"]["header"]["subject"] == case(BODY, 1)

        # Not mended yet: it is refused again.
        assert [found["fate"] for found in await desk.json("replay", f"{own}/0/1")] == ["replayed"]
        await until(lambda: _more(letters_now(Reason.UNKNOWN_BODY, own), 2), "the second letter of the unknown body")

        # Mended: the body is added and the worker starts again.
        fleet.stop(running)
        directory(known, "viriat", BODY)
        running[:] = [fleet.start(settings, kafka.bootstrap, "w0", arguments)]
        fates = {found["id"]: found["fate"] for found in await desk.json("replay", "--topic", own)}
        assert fates == {
            f"{own}/0/0": "not-retriable", f"{own}/0/1": "replayed", f"{own}/0/2": "not-retriable",
            f"{own}/0/3": "same",
        }  # fmt: skip

        async def accepted() -> list[str]:
            rows = [r.value async for r in records(kafka.bootstrap, f"{instance}.statuses") if r.value is not None]
            return [c["body"] for value in rows for c in codec.bus().decode(value)[1]["cases"]]

        assert await until(accepted, "the status of what was refused") == [BODY]
        assert len(await letters_now(Reason.UNKNOWN_BODY, own)) == 2

        # By force: the same record, to the byte, with its headers, where it came from.
        forced = await desk.run("replay", f"{common}/1/0", "--force")
        assert forced.stderr == "1 replayed, 0 left\n"
        first, second = await until(
            lambda: _more(letters_now(Reason.UNREADABLE, common), 2), "the letter of the record forced"
        )
        assert second.datum["offset"] > first.datum["offset"]
        for name in ("value", "key", "headers", "digest", "partition", "topic"):
            assert second.datum[name] == first.datum[name]


async def _more(found: Any, least: int) -> list[Letter]:
    got: list[Letter] = await found
    return got if len(got) >= least else []


async def test_what_there_is_not_is_told_in_words(kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    settings = chosen.load(instance=instance, data_dir=tmp_path, partitions=1, output_partitions=1)
    desk = Desk(settings, kafka.bootstrap)
    assert "is this the right instance?" in (await desk.run("list", code=3)).stderr
    await ensure_instance(settings, kafka.bootstrap)
    assert "there is no dead letter x/0/1" in (await desk.run("show", "x/0/1", code=2)).stderr
    assert "there is no dead letter x/0/1" in (await desk.run("replay", "x/0/1", code=2)).stderr
    assert (
        "there is no reason nope; there are unreadable" in (await desk.run("list", "--reason", "nope", code=2)).stderr
    )


async def test_no_broker(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"no broker answers at 127\.0\.0\.1:1"):
        async for _ in records("127.0.0.1:1", "main.dead-letters"):
            pass


def letter(reason: Reason, at: int) -> Letter:
    record = Record(5, at, b"k", RUBBISH, HEADERS)
    sent = dead_letter("main.dead-letters", "main.case-events", 3, record, reason)
    return Letter(at, codec.bus().decode(sent.value or b"")[1])


def test_which_letters_are_meant() -> None:
    one = letter(Reason.PERSONAL_NUMBER, 86_400_000 * 20_000)
    assert one.id == "main.case-events/3/5"
    assert one.told()["kept"] is False and one.content()["value"] is None
    day = date.fromordinal(date(1970, 1, 1).toordinal() + 20_000)
    for taken, choice in (
        (True, Choice()),
        (
            True,
            Choice(
                ids=("main.case-events/3/5",), reasons=(Reason.PERSONAL_NUMBER,), topics=("case-events",), since=day
            ),
        ),
        (True, Choice(topics=("main.case-events",))),
        (False, Choice(ids=("main.case-events/3/6",))),
        (False, Choice(reasons=(Reason.BUG,))),
        (False, Choice(topics=("case-events.viriat",))),
        (False, Choice(since=date.fromordinal(day.toordinal() + 1))),
    ):
        assert choice.takes(one, "main") is taken
