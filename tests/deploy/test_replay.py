"""`relais replay`: the past of a town through the real bus gives the report that a script without relais computes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from connectors.eventlog import mapping
from connectors.eventlog.facts import arrange
from deploy import fleet
from deploy import settings as chosen
from deploy.errors import DeployError
from deploy.fleet import Worker
from deploy.local_kafka import LocalKafka
from deploy.replay import bus, plain, story
from deploy.replay.story import Said, Story
from schemas import definitions, yamltext
from tests.connectors.eventlog.test_replay import REAL, independent, invent, row, told, write_xes

MAP = Path(mapping.__file__).parent / "maps" / "bpic15.yaml"
OTHER_SEED = 99
KILL_S = 20.0
"""A worker is killed by then, however little there is to read."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a real town where it is at hand (it is not part of the project), else an invented one."""
    return REAL if REAL.exists() else invent(tmp_path_factory.mktemp("log") / "log.xes", OTHER_SEED)


@cache
def whole(path: Path) -> Story:
    return story.read(path, MAP)


@cache
def expected(path: Path) -> dict[str, Any]:
    return independent(path)


async def through_the_bus(
    told_: Story, kafka: LocalKafka, instance: str, folder: Path, disturb: bus.Disturb | None = None, workers: int = 2
) -> dict[str, Any]:
    base = chosen.load(brokers=kafka.bootstrap, data_dir=folder, partitions=6, output_partitions=3, cache_mb=64)
    own = bus.own_settings(base, instance)
    done = await bus.run(told_, own, kafka.bootstrap, workers=workers, disturb=disturb, say=print)
    assert done.sent == len(told_.facts)
    assert not own.data_dir.exists()
    return told(done.report)


def killer(settings: chosen.Settings, brokers: str, arguments: list[str]) -> bus.Disturb:
    """Kills the second worker (-9) once a third of what there is has been read; a new one takes its slot."""

    async def kill(running: list[Worker]) -> None:
        most, latest = 0, time.monotonic() + KILL_S
        while time.monotonic() < latest:
            lags = [p["lag"] for w in running for p in (await asyncio.to_thread(w.status))[1].get("partitions", ())]
            most = max(most, sum(lags))
            if most > 100 and sum(lags) < most * 2 // 3:
                break
            await asyncio.sleep(0.05)
        victim = running.pop()
        victim.process.kill()
        victim.process.wait()
        running.append(fleet.start(settings, brokers, "w1", arguments))

    return kill


def killing(told_: Story, kafka: LocalKafka, instance: str, folder: Path) -> bus.Disturb:
    base = chosen.load(brokers=kafka.bootstrap, data_dir=folder, partitions=6, output_partitions=3, cache_mb=64)
    own = bus.own_settings(base, instance)
    return killer(own, kafka.bootstrap, told_.write(own.data_dir))


@pytest.mark.system
async def test_a_town_in_the_order_of_its_file(kafka: LocalKafka, instance: str, tmp_path: Path, log: Path) -> None:
    found = await through_the_bus(whole(log), kafka, instance, tmp_path)
    assert found == expected(log)
    assert log is not REAL or (found["journeys"], found["cases"], found["handoffs"]) == (1199, 3166, 3089)
    assert await topics_of(kafka, instance) == []


async def topics_of(kafka: LocalKafka, instance: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        return [name for name in await admin.list_topics() if name.startswith(f"{instance}.")]
    finally:
        await admin.close()


@pytest.mark.system
async def test_shuffled_and_doubled_while_a_worker_is_killed(
    kafka: LocalKafka, instance: str, tmp_path: Path, log: Path
) -> None:
    mixed = replace(whole(log), facts=arrange(whole(log).facts, shuffle=1, double=True))
    disturb = killing(mixed, kafka, instance, tmp_path)
    assert await through_the_bus(mixed, kafka, instance, tmp_path, disturb) == expected(log)


def by_date(facts: list[Said]) -> list[Said]:
    return sorted(facts, key=lambda fact: fact.on)


@pytest.mark.long
@pytest.mark.system
@pytest.mark.parametrize(
    ("order", "kill"),
    [
        (lambda f: arrange(f, shuffle=2), False), (lambda f: arrange(f, double=True), False), (by_date, False), (list, True),
        (by_date, True),
    ],
    ids=["shuffled", "doubled", "by date", "killed", "by date, killed"],
)  # fmt: skip
async def test_each_variant_alone(
    kafka: LocalKafka, instance: str, tmp_path: Path, log: Path, order: Callable[[Any], list[Said]], kill: bool
) -> None:
    mixed = replace(whole(log), facts=order(whole(log).facts))
    disturb = killing(mixed, kafka, instance, tmp_path) if kill else None
    assert await through_the_bus(mixed, kafka, instance, tmp_path, disturb) == expected(log)


def relais(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("RELAIS_")}
    given = {f"RELAIS_{k.upper()}": v for k, v in environment.items()} | {"RELAIS_DATA_DIR": str(folder)}
    command = [sys.executable, "-m", "deploy", *arguments]
    return subprocess.run(command, env=env | given, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.system
async def test_the_command(kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    small = invent(tmp_path / "log.xes", 3)
    environment = {"brokers": kafka.bootstrap, "partitions": "2", "output_partitions": "2"}

    async def replay(*more: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(relais, tmp_path, "replay", str(small), "--map", str(MAP), *more, **environment)

    # By date, so that the clock goes along and alerts come and go on the way.
    done = await replay("--by-date", "--json", "--workers", "1", "--instance", instance, "--keep")
    assert (done.returncode, json.loads(done.stdout or "{}")) == (0, independent(small)), done.stderr
    assert f"kept as instance {instance}" in done.stderr
    letters = await asyncio.to_thread(relais, tmp_path, "dead-letters", "list", instance=instance, **environment)
    assert (letters.returncode, letters.stdout) == (0, "")
    again = await replay("--instance", instance)
    assert (again.returncode, again.stdout) == (2, "")
    assert f"the instance {instance} exists already" in again.stderr


@pytest.mark.system
async def test_an_end_before_the_end_leaves_nothing_behind(kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    small = invent(tmp_path / "log.xes", 3)
    command = [sys.executable, "-m", "deploy", "replay", str(small), "--map", str(MAP), "--instance", instance]
    env = os.environ | {"RELAIS_BROKERS": kafka.bootstrap, "RELAIS_DATA_DIR": str(tmp_path), "RELAIS_PARTITIONS": "2"}
    child = await asyncio.create_subprocess_exec(*command, env=env, stderr=asyncio.subprocess.PIPE)
    assert child.stderr is not None
    async with asyncio.timeout(60):
        while b"starting 2 workers" not in await child.stderr.readline():
            pass
        child.terminate()
        rest = await child.stderr.read()
        assert (await child.wait(), rest.decode()) == (1, "relais: stopped before its end\n")
    assert await topics_of(kafka, instance) == []
    assert not (tmp_path / "replays" / instance).exists()


async def test_no_broker(instance: str, tmp_path: Path) -> None:
    small = story.read(invent(tmp_path / "log.xes", 3), MAP)
    own = bus.own_settings(chosen.load(data_dir=tmp_path), instance)
    with pytest.raises(DeployError, match=r"no broker answers at 127\.0\.0\.1:1"):
        await bus.run(small, own, "127.0.0.1:1")


def test_in_memory(tmp_path: Path) -> None:
    small = invent(tmp_path / "log.xes", 4)
    arguments = ("replay", str(small), "--map", str(MAP), "--in-memory")
    assert json.loads(relais(tmp_path, *arguments, "--json", "--shuffle", "1", "--double").stdout) == independent(small)
    schema = json.loads(relais(tmp_path, "replay", "--schema").stdout)
    assert schema["properties"].keys() == independent(small).keys()
    assert all(field.get("description") for field in schema["properties"].values())
    words = relais(tmp_path, *arguments).stdout
    assert f"{independent(small)['journeys']} journeys" in words
    assert "alerts of pieces.received (Answer of the applicant, 28 days)" in words


def test_what_cannot_be_replayed_is_told_in_words(tmp_path: Path) -> None:
    small = invent(tmp_path / "log.xes", 4)
    (tmp_path / "map.yaml").write_text("procedure: Nope\n")
    wrong = relais(tmp_path, "replay", str(small), "--map", str(tmp_path / "map.yaml"), "--in-memory")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "relais: map.yaml:1: procedure" in wrong.stderr and "Traceback" not in wrong.stderr
    with pytest.raises(DeployError, match=r"gone\.xes: No such file"):
        story.read(tmp_path / "gone.xes", MAP)
    small.write_text("<log><trace>")
    with pytest.raises(DeployError, match=r"log\.xes: line 1: this is not well-formed XML"):
        story.read(small, MAP)
    with pytest.raises(DeployError, match=r"log\.xes states no fact"):
        story.read(write_xes(small, []), MAP)


def test_the_clock_never_passes_a_fact_still_to_come(tmp_path: Path) -> None:
    whole_ = story.read(invent(tmp_path / "log.xes", 5), MAP)
    for facts in (whole_.facts, by_date(list(whole_.facts)), arrange(whole_.facts, shuffle=1)):
        days = list(replace(whole_, facts=facts).days())
        assert days == [min(fact.on for fact in facts[i:]) for i in range(len(facts))]
    assert days == sorted(days)


def test_workers_judge_by_the_definition_of_the_map(tmp_path: Path) -> None:
    found = story.read(invent(tmp_path / "log.xes", 6), MAP)
    _, path, _, directory = found.write(tmp_path)
    document, problems = yamltext.read(Path(path))
    assert document is not None and not problems
    journey, problems = definitions.check(document)
    assert journey is not None and not problems
    assert journey.digest == found.mapping.journey().digest
    assert set(json.loads(Path(directory).read_text())["bodies"][0]) >= {"id", "name", "kind"}


def test_a_copy_counts_once_and_a_limit_not_passed_raises_nothing(tmp_path: Path) -> None:
    start = date(2014, 1, 6)
    rows = [row(start.isoformat(), "1", "first"), row((start + timedelta(days=14)).isoformat(), "2", "last")]
    one = story.read(write_xes(tmp_path / "log.xes", [("1", rows)]), MAP, double=True)
    report = plain.run(one)
    assert (report.facts, len(one.facts)) == (7, 14)
    assert [(a.raised, a.open) for a in report.alerts] == [(0, 0), (0, 0)]
