"""The catalog of what may be said: Avro schemas read from the package, resolved and numbered by fingerprint.

Schemas live as `<folder>/<name>.<version>.avsc`. Records of `shared/` may be named by any other file of the same folder tree and are
written out at their first use, so that the schema that others read stands alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import fastavro
from fastavro.schema import to_parsing_canonical_form

JsonSchema = dict[str, Any]

_EMPTY = 0xC15D213AA4D7A795


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        fp = byte
        for _ in range(8):
            fp = (fp >> 1) ^ (_EMPTY if fp & 1 else 0)
        table.append(fp)
    return tuple(table)


def crc64_avro(data: bytes) -> bytes:
    """CRC-64-AVRO of `data`, 8 bytes little-endian (Avro specification 1.11, "Schema fingerprints")."""
    fp, table = _EMPTY, _crc_table()
    for byte in data:
        fp = (fp >> 8) ^ table[(fp ^ byte) & 0xFF]
    return fp.to_bytes(8, "little")


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one record."""

    name: str
    """`family.event` for an event (`case.opened`), the file's name for a record of the bus (`put`)."""
    version: int
    json: JsonSchema
    """Resolved: stands alone."""
    parsed: Any
    """fastavro's form without logical types: dates are days, instants milliseconds."""
    fingerprint: bytes
    """CRC-64-AVRO of the parsing canonical form, 8 bytes little-endian."""


def _without_logical_types(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _without_logical_types(v) for k, v in node.items() if k != "logicalType"}
    if isinstance(node, list):
        return [_without_logical_types(v) for v in node]
    return node


def _full_name(node: JsonSchema, namespace: str) -> str:
    name: str = node["name"]
    return name if "." in name else f"{node.get('namespace', namespace)}.{name}"


def _resolve(node: Any, shared: dict[str, JsonSchema], seen: set[str], namespace: str = "") -> Any:
    """Write out each shared record at its first use."""
    if isinstance(node, str):
        if node in shared and node not in seen:
            return _resolve(shared[node], shared, seen, namespace)
        return node
    if isinstance(node, list):
        return [_resolve(n, shared, seen, namespace) for n in node]
    kind = node["type"]
    if kind in ("record", "enum"):
        seen.add(_full_name(node, namespace))
        namespace = _full_name(node, namespace).rpartition(".")[0]
    if kind == "record":
        fields = [{**f, "type": _resolve(f["type"], shared, seen, namespace)} for f in node["fields"]]
        return {**node, "fields": fields}
    if kind in ("array", "map"):
        key = "items" if kind == "array" else "values"
        return {**node, key: _resolve(node[key], shared, seen, namespace)}
    return node


def _files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}.")
        elif entry.name.endswith(".avsc"):
            yield prefix + entry.name.removesuffix(".avsc"), entry


def make(name: str, version: int, resolved: JsonSchema) -> Schema:
    """Number and parse a resolved schema."""
    canonical = to_parsing_canonical_form(fastavro.parse_schema(resolved))
    parsed = fastavro.parse_schema(_without_logical_types(resolved))
    return Schema(name, version, resolved, parsed, crc64_avro(canonical.encode()))


def read(folder: Traversable) -> list[Schema]:
    """All schemas below `folder`, shared records resolved, by name and version."""
    shared: dict[str, JsonSchema] = {}
    found: list[tuple[str, int, JsonSchema]] = []
    for path, file in _files(folder):
        name, _, version = path.rpartition(".")
        schema = json.loads(file.read_text(encoding="utf-8"))
        if name.startswith("shared."):
            shared[_full_name(schema, "")] = schema
        else:
            found.append((name, int(version), schema))
    return [make(n, v, _resolve(s, shared, set())) for n, v, s in sorted(found, key=lambda x: x[:2])]


@cache
def events() -> tuple[Schema, ...]:
    """Every released version of every event."""
    return tuple(read(resources.files("schemas") / "events"))


@cache
def bus() -> tuple[Schema, ...]:
    """Every version of every record that the bus itself writes: messages, state, outputs."""
    return tuple(read(resources.files("schemas") / "bus"))
