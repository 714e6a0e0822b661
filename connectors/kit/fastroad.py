"""The short way for the expressions that most mappings are made of, as Python closures: a test proves it equal to the evaluator.

It takes fields, constants, `=`, `!=`, `&`, `and`, `or`, `? :` and the tools, over single values. Whatever else an expression or a record
holds (lists, objects, nulls where they matter, numbers to be written) is left to the evaluator, which is twenty times as slow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

Evaluate = Callable[[Mapping[str, Any]], Any]
_ODD = (
    "predicate",
    "stages",
    "group",
    "tuple",
    "focus",
    "index",
    "ancestor",
    "keep_array",
    "keep_singleton_array",
    "consarray",
)
"""Marks of a step that is more than a name."""


class NotFastError(Exception):
    """The evaluator has to do it."""


class _Null:
    """A null of the record: present, and nothing."""


NULL = _Null()


def compiled(ast: Any, functions: Mapping[str, Callable[..., Any]]) -> Evaluate | None:
    """What a parsed expression does, or None if the evaluator has to do it. May raise NotFastError on a record."""
    try:
        inner = _node(ast, functions)
    except NotFastError:
        return None
    if ast.type in ("binary", "function"):
        return inner  # never a null

    def evaluate(record: Mapping[str, Any]) -> Any:
        value = inner(record)
        return None if value is NULL else value

    return evaluate


def _node(node: Any, functions: Mapping[str, Callable[..., Any]]) -> Evaluate:
    match node.type:
        case "path":
            return _path(node)
        case "string" | "number" | "value" if isinstance(node.value, str | bool | int | float):
            constant = node.value
            return lambda _: constant
        case "binary" if node.value in _BINARY:
            return _BINARY[node.value](_node(node.lhs, functions), _node(node.rhs, functions))
        case "condition":
            otherwise = _node(node._else, functions) if node._else is not None else lambda _: None
            return _condition(_node(node.condition, functions), _node(node.then, functions), otherwise)
        case "function" if node.procedure.type == "variable" and node.procedure.value in functions:
            return _call(functions[node.procedure.value], node.arguments, functions)
    raise NotFastError


def _path(node: Any) -> Evaluate:
    if _odd(node) or any(step.type != "name" or _odd(step) for step in node.steps):
        raise NotFastError
    first, *rest = [str(step.value) for step in node.steps]

    def field(record: Mapping[str, Any]) -> Any:
        value = record.get(first, _path)
        for name in rest:
            if value is _path:
                return None
            if type(value) is not dict:
                raise NotFastError
            value = value.get(name, _path)
        if value is None:
            return NULL
        if value is _path:
            return None
        if isinstance(value, list | dict | tuple):
            raise NotFastError
        return value

    return field


def _odd(node: Any) -> bool:
    return any(getattr(node, mark, None) not in (None, False, []) for mark in _ODD)


def _equal(left: Evaluate, right: Evaluate) -> Evaluate:
    def equal(record: Mapping[str, Any]) -> bool:
        one, other = left(record), right(record)
        if one is None or other is None:
            return False
        if type(one) is not str or type(other) is not str:
            raise NotFastError
        return one == other

    return equal


def _unequal(left: Evaluate, right: Evaluate) -> Evaluate:
    def unequal(record: Mapping[str, Any]) -> bool:
        one, other = left(record), right(record)
        if one is None or other is None:
            return False
        if type(one) is not str or type(other) is not str:
            raise NotFastError
        return one != other

    return unequal


def _concat(left: Evaluate, right: Evaluate) -> Evaluate:
    def concat(record: Mapping[str, Any]) -> str:
        one, other = left(record), right(record)
        if not (one is None or type(one) is str) or not (other is None or type(other) is str):
            raise NotFastError
        return (one or "") + (other or "")

    return concat


def _and(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda record: _true(left(record)) and _true(right(record))


def _or(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda record: _true(left(record)) or _true(right(record))


def _condition(condition: Evaluate, then: Evaluate, otherwise: Evaluate) -> Evaluate:
    return lambda record: then(record) if _true(condition(record)) else otherwise(record)


def _call(function: Callable[..., Any], arguments: list[Any], functions: Mapping[str, Callable[..., Any]]) -> Evaluate:
    given = [_node(argument, functions) for argument in arguments]
    if given and all(
        argument.type == "string" for argument in arguments[:-1]
    ):  # `$label('table', field)`, `$date(field)`
        bound, last = partial(function, *(argument.value for argument in arguments[:-1])), given[-1]
        return lambda record: bound(None if (value := last(record)) is NULL else value)

    def call(record: Mapping[str, Any]) -> Any:
        return function(*[None if (value := one(record)) is NULL else value for one in given])

    return call


def _true(value: Any) -> bool:
    return value is not NULL and bool(value)


_BINARY: dict[str, Callable[[Evaluate, Evaluate], Evaluate]] = {
    "=": _equal, "!=": _unequal, "&": _concat, "and": _and, "or": _or,
}  # fmt: skip
