"""An optional wheel: engine and codec compiled by mypyc from the same annotated source.

`RELAIS_COMPILE=1 pip wheel .` makes it and needs a C compiler; without the variable the wheel is pure Python and needs none.
`python hatch_build.py FOLDER` puts a compiled copy of `schemas` and `streams` into a folder, to be put before the source on `PYTHONPATH`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a program
    BuildHookInterface = object  # type: ignore[assignment,misc]

PACKAGES = ("schemas", "streams")
CODEC = tuple(f"schemas/{name}.py" for name in ("binary", "canonical", "codec", "nodes", "references"))
INTERPRETED = ("__init__.py", "questions.py")
"""Files of the engine that stay as they are: `questions` holds models of pydantic, and nothing hot."""

_SETUP = """from mypyc.build import mypycify
from setuptools import setup
setup(name="relais-compiled", packages=[], ext_modules=mypycify(["--config-file", "mypy.ini", *{names!r}], opt_level={opt!r}))
"""
_MYPY = """[mypy]
strict = True
plugins = pydantic.mypy
[mypy-fastavro.*]
ignore_missing_imports = True
follow_imports = skip
"""


def engine(root: Path) -> list[str]:
    """Files to compile, relative to the source."""
    found = sorted((root / "streams" / "engine").glob("*.py"))
    return [*CODEC, *(f.relative_to(root).as_posix() for f in found if f.name not in INTERPRETED)]


def compiled(root: Path, folder: Path, names: Sequence[str], opt: str = "2") -> list[Path]:
    """Copy the packages into `folder` and compile `names` there, beside their source; the libraries made, relative to it."""
    shutil.rmtree(folder, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "setup.py").write_text(_SETUP.format(names=list(names), opt=opt))
    (folder / "mypy.ini").write_text(_MYPY)
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"mypyc could not compile:\n{(done.stdout + done.stderr)[-4000:]}")
    shutil.rmtree(folder / "build")
    return sorted(f.relative_to(folder) for f in folder.rglob("*.so"))


class CustomBuildHook(BuildHookInterface):
    """Adds the libraries to the wheel where they are asked for."""

    def dependencies(self) -> list[str]:
        """What compiling needs beside the compiler."""
        if not os.environ.get("RELAIS_COMPILE"):
            return []
        return ["mypy>=2.4,<2.5", "pydantic>=2.12", "setuptools>=65", "types-PyYAML>=6.0.12"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and make the wheel one for this platform."""
        if version == "editable" or not os.environ.get("RELAIS_COMPILE"):
            return
        root = Path(self.root)
        folder = root / "build" / "compiled"
        build_data["pure_python"], build_data["infer_tag"] = False, True
        for library in compiled(root, folder, engine(root)):
            build_data["force_include"][str(folder / library)] = library.as_posix()


if __name__ == "__main__":
    here = Path(__file__).parent
    print(f"{len(compiled(here, Path(sys.argv[1]).absolute(), engine(here)))} libraries")  # noqa: T201
