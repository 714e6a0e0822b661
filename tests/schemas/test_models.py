"""The models and the Avro schemas say the same."""

from __future__ import annotations

import types
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from schemas import catalog, codec
from schemas.catalog import Schema
from schemas.models import MODELS, Event, from_datum
from schemas.models.base import Day, Flag, Instant, Model, Small, Text, Whole
from schemas.types import EventType

SCHEMAS = catalog.events()
PLAIN = {"string": Text, "int": Small, "long": Whole, "boolean": Flag}
LOGICAL = {"date": Day, "timestamp-millis": Instant}


def annotations(model: type[Model]) -> dict[str, Any]:
    return get_type_hints(model, include_extras=True)


def compare(node: Any, hint: Any, named: dict[str, Any], path: str) -> None:
    if isinstance(node, list):
        assert node[0] == "null" and len(node) == 2, path
        assert get_origin(hint) in (Union, types.UnionType), path
        inner, nothing = get_args(hint)
        assert nothing is type(None), path
        return compare(node[1], inner, named, path)
    if isinstance(node, str) and node in named:
        node = named[node]
    if isinstance(node, str):
        assert hint is PLAIN[node], path
        return None
    if "logicalType" in node:
        assert hint is LOGICAL[node["logicalType"]], path
        return None
    kind = node["type"]
    if kind == "array":
        assert get_origin(hint) is tuple and get_args(hint)[1] is Ellipsis, path
        return compare(node["items"], get_args(hint)[0], named, path + "[]")
    named[f"{node['namespace']}.{node['name']}" if "namespace" in node else node["name"]] = node
    if kind == "enum":
        assert issubclass(hint, StrEnum) and hint.__name__ == node["name"], path
        assert [s.value for s in hint] == node["symbols"], path
        assert same_words(hint.__doc__, node["doc"]), path
        return None
    assert kind == "record" and hint.__name__ == node["name"], path
    return compare_record(node, hint, named, path)


def same_words(left: str | None, right: str) -> bool:
    return bool(right) and (left or "").split() == right.split()


def compare_record(node: dict[str, Any], model: type[Model], named: dict[str, Any], path: str) -> None:
    tag = {"type"} if issubclass(model, Event) else set()
    hints = annotations(model)
    assert set(model.model_fields) - tag == {f["name"] for f in node["fields"]}, path
    assert same_words(model.__doc__, node["doc"]), path
    for field in node["fields"]:
        name, where = field["name"], f"{path}.{field['name']}"
        compare(field["type"], hints[name], named, where)
        assert same_words(model.model_fields[name].description, field["doc"]), where
        optional = isinstance(field["type"], list)
        assert ("default" in field) == optional and field.get("default") is None, where
        assert model.model_fields[name].is_required() != optional, where


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: s.name)
def test_a_model_equals_its_schema(schema: Schema) -> None:
    model = MODELS[schema.name]
    assert model.model_fields["type"].default == schema.name
    compare_record(schema.json, model, {}, schema.name)


def test_every_type_has_a_schema_a_model_and_a_rank() -> None:
    assert {s.name for s in SCHEMAS} == set(MODELS) == {t.value for t in EventType}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: s.name)
def test_a_datum_comes_back(schema: Schema) -> None:
    for fill in (False, True):
        datum = sample(schema.json, {}, fill=fill)
        value = codec.events().encode(schema.name, datum)
        read, decoded = codec.events().decode(value)
        assert read is schema and decoded == datum
        assert from_datum(schema.name, decoded).to_datum() == decoded


def sample(node: Any, named: dict[str, Any], *, fill: bool) -> Any:
    """A datum with all optional fields filled, or none."""
    if isinstance(node, list):
        return sample(node[1], named, fill=fill) if fill else None
    if isinstance(node, str) and node in named:
        node = named[node]
    if isinstance(node, str):
        return {"string": "é", "int": 7, "long": 2**40, "boolean": True}[node]
    kind = node["type"]
    if "logicalType" in node:
        return 20_000 if node["logicalType"] == "date" else 1_700_000_000_123
    if kind == "array":
        return [sample(node["items"], named, fill=fill)] * 2
    named[f"{node.get('namespace', '')}.{node['name']}"] = node
    if kind == "enum":
        return node["symbols"][-1]
    return {f["name"]: sample(f["type"], named, fill=fill) for f in node["fields"]}
