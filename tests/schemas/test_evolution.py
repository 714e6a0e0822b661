"""How schemas may change: the rules one by one, and the avro package as a second opinion."""

from __future__ import annotations

import copy
import json
from typing import Any

import avro.compatibility
import avro.schema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import catalog, evolution
from schemas.catalog import make
from schemas.resolution import MENDS, Fault, between, reading

DATE = {"type": "int", "logicalType": "date"}
OLD: dict[str, Any] = {
    "type": "record",
    "name": "Thing",
    "namespace": "fr.relais.test",
    "doc": "A thing.",
    "fields": [
        {"name": "part", "doc": "A part.", "type": {"type": "record", "name": "Part", "doc": "Part.", "fields": [
            {"name": "size", "doc": "Size.", "type": ["null", "int"], "default": None},
        ]}},
        {"name": "kind", "doc": "Kind.", "type": {"type": "enum", "name": "Kind", "doc": "Kind.", "symbols": ["a", "b"]}},
        {"name": "on", "doc": "Date.", "type": ["null", DATE], "default": None},
        {"name": "at", "doc": "Instant.", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "parts", "doc": "Parts.", "type": {"type": "array", "items": "fr.relais.test.Part"}},
        {"name": "note", "doc": "Note.", "type": ["null", "string"], "default": None},
    ],
}  # fmt: skip


def changed(*path: Any, to: Any = None, drop: bool = False, add: Any = None) -> dict[str, Any]:
    new = copy.deepcopy(OLD)
    target: Any = new
    for step in path[:-1]:
        target = target[step]
    if add is not None:
        target[path[-1]].append(add)
    elif drop:
        del target[path[-1]]
    else:
        target[path[-1]] = to
    return new


def faults(new: dict[str, Any]) -> set[Fault]:
    return {f for f, _ in between(OLD, new)}


OPTIONAL = {"name": "more", "doc": "More.", "type": ["null", "boolean"], "default": None}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (OLD, set()),
        (changed("fields", add=OPTIONAL), set()),
        (changed("fields", 5, drop=True), set()),
        (changed("fields", add={"name": "more", "doc": "More.", "type": "string"}), {Fault.NO_DEFAULT}),
        (changed("fields", 4, drop=True), {Fault.NO_DEFAULT}),
        (changed("fields", 5, "name", to="remark"), {Fault.RENAMED}),
        (changed("fields", 5, to={**OLD["fields"][5], "name": "remark", "aliases": ["note"]}), set()),
        (changed("fields", 1, "type", "symbols", to=["a"]), {Fault.SYMBOL, Fault.SYMBOL_REMOVED}),
        (changed("fields", 1, "type", "symbols", to=["a", "b", "c"]), {Fault.SYMBOL}),
        (changed("fields", 2, "type", 1, to="int"), {Fault.LOGICAL_TYPE}),
        (changed("fields", 2, "type", 1, to={"type": "long", "logicalType": "timestamp-millis"}), {Fault.BRANCH, Fault.LOGICAL_TYPE}),
        (changed("fields", 3, "type", "logicalType", to="timestamp-micros"), {Fault.LOGICAL_TYPE}),
        (changed("fields", 3, "type", to="long"), {Fault.LOGICAL_TYPE}),
        (changed("fields", 0, "type", "fields", 0, "type", 1, to="long"), {Fault.BRANCH}),
        (changed("fields", 0, "type", "fields", 0, "type", to="int"), {Fault.TYPE}),
        (changed("name", to="Other"), {Fault.NAME}),
        (changed("fields", 4, "type", "items", to="string"), {Fault.TYPE}),
    ],
)  # fmt: skip
def test_what_may_change(new: dict[str, Any], expected: set[Fault]) -> None:
    assert faults(new) == expected
    assert all(MENDS[f] for f in expected)


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        (changed("doc", drop=True), Fault.NO_DOC),
        (changed("fields", 1, "type", "doc", drop=True), Fault.NO_DOC),
        (changed("fields", 0, "type", "fields", 0, "doc", to=""), Fault.NO_DOC),
        (changed("fields", 5, "default", drop=True), Fault.DEFAULT_NOT_NULL),
        (changed("fields", add={"name": "n", "doc": "N.", "type": "int", "default": 0}), Fault.DEFAULT_NOT_NULL),
    ],
)
def test_what_a_schema_must_have(schema: dict[str, Any], fault: Fault) -> None:
    assert {f for f, _ in evolution.standing(schema)} == {fault}
    assert list(evolution.standing(OLD)) == []


def test_released_versions_do_not_change() -> None:
    one, two = make("test.thing", 1, OLD), make("test.thing", 2, changed("fields", add=OPTIONAL))
    lock = evolution.lock_of([one, two])
    assert evolution.check([one, two], lock) == []
    other = make("test.thing", 1, changed("fields", 5, "doc", to="Another note."))
    assert [(f.fault, f.version) for f in evolution.check([other, two], lock)] == [(Fault.CHANGED, 1)]
    missing = evolution.check([two], lock)
    assert [(f.fault, f.version) for f in missing] == [(Fault.MISSING_VERSION, 1), (Fault.GONE, 1)]
    assert [f.fault for f in evolution.check([one, two], {})] == [Fault.NOT_LOCKED] * 2


def test_compatibility_is_transitive() -> None:
    """Version 3 gives a dropped name another type: it agrees with version 2, and not with version 1."""
    one = make("test.thing", 1, OLD)
    two = make("test.thing", 2, changed("fields", 5, drop=True))
    three = make("test.thing", 3, changed("fields", 5, "type", to=["null", "long"]))
    schemas = [one, two, three]
    found = evolution.check(schemas, evolution.lock_of(schemas))
    assert {(f.fault, f.version, f.against, f.path) for f in found} == {(Fault.BRANCH, 3, 1, "note")}


def test_the_released_events_stand() -> None:
    assert evolution.check(catalog.events(), evolution.locked()) == []
    assert len(catalog.events()) == 28


SCALARS = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "string", "bytes"])


@st.composite
def types(draw: st.DrawFn, depth: int = 2) -> Any:
    """A type, its named parts numbered so that no name is defined twice with two meanings."""
    kind = draw(st.sampled_from(["scalar", "scalar", "optional", "enum", "array", "record"] if depth else ["scalar"]))
    if kind == "scalar":
        return draw(SCALARS)
    if kind == "optional":
        return ["null", draw(SCALARS.filter(lambda s: s != "null"))]
    if kind == "array":
        return {"type": "array", "items": draw(types(depth - 1))}
    if kind == "enum":
        symbols = draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
        extra = {"default": symbols[0]} if draw(st.booleans()) else {}
        return {"type": "enum", "name": draw(st.sampled_from(["E", "F"])), "symbols": symbols, **extra}
    names = draw(st.lists(st.sampled_from(["p", "q", "r"]), unique=True, max_size=3))
    fields = [draw(fields_(name, depth - 1)) for name in names]
    return {"type": "record", "name": draw(st.sampled_from(["R", "S"])), "fields": fields}


@st.composite
def fields_(draw: st.DrawFn, name: str, depth: int) -> dict[str, Any]:
    kind = draw(types(depth))
    field = {"name": name, "type": kind}
    if isinstance(kind, list) and draw(st.booleans()):
        field["default"] = None
    if draw(st.integers(0, 4)) == 0:
        field["aliases"] = ["q" if name != "q" else "p"]
    return field


def renumber(node: Any, space: list[int]) -> Any:
    """Give each named type a namespace of its own: only the short name counts when schemas are compared."""
    if isinstance(node, list):
        return [renumber(n, space) for n in node]
    if isinstance(node, dict):
        out = {
            k: renumber(v, space) if k in ("items", "fields", "type") and not isinstance(v, str) else v
            for k, v in node.items()
        }
        if node.get("type") in ("record", "enum"):
            space[0] += 1
            out["namespace"] = f"n{space[0]}"
        return out
    return node


@settings(max_examples=400, deadline=None)
@given(left=types(), right=types())
def test_avro_agrees_where_it_has_an_opinion(left: Any, right: Any) -> None:
    def wrap(node: Any, space: int) -> Any:
        return renumber({"type": "record", "name": "Top", "fields": [{"name": "f", "type": node}]}, [space])

    reader, writer = wrap(left, 0), wrap(right, 100)
    checker = avro.compatibility.ReaderWriterCompatibilityChecker()
    verdict = checker.get_compatibility(avro.schema.parse(json.dumps(reader)), avro.schema.parse(json.dumps(writer)))
    compatible = verdict.compatibility is avro.compatibility.SchemaCompatibilityType.compatible
    assert (list(reading(reader, writer)) == []) == compatible


def test_avro_does_not_see_a_logical_type_and_we_do() -> None:
    new = changed("fields", 3, "type", "logicalType", to="timestamp-micros")
    checker = avro.compatibility.ReaderWriterCompatibilityChecker()
    verdict = checker.get_compatibility(avro.schema.parse(json.dumps(new)), avro.schema.parse(json.dumps(OLD)))
    assert verdict.compatibility is avro.compatibility.SchemaCompatibilityType.compatible
    assert [f for f, _ in reading(new, OLD)] == [Fault.LOGICAL_TYPE]
