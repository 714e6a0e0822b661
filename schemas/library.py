"""Named clocks, read from `clocks/*.yaml`, that journey definitions and the command line use by name.

An entry may itself start from another: `use: crpa.refusal` takes everything of that one and puts its own keys in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.meaning import clock_problems
from schemas.rules import Clock
from schemas.yamltext import Document, InvalidFilesError, Problem, read

CLOCKS = Path(__file__).parent / "clocks"
Raw = Mapping[str, Any]


def expand(entry: Any, named: Mapping[str, Raw], seen: tuple[str, ...] = ()) -> tuple[Any, str | None]:
    """An entry with what it uses filled in, and what is wrong with its `use`, if anything."""
    if not isinstance(entry, dict) or "use" not in entry:
        return entry, None
    name = entry["use"]
    own = {key: value for key, value in entry.items() if key != "use"}
    base = named.get(name) if isinstance(name, str) else None
    if base is None:
        return own, f"there is no named clock {name!r}"
    if name in seen:
        return own, f"{name!r} uses itself"
    full, wrong = expand(dict(base), named, (*seen, name))
    return {**full, **own}, wrong


def _read(directory: Path) -> tuple[dict[str, Raw], dict[str, tuple[Document, int]], list[Problem]]:
    raw: dict[str, Raw] = {}
    places: dict[str, tuple[Document, int]] = {}
    problems: list[Problem] = []
    for path in sorted(directory.glob("*.yaml")):
        document, found = read(path)
        problems += found
        if document is None or not isinstance(document.value, list):
            problems += [Problem(path.name, 1, "", "the file is a list of clocks")] if document is not None else []
            continue
        for index, entry in enumerate(document.value):
            name = entry.get("id") if isinstance(entry, dict) else None
            if not isinstance(name, str) or name in raw:
                problems.append(Problem(path.name, document.line((index,)), str(name), "an entry has an id of its own"))
                continue
            raw[name] = entry
            places[name] = document, index
    return raw, places, problems


def load_checked(directory: Path = CLOCKS) -> tuple[dict[str, Clock], dict[str, Raw], list[Problem]]:
    """Every named clock, its entry as written, and the problems of all files."""
    raw, places, problems = _read(directory)
    clocks: dict[str, Clock] = {}
    for name, entry in raw.items():
        document, index = places[name]
        full, wrong = expand(dict(entry), raw)
        if wrong:
            problems.append(Problem(document.file, document.line((index, "use")), f"{name}.use", wrong))
            continue
        try:
            clocks[name] = clock = Clock.model_validate(full)
            problems += [Problem(document.file, document.line((index,)), name, text) for text in clock_problems(clock)]
        except ValidationError as error:
            problems += [
                Problem(
                    document.file,
                    document.line((index, *item["loc"])),
                    ".".join(map(str, (name, *item["loc"]))),
                    item["msg"],
                )
                for item in error.errors(include_url=False)
            ]
    return clocks, raw, problems


@cache
def load(directory: Path = CLOCKS) -> Mapping[str, Clock]:
    """Every named clock; `InvalidFilesError` lists all problems if there is one."""
    clocks, _, problems = load_checked(directory)
    if problems:
        raise InvalidFilesError(problems)
    return clocks


@cache
def entries(directory: Path = CLOCKS) -> Mapping[str, Raw]:
    """The entries as written, for `use` in other files."""
    return load_checked(directory)[1]
