"""The specialised codec and fastavro say the same of everything: what is written, what is read, and what cannot be."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from fastavro import schemaless_reader, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import catalog, codec
from schemas.binary import NotPlainError, Plan
from schemas.catalog import Schema
from tests.support.avro_values import of

SCHEMAS = [*catalog.events(), *catalog.bus()]
TWINS = {s.fingerprint: (Plan(s.parsed, unroll=False), Plan(s.parsed, unroll=True)) for s in SCHEMAS}
"""The plan of each schema as nodes, and written out."""


def slow_write(schema: Schema, datum: Any) -> bytes:
    """Write by the codec of record."""
    buffer = BytesIO()
    schemaless_writer(buffer, schema.parsed, datum)
    return buffer.getvalue()


def slow_read(schema: Schema, value: bytes) -> tuple[Any, int]:
    """Read by the codec of record."""
    buffer = BytesIO(value)
    return schemaless_reader(buffer, schema.parsed, None), buffer.tell()


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: s.name)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_both_write_and_read_the_same(schema: Schema, data: st.DataObject) -> None:
    datum = data.draw(of(schema.parsed))
    value = slow_write(schema, datum)
    for plan in TWINS[schema.fingerprint]:
        assert plan.write(datum) == value
        assert plan.read(value, 0) == slow_read(schema, value) == (datum, len(value))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_of_damaged_bytes_a_plan_says_what_fastavro_says_or_nothing(data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from(SCHEMAS))
    value = bytearray(slow_write(schema, data.draw(of(schema.parsed))))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1)) : data.draw(st.integers(0, len(value)))] = data.draw(
            st.binary(max_size=3)
        )
        if not value:
            return
    found: list[Any] = []
    for plan in TWINS[schema.fingerprint]:
        with suppress(NotPlainError):
            found.append(plan.read(bytes(value), 0))
    if found:
        assert found == [slow_read(schema, bytes(value))] * 2


@pytest.mark.parametrize(
    "wrong", [{}, {"at": 1.5}, {"at": True}, {"at": 2**63}, {"at": None}, {"at": "1"}, None, [], {"at": -(2**63) - 1}]
)
def test_what_is_not_plain_is_left_to_fastavro(wrong: Any) -> None:
    (tick,) = (s for s in catalog.bus() if s.name == "tick")
    for plan in TWINS[tick.fingerprint]:
        with pytest.raises(NotPlainError):
            plan.write(wrong)


@pytest.mark.parametrize("number", [0, -1, 1, 63, 64, -64, -65, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63)])
def test_numbers_of_all_lengths(number: int) -> None:
    (tick,) = (s for s in catalog.bus() if s.name == "tick")
    for plan in TWINS[tick.fingerprint]:
        value = plan.write({"at": number})
        assert value == slow_write(tick, {"at": number})
        if abs(number) < 2**62:  # longer ones are left to fastavro
            assert plan.read(value, 0) == ({"at": number}, len(value))


def test_the_codec_leaves_to_fastavro_what_is_broken() -> None:
    value = codec.bus().encode("tick", {"at": 5})
    assert codec.bus().decode(value)[1] == {"at": 5}
    with pytest.raises(codec.DecodeError):
        codec.bus().decode(value + b"\0")
    with pytest.raises(codec.DecodeError):
        codec.bus().decode(value[:-1])
