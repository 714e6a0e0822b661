"""The published vectors, recomputed by our code and by a second reading of the contract that shares none of it."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import avro.io
import avro.schema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import canonical, catalog, codec
from schemas.cloudevents import parse
from schemas.references import Keys, partition_of

VECTORS = json.loads((Path(catalog.__file__).parent / "vectors" / "canonical.json").read_text())
EVENTS = VECTORS["events"]
SILENT = ("recorded_at", "key_id", "signature")


def independent(message: dict[str, Any]) -> str:
    """Canonical text straight from the CloudEvents form, as a body without any schema would write it."""
    data = {k: v for k, v in message["data"].items() if k not in SILENT}
    content = {k: message[k] for k in ("id", "source", "subject")} | {
        "type": message["type"].removeprefix("fr.relais.")
    }
    if "time" in message:
        content["occurred_at"] = message["time"]
        data.setdefault("occurred_on", message["time"][:10])
    for name in ("occurred_on", "procedure", "from_body", "sequence", "previous", "visibility"):
        if name in data:
            content[name] = data.pop(name)
    content["references"] = sorted(data.pop("references", []))
    if data:
        content["data"] = shorten(data)
    return write(content)


def shorten(value: Any) -> Any:
    if isinstance(value, dict):
        return (
            {"commitment": value["commitment"]} if "commitment" in value else {k: shorten(v) for k, v in value.items()}
        )
    return [shorten(v) for v in value] if isinstance(value, list) else value


SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def write(value: Any) -> str:
    """RFC 8785, written out."""
    if isinstance(value, dict):
        return "{" + ",".join(write(k) + ":" + write(value[k]) for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(SHORT.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in value) + '"'
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def crc64(text: str) -> bytes:
    """CRC-64-AVRO, bit by bit."""
    crc = 0xC15D213AA4D7A795
    for byte in text.encode():
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xC15D213AA4D7A795 if crc & 1 else 0)
    return crc.to_bytes(8, "little")


def parsing_form(node: Any, space: str = "") -> str:
    """Parsing canonical form (Avro specification 1.11), written out."""
    if isinstance(node, str):
        return json.dumps(node if "." in node or node in avro.constants.PRIMITIVE_TYPES else f"{space}.{node}")
    if isinstance(node, list):
        return "[" + ",".join(parsing_form(n, space) for n in node) + "]"
    kind = node["type"]
    if kind == "array":
        return '{"type":"array","items":' + parsing_form(node["items"], space) + "}"
    if kind not in ("record", "enum"):
        return parsing_form(kind)
    space = node.get("namespace", space)
    start = f'{{"name":"{space}.{node["name"]}","type":"{kind}",'
    if kind == "enum":
        return start + '"symbols":' + json.dumps(node["symbols"], separators=(",", ":")) + "}"
    fields = (f'{{"name":"{f["name"]}","type":{parsing_form(f["type"], space)}}}' for f in node["fields"])
    return start + '"fields":[' + ",".join(fields) + "]}"


@pytest.mark.parametrize("vector", EVENTS, ids=lambda v: v["name"])
def test_our_code_computes_the_vector(vector: dict[str, Any]) -> None:
    event = parse(vector["event"])
    schema = codec.events().latest(event.type)
    value = codec.events().encode(event.type, event.to_datum())
    assert value.hex() == vector["single_object"]
    decoded_schema, datum = codec.events().decode(value)
    assert decoded_schema is schema
    assert canonical.canonical(schema, datum).decode() == vector["canonical"]
    assert canonical.digest(schema, datum).hex() == vector["sha256"]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.lists(st.text(max_size=8), max_size=4), st.integers(-(2**63), 2**63 - 1))
def test_any_text_is_written_as_json_has_it(text: str, references: list[str], number: int) -> None:
    """Escapes, control characters, characters beyond the first plane: the canonical text is that of the plain rule."""
    event = parse(next(v["event"] for v in EVENTS if v["event"]["type"] == "fr.relais.case.step-started"))
    schema, datum = codec.events().latest(event.type), event.to_datum()
    datum["header"] |= {"id": text, "references": references, "sequence": number}
    written = canonical.canonical(schema, datum).decode()
    told = json.loads(written)
    assert (told["id"], told["references"], told["sequence"]) == (text, sorted(set(references)), number)
    assert written == json.dumps(told, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


@pytest.mark.parametrize("vector", EVENTS, ids=lambda v: v["name"])
def test_a_second_reading_computes_the_vector(vector: dict[str, Any]) -> None:
    assert independent(vector["event"]) == vector["canonical"]
    assert hashlib.sha256(vector["canonical"].encode()).hexdigest() == vector["sha256"]


@pytest.mark.parametrize("vector", EVENTS, ids=lambda v: v["name"])
def test_another_avro_library_reads_the_bytes(vector: dict[str, Any]) -> None:
    value, message = bytes.fromhex(vector["single_object"]), vector["event"]
    name = message["type"].removeprefix("fr.relais.")
    (schema,) = (s for s in catalog.events() if s.name == name and s.version == 1)
    assert value[:10] == b"\xc3\x01" + crc64(parsing_form(schema.json))
    buffer = BytesIO(value[10:])
    datum = avro.io.DatumReader(avro.schema.parse(json.dumps(schema.json))).read(avro.io.BinaryDecoder(buffer))
    assert isinstance(datum, dict) and buffer.read() == b""
    flat = {k: v for k, v in {**datum.pop("header"), **datum}.items() if v is not None}
    expected = {"references": [], **message["data"], "attested_by": "gateway"}
    expected |= {k: message[k] for k in ("id", "source", "subject", "traceparent") if k in message}
    if "time" in message:
        expected |= {"occurred_at": message["time"], "occurred_on": message["time"][:10]}
    flat, expected = outer(flat), outer(expected)
    if "recorded_at" in expected:
        left, right = (datetime.fromisoformat(x.pop("recorded_at")) for x in (flat, expected))
        assert left == right
    assert flat == expected


def outer(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: outer(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [outer(v) for v in value]
    return value.isoformat() if isinstance(value, date) else value


def test_what_does_not_count_does_not_change_the_digest() -> None:
    digests = {v["name"]: v["sha256"] for v in EVENTS}
    values = {v["name"]: v["single_object"] for v in EVENTS}
    assert digests["full"] == digests["full-said-again"] and values["full"] != values["full-said-again"]
    assert len(set(digests.values())) == len(EVENTS) - 1


def test_reference_keys_and_partitions() -> None:
    given = VECTORS["references"]
    keys = Keys(given["secret"].encode())
    ranks = ["journey", "case", "handoff", "external", "body"]
    for vector in given["vectors"]:
        key = keys.of(vector["text"])
        hashed = hashlib.blake2b(vector["text"].encode(), digest_size=15, key=given["secret"].encode()).digest()
        assert key.hex() == vector["key"] == f"{ranks.index(vector['kind']):02x}" + hashed.hex()
        assert partition_of(key, given["partitions"]) == vector["partition"] == int(vector["key"][2:10], 16) % 24
