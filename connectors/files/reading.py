"""From the bytes of one file to records of the kit. Synchronous: the source runs it beside the event loop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from connectors.files.config import FilesConfig
from connectors.files.formats import objects, table, tree
from connectors.files.formats.row import Row
from connectors.files.formats.unpack import Bounds, members
from connectors.kit.contract import ConfigError, Record, Refused

if TYPE_CHECKING:
    from lxml import etree


def schema_of(config: FilesConfig) -> etree.XMLSchema | None:
    """The schema that a configuration names. Raises `ConfigError`."""
    if not isinstance(config.format, tree.XmlFormat) or config.format.xsd is None:
        return None
    try:
        from connectors.files.formats import xsd  # noqa: PLC0415 - a library that only those with a schema need
    except ImportError:
        raise ConfigError("a schema needs one more library: pip install 'relais[files]'", "format.xsd") from None
    return xsd.load(config.format.xsd)


def records(
    file: BinaryIO, name: str, size: int, config: FilesConfig, schema: etree.XMLSchema | None = None
) -> Iterator[Record | Refused]:
    """The records of a file of so many bytes, in its order. Raises `UnreadableError` where it cannot be read further."""
    if schema is not None:
        from connectors.files.formats import xsd  # noqa: PLC0415

        for _, stream in members(file, name, Bounds(config.max_bytes, config.max_ratio, size)):
            xsd.check(stream, schema)
        file.seek(0)
    for place, stream in members(file, name, Bounds(config.max_bytes, config.max_ratio, size)):
        for row in _rows(stream, config):
            yield _record(row, place, config)


def _rows(stream: BinaryIO, config: FilesConfig) -> Iterator[Row]:
    limit = config.max_record_bytes
    match config.format:
        case table.CsvFormat():
            return table.read(stream, config.format, limit)
        case objects.JsonLinesFormat():
            return objects.read_lines(stream, limit)
        case objects.JsonFormat():
            return objects.read_whole(stream, limit)
        case tree.XmlFormat():
            return tree.read(stream, config.format, limit)


def _record(row: Row, name: str, config: FilesConfig) -> Record | Refused:
    place = f"{name}, line {row.line}"
    if row.content is None:
        return Refused(row.raw, row.mend, place)
    parts = [_at(row.content, path) for path in config.key]
    if not all(parts):
        missing = ", ".join(path for path, part in zip(config.key, parts, strict=True) if not part)
        return Refused(row.raw, f"it has no {missing}, which is its key: check key, or the file", place)
    key = parts[0] if len(parts) == 1 else json.dumps(parts, ensure_ascii=False)
    version = _at(row.content, config.version) if config.version else ""
    if config.version and not version:
        return Refused(row.raw, f"it has no {config.version}, which is its version: check version, or the file", place)
    return Record(key, row.content, row.raw, version or None, place)


def _at(content: Mapping[str, Any], path: str) -> str:
    """The text at a path: a name as it is, else names with dots between; empty if there is none."""
    found: Any = content.get(path)
    if found is None and "." in path:
        found = content
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, (str, int, float)):
        return ""
    return str(found).strip()
