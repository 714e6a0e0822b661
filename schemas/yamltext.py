"""YAML that people write: read safely, with the line of every value, so that an error can say where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

Path_ = tuple[str | int, ...]
DEEPEST, MOST = 50, 200_000
"""Levels and values of one file: what refers to itself, or unfolds without end, is refused."""


class Problem(NamedTuple):
    """One thing wrong in one file. `line` counts from 1; 0 if the file could not be read at all."""

    file: str
    line: int
    where: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.where}: {self.message}"
            if self.where
            else f"{self.file}:{self.line}: {self.message}"
        )


class InvalidFilesError(ValueError):
    """Files with problems; all of them are reported at once."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class _Loader(yaml.SafeLoader):
    """Only `true` and `false` are booleans, so that `on:` stays a word."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _first, _word in (("t", "true"), ("f", "false")):
    _Loader.add_implicit_resolver("tag:yaml.org,2002:bool", __import__("re").compile(f"^{_word}$"), [_first])


class Document(NamedTuple):
    """A parsed file: its value, and the line of every path in it."""

    file: str
    value: Any
    lines: dict[Path_, int]

    def line(self, path: Path_) -> int:
        """Line of `path`, or of its nearest known parent. Parts that name no key (a union's tag) are skipped."""
        at: Path_ = ()
        for part in path:
            if (*at, part) in self.lines:
                at = (*at, part)
        return self.lines.get(at, 1)


def _walk(node: yaml.Node, path: Path_, lines: dict[Path_, int], problems: list[tuple[int, str]]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(path) > DEEPEST or len(lines) > MOST:
        raise RecursionError
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                problems.append((key.start_mark.line + 1, f"the key {key.value!r} is there twice"))
            seen.add(key.value)
            lines[(*path, key.value)] = key.start_mark.line + 1
            _walk(value, (*path, key.value), lines, problems)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), lines, problems)


def parse(text: str, file: str) -> tuple[Document | None, list[Problem]]:
    """Parse one document; never raises for bad text."""
    try:
        node = yaml.compose(text, Loader=_Loader)  # a SafeLoader
        value = yaml.load(text, Loader=_Loader)  # noqa: S506
        lines: dict[Path_, int] = {}
        twice: list[tuple[int, str]] = []
        if node is not None:
            _walk(node, (), lines, twice)
    except RecursionError:
        return None, [Problem(file, 1, "", "nested too deeply, too large, or referring to itself")]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return None, [Problem(file, mark.line + 1 if mark else 0, "", str(getattr(error, "problem", None) or error))]
    if node is None:
        return None, [Problem(file, 1, "", "the file is empty")]
    return Document(file, value, lines), [Problem(file, line, "", message) for line, message in twice]


def read(path: Path) -> tuple[Document | None, list[Problem]]:
    """Read and parse one file; `file` in problems is its name only."""
    try:
        return parse(path.read_text("utf-8"), path.name)
    except FileNotFoundError:
        return None, [Problem(path.name, 0, "", "there is no such file: correct its name, or the folder")]
    except UnicodeDecodeError:
        return None, [Problem(path.name, 0, "", "it is not UTF-8: save it in that encoding")]
    except OSError as error:
        return None, [Problem(path.name, 0, "", f"cannot be read: {error.strerror}")]
