"""The types of an Avro schema as nodes, each of which reads and writes its values: what a `schemas.binary.Plan` is made of.

A node takes what is plain: exact types, well-formed bytes. Whatever is not plain raises `NotPlainError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

LEAST, MOST = -(2**63), 2**63 - 1
"""Bounds of a long."""

LEAST_INT, MOST_INT = -(2**31), 2**31 - 1
"""Bounds of an int."""


class NotPlainError(Exception):
    """The plan does not take this; fastavro may."""


class Cursor:
    """Bytes, and how far they are read."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def long(self) -> int:
        """The next number: seven bits a byte, least first, zigzag."""
        data = self.data
        at = self.at
        size = len(data)
        if at < size and data[at] < 0x80:  # most of them
            self.at = at + 1
            return (data[at] >> 1) ^ -(data[at] & 1)
        shift = 0
        number = 0
        while True:
            if at >= size or shift > 56:
                raise NotPlainError
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        self.at = at
        return (number >> 1) ^ -(number & 1)

    def take(self) -> bytes:
        """The next bytes, which follow on their number."""
        size = self.long()
        start = self.at
        end = start + size
        if size < 0 or end > len(self.data):
            raise NotPlainError
        self.at = end
        return self.data[start:end]


def put_long(out: bytearray, number: int) -> None:
    """Append a number as `Cursor.long` reads it."""
    if 0 <= number < 64:  # most of them
        out.append(number << 1)
        return
    if number < LEAST or number > MOST:
        raise NotPlainError
    rest = (number << 1) if number >= 0 else ((-number << 1) - 1)
    while rest > 0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)


class Node(ABC):
    """One type of a schema."""

    @abstractmethod
    def read(self, cursor: Cursor) -> Any:
        """The next value."""

    @abstractmethod
    def write(self, value: Any, out: bytearray) -> None:
        """Append a value."""


class Null(Node):
    """Nothing."""

    def read(self, cursor: Cursor) -> Any:
        """None."""
        return None

    def write(self, value: Any, out: bytearray) -> None:
        """Nothing to append."""
        if value is not None:
            raise NotPlainError


class Boolean(Node):
    """One byte."""

    def read(self, cursor: Cursor) -> Any:
        """True or False."""
        byte = cursor.long()
        if byte not in (0, -1):  # 0 and 1 as numbers of one byte
            raise NotPlainError
        return byte == -1

    def write(self, value: Any, out: bytearray) -> None:
        """Append one byte."""
        if type(value) is not bool:
            raise NotPlainError
        out.append(1 if value else 0)


class Number(Node):
    """An int or a long."""

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most

    def read(self, cursor: Cursor) -> Any:
        """The number."""
        return cursor.long()

    def write(self, value: Any, out: bytearray) -> None:
        """Append a number."""
        if type(value) is not int or value < self.least or value > self.most:
            raise NotPlainError
        put_long(out, value)


class Bytes(Node):
    """Bytes."""

    def read(self, cursor: Cursor) -> Any:
        """The bytes."""
        return cursor.take()

    def write(self, value: Any, out: bytearray) -> None:
        """Append their number, then the bytes."""
        if type(value) is not bytes:
            raise NotPlainError
        put_long(out, len(value))
        out += value


class Text(Node):
    """A string, in UTF-8."""

    def read(self, cursor: Cursor) -> Any:
        """The text."""
        return cursor.take().decode()

    def write(self, value: Any, out: bytearray) -> None:
        """Append the text."""
        if type(value) is not str:
            raise NotPlainError
        encoded = value.encode()
        put_long(out, len(encoded))
        out += encoded


class Choice(Node):
    """A symbol of an enum."""

    def __init__(self, symbols: list[str]) -> None:
        self.symbols = symbols
        self._places = {symbol: place for place, symbol in enumerate(symbols)}

    def read(self, cursor: Cursor) -> Any:
        """The symbol."""
        place = cursor.long()
        if place < 0 or place >= len(self.symbols):
            raise NotPlainError
        return self.symbols[place]

    def write(self, value: Any, out: bytearray) -> None:
        """Append its place."""
        if type(value) is not str:
            raise NotPlainError
        place = self._places.get(value)
        if place is None:
            raise NotPlainError
        put_long(out, place)


class Optional(Node):
    """Null or a value: a union of these two."""

    def __init__(self, item: Node) -> None:
        self.item = item

    def read(self, cursor: Cursor) -> Any:
        """None or the value."""
        branch = cursor.long()
        if branch == 0:
            return None
        if branch != 1:
            raise NotPlainError
        return self.item.read(cursor)

    def write(self, value: Any, out: bytearray) -> None:
        """Append which it is, then the value."""
        if value is None:
            out.append(0)
            return
        out.append(2)
        self.item.write(value, out)


class Array(Node):
    """A list, in one block."""

    def __init__(self, item: Node) -> None:
        self.item = item

    def read(self, cursor: Cursor) -> Any:
        """The list."""
        found: list[Any] = []
        item = self.item
        while True:
            count = cursor.long()
            if count == 0:
                return found
            if count < 0 or count > len(cursor.data):
                raise NotPlainError
            for _ in range(count):
                found.append(item.read(cursor))

    def write(self, value: Any, out: bytearray) -> None:
        """Append the list."""
        if type(value) is not list:
            raise NotPlainError
        item = self.item
        if value:
            put_long(out, len(value))
            for one in value:
                item.write(one, out)
        out.append(0)


class Record(Node):
    """Fields by name, in their order."""

    def __init__(self) -> None:
        self.fields: list[tuple[str, Node, bool]] = []
        """Name and type of each, and whether it may be null."""

    def read(self, cursor: Cursor) -> Any:
        """The fields as a dict."""
        found: dict[str, Any] = {}
        for name, node, _ in self.fields:
            found[name] = node.read(cursor)
        return found

    def write(self, value: Any, out: bytearray) -> None:
        """Append each field; a dict with all of them is plain."""
        if type(value) is not dict or "-type" in value:
            raise NotPlainError
        for name, node, optional in self.fields:
            if name not in value:
                raise NotPlainError
            item = value[name]
            if optional and item is None:  # most of them
                out.append(0)
            else:
                node.write(item, out)


_SIMPLE: dict[str, Callable[[], Node]] = {"null": Null, "boolean": Boolean, "bytes": Bytes, "string": Text}


def root(schema: Any) -> Node:
    """The node of a schema as fastavro parsed it. Raises `NotPlainError` for a type that no plan takes."""
    return _node(schema, {})


def _node(schema: Any, named: dict[str, Node]) -> Node:
    """The node of a schema; `named`: types met before, by full name."""
    if isinstance(schema, list):
        if len(schema) != 2 or schema[0] != "null":
            raise NotPlainError
        return Optional(_node(schema[1], named))
    if isinstance(schema, dict):
        return _complex(schema, named)
    known = named.get(schema)
    if known is not None:
        return known
    if schema == "int":
        return Number(LEAST_INT, MOST_INT)
    if schema == "long":
        return Number(LEAST, MOST)
    if schema not in _SIMPLE:
        raise NotPlainError
    return _SIMPLE[schema]()


def _complex(schema: dict[str, Any], named: dict[str, Node]) -> Node:
    kind = schema["type"]
    if kind == "record":
        record = Record()
        named[schema["name"]] = record
        for field in schema["fields"]:
            node = _node(field["type"], named)
            record.fields.append((field["name"], node, isinstance(node, Optional)))
        return record
    if kind == "enum":
        named[schema["name"]] = choice = Choice(list(schema["symbols"]))
        return choice
    if kind == "array":
        return Array(_node(schema["items"], named))
    return _node(kind, named)
