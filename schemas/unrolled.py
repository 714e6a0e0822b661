"""A schema's nodes written out as two Python functions, one that reads and one that writes, without a call for each value.

The text of the functions is made of the nodes alone, never of data: names of fields and symbols go in as constants. They take and
refuse what the nodes take and refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from schemas.nodes import (
    Array,
    Boolean,
    Bytes,
    Choice,
    Node,
    NotPlainError,
    Null,
    Number,
    Optional,
    Record,
    Text,
    put_long,
)

NUMBERS = 1 << 15
"""Long numbers whose bytes are remembered: days, instants, lengths come again and again."""


class Functions(NamedTuple):
    """What a plan of the interpreter does."""

    read: Callable[[bytes, int], tuple[Any, int]]
    write: Callable[[Any], bytes]


def functions(node: Node) -> Functions:
    """The functions of a schema's node."""
    reading = _Text("def read(data, at):", "size = len(data)", "try:")
    reading.read(node, "v", 2)
    reading.add(
        1, "except (IndexError, KeyError, UnicodeDecodeError):", "    raise NotPlainError from None", "return v, at"
    )
    writing = _Text("def write(v):", "out = bytearray()", "put = out.append", "try:")
    writing.write(node, "v", 2)
    writing.add(1, "except (KeyError, UnicodeEncodeError):", "    raise NotPlainError from None", "return bytes(out)")
    return Functions(reading.made("read"), writing.made("write"))


@lru_cache(NUMBERS)
def _long(number: int) -> bytes:
    """The bytes of a number."""
    out = bytearray()
    put_long(out, number)
    return bytes(out)


class _Text:
    """The text of a function, line by line; values that it names."""

    def __init__(self, head: str, *lines: str) -> None:
        self._lines = [head]
        self.add(1, *lines)
        self._names: dict[str, Any] = {"NotPlainError": NotPlainError, "long": _long}

    def add(self, depth: int, *lines: str) -> None:
        """Append lines at a depth."""
        self._lines += ["    " * depth + line for line in lines]

    def made(self, name: str) -> Any:
        """The function."""
        exec("\n".join(self._lines), self._names)  # noqa: S102 - the text is of this module and of schemas that ship with it
        return self._names[name]

    def _constant(self, value: Any) -> str:
        name = f"c{len(self._names)}"
        self._names[name] = value
        return name

    def _variable(self) -> str:
        """A name that no other value has."""
        return self._constant(None).replace("c", "v")

    # -- reading: each leaves the next value in `v` and moves `at`
    def read(self, node: Node, v: str, depth: int) -> None:
        """Lines that read a value of a node into the variable `v`."""
        if isinstance(node, Record):
            self._read_record(node, v, depth)
        elif isinstance(node, Null):
            self.add(depth, f"{v} = None")
        else:
            self.add(depth, "n = data[at]", "at += 1")
            self._read_begun(node, v, depth)

    def _read_record(self, node: Record, v: str, depth: int) -> None:
        names = []
        for _, item, _ in node.fields:
            names.append(self._variable())
            self.read(item, names[-1], depth)
        fields = ", ".join(f"{field!r}: {name}" for (field, _, _), name in zip(node.fields, names, strict=True))
        self.add(depth, f"{v} = {{{fields}}}")

    def _read_begun(self, node: Node, v: str, depth: int) -> None:
        """Lines for a value that begins with a number, whose first byte is read into `n`."""
        if isinstance(node, Boolean):
            self.add(depth, "if n > 1:", "    raise NotPlainError", f"{v} = n == 1")
            return
        if isinstance(node, Optional):
            self.add(depth, "if n == 0:", f"    {v} = None", "elif n == 2:")
            self.read(node.item, v, depth + 1)
            self.add(depth, "else:", "    raise NotPlainError")
            return
        self._more(depth)
        if isinstance(node, Number):
            self.add(depth, f"{v} = (n >> 1) ^ -(n & 1)")
        elif isinstance(node, Choice):
            symbols = self._constant({place << 1: symbol for place, symbol in enumerate(node.symbols)})
            self.add(depth, f"{v} = {symbols}[n]")
        elif isinstance(node, Bytes | Text):
            decode = ".decode()" if isinstance(node, Text) else ""
            self.add(depth, "end = at + (n >> 1)", "if n & 1 or end > size:", "    raise NotPlainError")
            self.add(depth, f"{v} = data[at:end]{decode}", "at = end")
        elif isinstance(node, Array):
            self._read_array(node, v, depth)
        else:
            raise NotPlainError

    def _read_array(self, node: Array, v: str, depth: int) -> None:
        item = self._variable()
        self.add(depth, f"{v} = []", "while n:", "    if n & 1 or n >> 1 > size:", "        raise NotPlainError")
        self.add(depth + 1, "for _ in range(n >> 1):")
        self.read(node.item, item, depth + 2)
        self.add(depth + 2, f"{v}.append({item})")
        self.add(depth + 1, "n = data[at]", "at += 1")
        self._more(depth + 1)

    def _more(self, depth: int) -> None:
        """Lines for the further bytes of a number whose first is read into `n`."""
        self.add(
            depth, "if n > 127:", "    more = data[at]", "    at += 1", "    n += (more << 7) - 128", "    shift = 14"
        )
        self.add(
            depth + 1,
            "while more > 127:",
            "    if shift > 56:",
            "        raise NotPlainError",
            "    more = data[at]",
            "    at += 1",
        )
        self.add(depth + 2, "n += (more - 1) << shift", "shift += 7")

    # -- writing: each appends the value of `v`
    def write(self, node: Node, v: str, depth: int) -> None:
        """Lines that append the value in `v`, which has to be one of a node."""
        if isinstance(node, Record):
            self._write_record(node, v, depth)
        elif isinstance(node, Optional):
            self.add(depth, f"if {v} is None:", "    put(0)", "else:", "    put(2)")
            self.write(node.item, v, depth + 1)
        elif isinstance(node, Null):
            self.add(depth, f"if {v} is not None:", "    raise NotPlainError")
        else:
            self._write_typed(node, v, depth)

    def _write_record(self, node: Record, v: str, depth: int) -> None:
        self._exactly("dict", v, depth, f'or "-type" in {v}')
        for name, item, _ in node.fields:
            field = self._variable()
            self.add(depth, f"{field} = {v}[{name!r}]")
            self.write(item, field, depth)

    def _write_typed(self, node: Node, v: str, depth: int) -> None:
        """Lines for a value of one Python type."""
        if isinstance(node, Boolean):
            self._exactly("bool", v, depth)
            self.add(depth, f"put(1 if {v} else 0)")
        elif isinstance(node, Number):
            self._exactly("int", v, depth, f"or not {node.least} <= {v} <= {node.most}")
            self._number(v, depth)
        elif isinstance(node, Bytes):
            self._exactly("bytes", v, depth)
            self.add(depth, f"n = len({v})")
            self._number("n", depth)
            self.add(depth, f"out += {v}")
        elif isinstance(node, Text):
            self._exactly("str", v, depth)
            self.add(depth, f"text = {v}.encode()", "n = len(text)")
            self._number("n", depth)
            self.add(depth, "out += text")
        elif isinstance(node, Choice):
            self._exactly("str", v, depth)
            symbols = self._constant({symbol: _long(place) for place, symbol in enumerate(node.symbols)})
            self.add(depth, f"out += {symbols}[{v}]")
        elif isinstance(node, Array):
            self._write_array(node, v, depth)
        else:
            raise NotPlainError

    def _write_array(self, node: Array, v: str, depth: int) -> None:
        item = self._variable()
        self._exactly("list", v, depth)
        self.add(depth, f"if {v}:", f"    n = len({v})")
        self._number("n", depth + 1)
        self.add(depth + 1, f"for {item} in {v}:")
        self.write(node.item, item, depth + 2)
        self.add(depth, "put(0)")

    def _exactly(self, type_: str, v: str, depth: int, more: str = "") -> None:
        self.add(depth, f"if type({v}) is not {type_} {more}".rstrip() + ":", "    raise NotPlainError")

    def _number(self, v: str, depth: int) -> None:
        self.add(depth, f"if 0 <= {v} < 64:", f"    put({v} << 1)", "else:", f"    out += long({v})")
