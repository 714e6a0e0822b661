"""The guide "your connector in an afternoon", followed step by step as it is written."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.kit.intake import Outcome
from deploy.local_kafka import LocalKafka
from deploy.reading import records
from deploy.settings import load
from schemas import codec

GUIDE = Path(__file__).resolve().parents[3] / "connectors" / "README.md"
BLOCK = re.compile(r"^```(\w+) ([\w. -]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
Run = Callable[..., str]


@pytest.fixture
def run(kafka: LocalKafka, instance: str, tmp_path: Path) -> Run:
    """Runs a shell script in a folder of its own, against the shared broker."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "relais"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m deploy "$@"\n')
    command.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "RELAIS_BROKERS": kafka.bootstrap, "RELAIS_INSTANCE": instance,
        "RELAIS_PARTITIONS": "4", "RELAIS_OUTPUT_PARTITIONS": "1", "RELAIS_CONNECTOR_PORT": "0", "RELAIS_LOG_LEVEL": "info",
    }  # fmt: skip
    load(data_dir=tmp_path / ".relais").ensure_reference_secret()

    def run(script: str, *, fails: bool = False) -> str:
        done = subprocess.run(
            ["sh", "-euc", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) is fails, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    return run


async def _facts(kafka: LocalKafka, instance: str) -> list[str]:
    found = []
    async for record in records(kafka.bootstrap, f"{instance}.case-events"):
        schema, datum = codec.events().decode(record.value or b"")
        found.append(f"{datum['header']['subject'].removeprefix('case:viriat/PC-2026-')} {schema.name}")
    return found


async def test_the_guide_works_as_it_is_written(run: Run, kafka: LocalKafka, instance: str, tmp_path: Path) -> None:
    said, steps = "", 0
    facts: list[list[str]] = []
    for language, name, text in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        steps += 1
        if language == "sh":
            said = run(text, fails=name == "run fails")
            if "run --once" in text:
                facts.append(await _facts(kafka, instance))
        elif name == "told":
            assert [line for line in text.splitlines() if line not in said] == []
        else:
            (tmp_path / name).write_text(text, encoding="utf-8")
    assert steps == 11
    first, mapped, again = facts
    assert Counter(first) == Counter(["01 case.opened", "02 case.opened", "01 case.pieces-requested"])
    assert Counter(mapped) - Counter(first) == Counter(["03 case.opened", "03 case.decided"])
    assert [fact for fact in mapped if fact.startswith("03")] == ["03 case.opened", "03 case.decided"]
    assert Counter(again) == Counter(mapped)
    assert f'"{Outcome.DUPLICATE.value}": 5' in said, said


async def test_a_mended_mapping_lets_dead_letters_be_tried_again(
    run: Run, kafka: LocalKafka, instance: str, tmp_path: Path
) -> None:
    blocks = {name: text for _, name, text in BLOCK.findall(GUIDE.read_text(encoding="utf-8"))}
    run("relais connector new permits --body viriat")
    mapping = blocks["permits.map.yaml"]
    (tmp_path / "permits.py").write_text(blocks["permits.py"], encoding="utf-8")
    (tmp_path / "records.txt").write_text("PC-2026-01;DEPOSE;01/03/2026\nPC-2026-02;DEPOSE;hier\n", encoding="utf-8")
    (tmp_path / "permits.map.yaml").write_text(mapping.replace("$date(date)", "$toMillis(date)"), encoding="utf-8")
    run("relais connector run --once permits.yaml")
    listed = run("relais connector dead-letters list permits.yaml")
    assert "permits.map.yaml:9: events.0.on: JSONata error" in listed
    assert "hier" not in listed
    (tmp_path / "permits.map.yaml").write_text(mapping, encoding="utf-8")
    tried = run("relais connector dead-letters replay permits.yaml")
    assert sorted(line.split()[-1] for line in tried.splitlines() if line.startswith(instance)) == ["refused", "taken"]
    assert await _facts(kafka, instance) == ["01 case.opened"]
    run("relais connector offsets reset --dry-run permits.yaml; relais connector offsets set permits.yaml 1")
    assert '"cursor":1' in run("relais connector offsets show permits.yaml --json")
