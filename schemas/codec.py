"""Bytes on the bus: Avro single-object encoding, and the Confluent framing where a registry is configured.

Single-object encoding (Avro specification 1.11) is `C3 01`, the CRC-64-AVRO fingerprint of the writer's schema, then the datum: it
needs no registry. The Confluent framing is `00`, a four-byte big-endian schema id, then the datum. Records are read by their
writer's schema; dates come out as days since 1970-01-01 and instants as milliseconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from io import BytesIO
from typing import Any, Protocol

from fastavro import schemaless_reader, schemaless_writer

from schemas import catalog
from schemas.binary import NotPlainError, Plan
from schemas.catalog import Schema

Datum = dict[str, Any]

MARKER = b"\xc3\x01"
_BODY = 10
_CONFLUENT_BODY = 5


class CodecFault(StrEnum):
    """Why bytes cannot be read."""

    EMPTY = "empty"
    UNKNOWN_FRAMING = "unknown-framing"
    UNKNOWN_SCHEMA = "unknown-schema"
    BROKEN_AVRO = "broken-avro"
    TRAILING_BYTES = "trailing-bytes"


class DecodeError(ValueError):
    """Bytes that cannot be read; `fault` says why. The message never repeats the bytes."""

    def __init__(self, fault: CodecFault, detail: str = "") -> None:
        super().__init__(f"{fault.value}: {detail}" if detail else fault.value)
        self.fault = fault


class Registry(Protocol):
    """Where Confluent schema ids are looked up."""

    def schema(self, schema_id: int) -> str | None:
        """The Avro schema (JSON) of an id, or None if it is not known (yet)."""
        ...


class Codec:
    """Reads and writes the records of one catalog."""

    def __init__(self, schemas: Iterable[Schema], registry: Registry | None = None) -> None:
        self._by_frame = {MARKER + s.fingerprint: s for s in schemas}
        self._latest: dict[str, Schema] = {}
        for schema in self._by_frame.values():
            known = self._latest.get(schema.name)
            if known is None or schema.version > known.version:
                self._latest[schema.name] = schema
        self._registry = registry
        self._by_id: dict[int, Schema] = {}

    def names(self) -> list[str]:
        """Names of the records, sorted."""
        return sorted(self._latest)

    def latest(self, name: str) -> Schema:
        """The newest version of a record; KeyError if there is none of that name."""
        return self._latest[name]

    def frame(self, value: bytes) -> Schema | None:
        """The schema by which a value of this catalog is framed, without reading it; None for any other value."""
        return self._by_frame.get(value[:_BODY])

    def decode(self, value: bytes) -> tuple[Schema, Datum]:
        """Read one value: the writer's schema and the datum. Raises `DecodeError`."""
        schema = self._by_frame.get(value[:_BODY])
        start = _BODY
        if schema is None:
            schema, start = self._foreign(value)
        try:
            datum, end = _plan(schema).read(value, start)
            if end == len(value):
                return schema, datum
        except NotPlainError:
            pass  # fastavro decides
        buffer = BytesIO(value)
        buffer.seek(start)
        try:
            datum = schemaless_reader(buffer, schema.parsed, None)
        except Exception as error:  # noqa: BLE001 - fastavro raises what its C code meets: EOFError, UnicodeDecodeError…
            raise DecodeError(CodecFault.BROKEN_AVRO, type(error).__name__) from None
        if buffer.tell() != len(value):
            raise DecodeError(CodecFault.TRAILING_BYTES)
        return schema, datum

    def encode(self, name: str, datum: Datum) -> bytes:
        """Write one value by the newest version of its schema."""
        schema = self._latest[name]
        return MARKER + schema.fingerprint + written(schema.parsed, datum, _plan(schema))

    def _foreign(self, value: bytes) -> tuple[Schema, int]:
        """The schema of a value that is not in our own single-object framing."""
        if not value:
            raise DecodeError(CodecFault.EMPTY)
        if value[:2] == MARKER:
            raise DecodeError(CodecFault.UNKNOWN_SCHEMA)
        if value[0] != 0 or len(value) < _CONFLUENT_BODY or self._registry is None:
            raise DecodeError(CodecFault.UNKNOWN_FRAMING)
        schema_id = int.from_bytes(value[1:_CONFLUENT_BODY], "big")
        known = self._by_id.get(schema_id)
        if known is None:
            text = self._registry.schema(schema_id)
            written = catalog.make("", 0, json.loads(text)) if text else None
            known = self._by_frame.get(MARKER + written.fingerprint) if written else None
            if known is None:
                raise DecodeError(CodecFault.UNKNOWN_SCHEMA, f"registry id {schema_id}")
            self._by_id[schema_id] = known
        return known, _CONFLUENT_BODY


_PLANS: dict[bytes, Plan] = {}
"""The plan of each schema, by fingerprint."""


def _plan(schema: Schema) -> Plan:
    plan = _PLANS.get(schema.fingerprint)
    if plan is None:
        plan = _PLANS[schema.fingerprint] = Plan(schema.parsed)
    return plan


def written(parsed: Any, datum: Any, plan: Plan) -> bytes:
    """The bytes of a datum without any frame, by the plan of its schema; what is not plain by fastavro."""
    try:
        return plan.write(datum)
    except NotPlainError:
        pass  # fastavro decides
    buffer = BytesIO()
    schemaless_writer(buffer, parsed, datum)
    return buffer.getvalue()


def reframed(schema: Schema, value: bytes) -> bytes:
    """A value that was read by `schema`, in single-object encoding whatever its framing was."""
    return value if value[:2] == MARKER else MARKER + schema.fingerprint + value[_CONFLUENT_BODY:]


@cache
def events() -> Codec:
    """The codec of events, without a registry."""
    return Codec(catalog.events())


@cache
def bus() -> Codec:
    """The codec of what the bus itself writes."""
    return Codec(catalog.bus())
