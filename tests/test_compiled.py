"""Compiled by mypyc, codec and engine write the same bytes as the same source interpreted. Needs a C compiler.

The short form compiles the codec alone; the long form all, and runs the tests of engine and schemas on it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_COMPILED = ("tests/streams/engine/test_controls.py",)
"""Negative controls put broken subclasses in the place of engine classes, which machine code does not allow."""

HEADER = Path(sysconfig.get_paths()["include"]) / "Python.h"
pytestmark = pytest.mark.skipif(not (shutil.which("cc") and HEADER.exists()), reason="no C compiler, or no Python.h")

VECTORS = """
import json, sys
from deploy.bench.traffic import Shape, Traffic
from schemas import binary, canonical, codec
events = codec.events()
facts = Traffic(Shape.CHAIN)
told = []
for step in range(facts.length):
    value = facts.fact(7, step).value
    schema, datum = events.decode(value)
    assert events.encode(schema.name, datum) == value
    told.append(canonical.digest(schema, datum).hex())
    for damaged in (value[:-1], value + b"x", value[:40] + b"\\xff" + value[41:]):
        try:
            told.append(repr(events.decode(damaged)))
        except codec.DecodeError as error:
            told.append(str(error))
print(json.dumps({"compiled": binary.COMPILED, "told": told}))
"""


def _run(arguments: list[str], path: Path | None) -> str:
    """What a Python process says, with `path` before the source."""
    before = os.pathsep.join(str(p) for p in (path, ROOT) if p is not None)
    given = {**os.environ, "PYTHONPATH": before, "PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=given, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def _compile(folder: Path, what: str) -> Path:
    code = (
        f"import hatch_build as h, pathlib; r = pathlib.Path('.'); h.compiled(r, pathlib.Path({str(folder)!r}), {what})"
    )
    _run(["-c", code], None)
    return folder


def test_the_codec_says_the_same(tmp_path: Path) -> None:
    folder = _compile(tmp_path / "c", "h.CODEC, opt='0'")
    compiled, interpreted = (json.loads(_run(["-c", VECTORS], path)) for path in (folder, None))
    assert compiled["compiled"] and not interpreted["compiled"]
    assert compiled["told"] == interpreted["told"]


@pytest.mark.long
def test_the_whole_engine_writes_the_same_and_passes_its_tests(tmp_path: Path) -> None:
    folder = _compile(tmp_path / "c", "h.engine(r)")
    work = ["-m", "deploy", "bench", "engine", "--shape", "messy", "--open", "60", "--facts", "1500", "--json"]
    compiled, interpreted = (json.loads(_run(work, path)) for path in (folder, None))
    assert compiled["machine"]["compiled"] and not interpreted["machine"]["compiled"]
    assert compiled["written"] == interpreted["written"]
    shutil.copytree(ROOT / "tests", folder / "tests")
    for name in ("deploy", "connectors"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    left = [f"--ignore={folder / name}" for name in NOT_COMPILED]
    tests = ["-m", "pytest", "-q", "-m", "not long", f"--rootdir={folder}", "-c", str(folder / "pyproject.toml")]
    told = _run([*tests, *left, str(folder / "tests/streams/engine"), str(folder / "tests/schemas")], folder)
    assert "passed" in told
