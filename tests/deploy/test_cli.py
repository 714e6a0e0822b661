import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"aiokafka", "faust", "pydantic", "sqlalchemy", "starlette", "fastavro", "rocksdict"}


def _relais(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from deploy.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, check=False)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, deploy.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()
    assert "kafka" in _relais("--help").stdout


def test_settings_that_cannot_be_used_are_told_without_a_trace() -> None:
    done = _relais("kafka", "status", RELAIS_PARTITIONS="none")
    assert done.returncode == 2
    assert done.stderr.startswith("relais: partitions (RELAIS_PARTITIONS)")
    assert "Traceback" not in done.stderr


@pytest.mark.system
def test_the_local_broker_is_started_shown_and_stopped(tmp_path: Path) -> None:
    here = {"RELAIS_DATA_DIR": str(tmp_path)}
    absent = _relais("kafka", "status", "--json", **here)
    assert (absent.returncode, json.loads(absent.stdout)["running"]) == (3, False)
    try:
        started = json.loads(_relais("kafka", "start", "--json", **here).stdout)
        again = json.loads(_relais("kafka", "start", "--json", **here).stdout)
        assert started == again, "a broker that runs is left as it is"
        shown = _relais("kafka", "status", **here)
        assert (shown.returncode, started["bootstrap"] in shown.stdout) == (0, True)
    finally:
        stopped = _relais("kafka", "stop", "--json", **here)
    assert (stopped.returncode, json.loads(stopped.stdout)["running"]) == (0, False)
