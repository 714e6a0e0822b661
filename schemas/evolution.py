"""How schemas may change: never once released, and a new version only if every version reads every other
(FULL_TRANSITIVE).

Beside that, every optional field has the default null and everything has a doc. The lock file holds the SHA-256 of each
released version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from itertools import combinations, groupby
from typing import Any

from schemas.catalog import Schema
from schemas.resolution import MENDS, Broken, Fault, between

LOCK = "lock.json"
"""Name of the lock file beside this module."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason against the schemas as they are."""

    fault: Fault
    schema: str
    """Name of the schema."""
    version: int
    """The version to mend."""
    against: int | None = None
    """The version with which it does not agree."""
    path: str = ""
    """Where in the schema."""

    @property
    def mend(self) -> str:
        """How to mend it."""
        return MENDS[self.fault]


def fingerprint(schema: Schema) -> str:
    """SHA-256 of the resolved schema (members sorted, no white space), docs included, hexadecimal."""
    return sha256(
        json.dumps(schema.json, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()


Lock = dict[str, dict[str, str]]
"""Fingerprint of each released version, by name and version."""


def locked() -> Lock:
    """The released versions, as the package has them."""
    lock: Lock = json.loads((resources.files("schemas") / LOCK).read_text(encoding="utf-8"))
    return lock


def lock_of(schemas: Iterable[Schema]) -> Lock:
    """The lock of these schemas."""
    lock: Lock = {}
    for schema in schemas:
        lock.setdefault(schema.name, {})[str(schema.version)] = fingerprint(schema)
    return lock


def check(schemas: Iterable[Schema], lock: Lock) -> list[Finding]:
    """All reasons against the schemas: changed since released, not evolving as they may, not documented."""
    found: list[Finding] = []
    by_name = {n: list(g) for n, g in groupby(sorted(schemas, key=lambda s: (s.name, s.version)), lambda s: s.name)}
    for name, versions in by_name.items():
        have = {s.version: s for s in versions}
        found += [Finding(Fault.MISSING_VERSION, name, v) for v in range(1, max(have)) if v not in have]
        for schema in versions:
            was = lock.get(name, {}).get(str(schema.version))
            if was != fingerprint(schema):
                found.append(Finding(Fault.CHANGED if was else Fault.NOT_LOCKED, name, schema.version))
            found += [Finding(f, name, schema.version, None, p) for f, p in standing(schema.json)]
        for old, new in combinations(versions, 2):
            found += [
                Finding(f, name, new.version, old.version, p) for f, p in sorted(set(between(old.json, new.json)))
            ]
    for name, released in lock.items():
        gone = sorted(int(v) for v in released if int(v) not in {s.version for s in by_name.get(name, [])})
        found += [Finding(Fault.GONE, name, version) for version in gone]
    return found


def standing(node: Any, path: str = "") -> Iterator[Broken]:
    """What a schema lacks by itself."""
    if isinstance(node, list):
        for branch in node:
            yield from standing(branch, path)
    elif isinstance(node, dict):
        if node["type"] in ("record", "enum") and not node.get("doc"):
            yield Fault.NO_DOC, path
        for field in node.get("fields", []):
            where = f"{path}.{field['name']}".removeprefix(".")
            if not field.get("doc"):
                yield Fault.NO_DOC, where
            optional = isinstance(field["type"], list) and field["type"][0] == "null"
            if optional != ("default" in field) or field.get("default") is not None:
                yield Fault.DEFAULT_NOT_NULL, where
            yield from standing(field["type"], where)
        for inner in ("items", "values"):
            if inner in node:
                yield from standing(node[inner], path + "[]")
