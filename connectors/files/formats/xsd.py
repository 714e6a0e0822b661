"""XML against its schema (XSD): lxml without entities, network or huge trees.

A file of ordinary size is checked as a tree, which tells the line of a fault; a larger one as a stream, which libxml2 checks without lines.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from lxml import etree

from connectors.files.formats.row import UnreadableError
from connectors.kit.contract import ConfigError

_TREE_BYTES = 32 * 1024 * 1024
_TYPE = "remove the document type and its entities"


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)


def load(path: Path) -> etree.XMLSchema:
    """The schema of a file; what it includes has to lie beside it. Raises `ConfigError`."""
    try:
        return etree.XMLSchema(etree.parse(path, _parser()))
    except OSError:
        raise ConfigError(f"{path} cannot be read: correct the path, or the rights", "xsd") from None
    except (etree.XMLSyntaxError, etree.XMLSchemaParseError) as error:
        line = error.error_log.last_error.line if error.error_log.last_error else 0
        raise ConfigError(f"{path}, line {line}, is no XML schema", "xsd") from None


def check(stream: BinaryIO, schema: etree.XMLSchema) -> None:
    """Raise `UnreadableError` at the first fault; the text names no content."""
    head = stream.read(_TREE_BYTES + 1)
    try:
        if len(head) > _TREE_BYTES:
            _check_stream(_Joined(head, stream), schema)
        else:
            tree = etree.parse(io.BytesIO(head), _parser())
            if tree.docinfo.doctype:
                raise UnreadableError(_TYPE)
            schema.assertValid(tree)
    except (etree.XMLSyntaxError, etree.DocumentInvalid) as error:
        first = error.error_log[0] if len(error.error_log) else None
        kind = first.type_name.removeprefix("SCHEMAV_").replace("_", " ").lower() if first else "not XML"
        raise UnreadableError(
            f"it does not satisfy its schema ({kind}): have the file mended", first.line if first else None
        ) from None


class _Joined:
    """What was read already, then the rest."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        """Some of it."""
        return self._head.read(size) or self._rest.read(size)


def _check_stream(stream: _Joined, schema: etree.XMLSchema) -> None:
    events = etree.iterparse(
        stream, events=("start", "end"), schema=schema, resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False
    )  # fmt: skip
    first = True
    for event, element in events:
        if first and element.getroottree().docinfo.doctype:
            raise UnreadableError(_TYPE)
        first = False
        if event == "end":
            element.clear()
            above = element.getparent()
            while above is not None and element.getprevious() is not None:
                del above[0]
