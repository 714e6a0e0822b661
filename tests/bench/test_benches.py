"""Every benchmark answers what it says it answers, at a tiny size, on the shared broker. No test looks at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.bench import bed, compare, engine, latency, pipeline, restore, timers, web
from deploy.bench.traffic import Shape
from deploy.cli import app
from deploy.local_kafka import LocalKafka

Found = dict[str, Any]
TIMES = {"p50_ms", "p99_ms", "max_ms", "count"}


def _quiet(_: str) -> None:
    """Tell nobody."""


BENCHES: dict[str, Callable[[Path], Found]] = {
    "pipeline": lambda f: pipeline.run(Shape.MESSY, 20, 200, 1, f, _quiet),
    "latency": lambda f: latency.run(20, 2, 1, 2, f, _quiet),
    "timers": lambda f: timers.run(30, 40, 2, f, _quiet),
    "restore": lambda f: restore.run(30, 4, 6, f, _quiet, more=10),
    "gateway": lambda f: web.gateway(12, 2, 0.3, f, _quiet),
    "pages": lambda f: web.pages(12, 2, 0.3, f, _quiet),
    "compare": lambda f: compare.run(300, 30, compare.NAMES, f, _quiet),
}


@pytest.fixture(scope="module")
def found(kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Found]]:
    """Return what all of them answer; some at a time, since they wait more than they work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bed, "broker", lambda _folder: nullcontext(kafka.bootstrap))
        with ThreadPoolExecutor(4) as pool:
            running = {name: pool.submit(run, tmp_path_factory.mktemp(name)) for name, run in BENCHES.items()}
            yield {name: one.result() for name, one in running.items()}


@pytest.mark.parametrize("name", BENCHES)
def test_the_answer_names_bench_machine_and_settings(found: dict[str, Found], name: str) -> None:
    answer = found[name]
    assert answer["bench"] == name
    assert {"cores", "memory_mib", "python", "system", "compiled"} <= answer["machine"].keys()
    assert answer["settings"]["partitions"] > 0
    assert json.loads(json.dumps(answer)) == answer


def test_the_pipeline_stands_beside_two_floors(found: dict[str, Found]) -> None:
    answer = found["pipeline"]
    assert answer["facts"] >= 200  # some come twice
    assert answer["ratio_same_bytes"] == pytest.approx(
        answer["facts_per_second"] / answer["floor_same_bytes"], rel=0.02, abs=0.001
    )
    assert answer["floor_fact_once"] > 0
    assert answer["facts_per_journey_per_batch"] > 0
    assert answer["bytes_written_per_fact"] > answer["bytes_per_fact_in"]


def test_no_fact_is_lost_on_the_way_to_the_statuses(found: dict[str, Found]) -> None:
    answer = found["latency"]
    assert answer["lost"] == 0
    assert answer["readable"]["count"] == answer["bare"]["count"] == answer["facts"] == 40
    assert answer["readable"].keys() == answer["answered"].keys() == answer["bare"].keys() == TIMES
    assert answer["answered"]["count"] <= 2  # what takes long is left out


def test_every_limit_that_passed_has_its_alert(found: dict[str, Found]) -> None:
    answer = found["timers"]
    assert answer["alerts"] >= answer["open"] == 30
    assert answer["tick"]["count"] == 2


def test_all_state_is_there_again(found: dict[str, Found]) -> None:
    answer = found["restore"]
    assert answer["records"] == 30 * (4 + 1)
    assert answer["restored_records"] == answer["records"]
    assert answer["failover_seconds"] > 0 < answer["warm_seconds"]
    assert answer["facts_per_second"] > 0


@pytest.mark.parametrize("name", ["gateway", "pages"])
def test_the_static_answer_stands_beside_the_others(found: dict[str, Found], name: str) -> None:
    answer = found[name]
    assert answer["static"]["count"] > 0
    assert len(answer["ratio_to_static"]) >= 3
    assert all(answer[what]["count"] > 0 for what in answer["ratio_to_static"])


def test_three_runtimes_did_the_same_work(found: dict[str, Found]) -> None:
    answer = found["compare"]
    assert all(answer[name]["events_per_second"] > 0 for name in compare.NAMES)
    assert answer["relais"]["guarantee"] == answer["quix"]["guarantee"] == "exactly once"


def test_the_engine_alone_says_what_it_wrote() -> None:
    answer = engine.run(Shape.CHAIN, 5, 60, _quiet)
    assert answer["facts"] == 60
    assert answer["records_written_per_fact"] > 1


def test_a_runtime_that_nobody_knows_is_refused() -> None:
    done = CliRunner().invoke(app, ["bench", "compare", "--only", "kstreams"])
    assert done.exit_code
    assert "there are relais, faust, quix" in str(done.exception)
