"""A Python file that lies beside a configuration, as a module."""

from __future__ import annotations

import sys
from hashlib import blake2b
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


def module_of(path: Path) -> ModuleType:
    """The module of a file, run anew. Raises OSError if there is no such file, and whatever the file raises."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file")
    name = f"{path.stem}_{blake2b(str(path.resolve()).encode(), digest_size=4).hexdigest()}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # pydantic and dataclasses look a class's module up by its name
    spec.loader.exec_module(module)
    return module
