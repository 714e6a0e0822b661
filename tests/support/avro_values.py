"""Values of any schema, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

_SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**62), 2**62 - 1),
    "bytes": st.binary(max_size=40),
    "string": st.text(max_size=12),
}


def of(schema: Any, named: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Values that a schema, parsed by fastavro, has."""
    named = {} if named is None else named
    if isinstance(schema, list):
        return st.one_of([of(one, named) for one in schema])
    if isinstance(schema, str):
        return of(named[schema], named) if schema in named else _SIMPLE[schema]
    kind = schema["type"]
    if "name" in schema:
        named[schema["name"]] = schema
    if kind == "record":
        return st.fixed_dictionaries({field["name"]: of(field["type"], named) for field in schema["fields"]})
    if kind == "enum":
        return st.sampled_from(schema["symbols"])
    if kind == "array":
        return st.lists(of(schema["items"], named), max_size=3)
    return of(kind, named)
