"""Whether one schema reads what another wrote, and what is lost on the way.

The rules are those of schema resolution (Avro specification 1.11), and what those rules leave out: a logical type never
changes (seconds read as milliseconds are no error to Avro), a field is not renamed without an alias, no symbol of an
enum disappears.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from schemas.catalog import JsonSchema

PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
"""What a writer's type may be read as, beside itself."""


class Fault(StrEnum):
    """Why schemas may not stand as they are."""

    CHANGED = "changed"
    GONE = "gone"
    NOT_LOCKED = "not-locked"
    MISSING_VERSION = "missing-version"
    NO_DOC = "no-doc"
    DEFAULT_NOT_NULL = "default-not-null"
    TYPE = "type"
    NAME = "name"
    SIZE = "size"
    BRANCH = "branch"
    NO_DEFAULT = "no-default"
    SYMBOL = "symbol"
    SYMBOL_REMOVED = "symbol-removed"
    LOGICAL_TYPE = "logical-type"
    RENAMED = "renamed"


MENDS = {
    Fault.CHANGED: "a released version never changes: restore the file and write a new version",
    Fault.GONE: "a released version is kept for ever: restore the file",
    Fault.NOT_LOCKED: "run `relais schemas lock` and commit the lock file with the schema",
    Fault.MISSING_VERSION: "versions are numbered from 1 without a gap",
    Fault.NO_DOC: 'say in "doc" what it is',
    Fault.DEFAULT_NOT_NULL: 'an optional field is ["null", type] with the default null',
    Fault.TYPE: "keep the type, or add another field",
    Fault.NAME: "keep the name of the record or enum, or give an alias",
    Fault.SIZE: "keep the size",
    Fault.BRANCH: "keep the types of the union",
    Fault.NO_DEFAULT: 'a field that not all versions have is ["null", type] with the default null',
    Fault.SYMBOL: "older readers do not know the new symbol: add another field instead",
    Fault.SYMBOL_REMOVED: "keep the symbol: it is in stored facts",
    Fault.LOGICAL_TYPE: "a number would be read as another date or instant: add another field",
    Fault.RENAMED: "give the old name as an alias; if it is another field, add it one version after the old one went",
}


Broken = tuple[Fault, str]
"""A fault and its path."""


def between(old: JsonSchema, new: JsonSchema) -> Iterator[Broken]:
    """Why the two versions do not read each other, or lose something in doing so."""
    yield from reading(new, old)
    yield from reading(old, new)
    yield from _lost(_Named(old), _Named(new), old, new, "")


def reading(reader: JsonSchema, writer: JsonSchema) -> Iterator[Broken]:
    """Why data written by `writer` cannot be read by `reader` (schema resolution, and equal logical types)."""
    yield from _read(_Named(reader), _Named(writer), reader, writer, "")


class _Named:
    """The named types of a schema, so that a name can be followed."""

    def __init__(self, schema: JsonSchema) -> None:
        self._types: dict[str, JsonSchema] = {}
        self._gather(schema, "")

    def _gather(self, node: Any, space: str) -> None:
        if isinstance(node, list):
            for branch in node:
                self._gather(branch, space)
        elif isinstance(node, dict):
            if "name" in node:
                space = node.get("namespace", space)
                self._types[f"{space}.{node['name']}".removeprefix(".")] = self._types[node["name"]] = node
            for field in node.get("fields", []):
                self._gather(field["type"], space)
            for inner in ("items", "values"):
                self._gather(node.get(inner), space)

    def follow(self, node: Any) -> Any:
        """The type itself: a definition, a union, or the name of a primitive type."""
        if isinstance(node, str):
            return self._types.get(node, node)
        if isinstance(node, dict) and isinstance(node["type"], str) and set(node) == {"type"}:
            return self._types.get(node["type"], node["type"])
        return node


def _kind(node: Any) -> str:
    return node if isinstance(node, str) else "union" if isinstance(node, list) else str(node["type"])


def _logical(node: Any) -> Any:
    return node.get("logicalType") if isinstance(node, dict) else None


def _read(rn: _Named, wn: _Named, reader: Any, writer: Any, path: str) -> Iterator[Broken]:
    reader, writer = rn.follow(reader), wn.follow(writer)
    if isinstance(writer, list):
        for branch in writer:
            yield from _read(rn, wn, reader, branch, path)
    elif isinstance(reader, list):
        yield from _read_by_branch(rn, wn, reader, writer, path)
    elif _kind(reader) != _kind(writer):
        if _kind(reader) not in PROMOTIONS.get(_kind(writer), ()):
            yield Fault.TYPE, path
        elif _logical(reader) or _logical(writer):
            yield Fault.LOGICAL_TYPE, path
    elif _logical(reader) != _logical(writer):
        yield Fault.LOGICAL_TYPE, path
    elif isinstance(reader, dict):
        yield from _read_definition(rn, wn, reader, writer, path)


def _read_by_branch(rn: _Named, wn: _Named, reader: list[Any], writer: Any, path: str) -> Iterator[Broken]:
    """One branch must read it; of the reasons, those of a branch whose type fits say most."""
    same: list[Broken] = [(Fault.BRANCH, path)]
    for branch in reader:
        broken = list(_read(rn, wn, branch, writer, path))
        if not broken:
            return
        if (Fault.TYPE, path) not in broken:
            same = broken
    yield from same


def _read_definition(rn: _Named, wn: _Named, reader: JsonSchema, writer: JsonSchema, path: str) -> Iterator[Broken]:
    for inner in ("items", "values"):
        if inner in reader:
            yield from _read(rn, wn, reader[inner], writer[inner], path + "[]")
    if "name" not in reader:
        return
    full = f"{writer.get('namespace', '')}.{writer['name']}".removeprefix(".")
    if reader["name"] != writer["name"] and not {full, writer["name"]} & set(reader.get("aliases", [])):
        yield Fault.NAME, path
    if reader.get("size") != writer.get("size"):
        yield Fault.SIZE, path
    if not set(writer.get("symbols", [])) <= set(reader.get("symbols", [])) and not reader.get("default"):
        yield Fault.SYMBOL, path
    fields = {f["name"]: f for f in writer.get("fields", [])}
    for field in reader.get("fields", []):
        where = f"{path}.{field['name']}".removeprefix(".")
        written = next((fields[n] for n in [field["name"], *field.get("aliases", [])] if n in fields), None)
        if written is not None:
            yield from _read(rn, wn, field["type"], written["type"], where)
        elif "default" not in field:
            yield Fault.NO_DEFAULT, where


def _lost(on: _Named, nn: _Named, old: Any, new: Any, path: str) -> Iterator[Broken]:
    """What resolution lets pass and yet loses something: symbols removed, fields renamed without an alias."""
    old, new = on.follow(old), nn.follow(new)
    if isinstance(old, list) and isinstance(new, list):
        for left in old:
            for right in new:
                if _kind(on.follow(left)) == _kind(nn.follow(right)):
                    yield from _lost(on, nn, left, right, path)
        return
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return
    if set(old.get("symbols", [])) - set(new.get("symbols", [])):
        yield Fault.SYMBOL_REMOVED, path
    if "items" in old and "items" in new:
        yield from _lost(on, nn, old["items"], new["items"], path + "[]")
    before = {f["name"]: f for f in old.get("fields", [])}
    after = {f["name"]: f for f in new.get("fields", [])}
    known = {a for f in after.values() for a in f.get("aliases", [])}
    removed = [f for n, f in before.items() if n not in after and n not in known]
    for name, field in after.items():
        where = f"{path}.{name}".removeprefix(".")
        if name in before:
            yield from _lost(on, nn, before[name]["type"], field["type"], where)
        elif any(_shape(f["type"]) == _shape(field["type"]) for f in removed):
            yield Fault.RENAMED, where


def _shape(node: Any) -> str:
    return json.dumps(node, sort_keys=True) if not isinstance(node, dict) or "name" not in node else str(node["name"])
