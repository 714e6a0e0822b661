"""Avro's binary encoding specialised from a schema: the fast twin of fastavro, which it leaves behind even interpreted.

A `Plan` is made once from a schema. It takes what is plain: exact types, well-formed bytes. Whatever is not plain raises
`NotPlainError`, and whoever asked asks fastavro, the codec of record, which decides what is an error. As machine code it is a tree
of nodes; for the interpreter, to which every call is dear, two functions written from that tree. A test holds all three equal.
"""

from __future__ import annotations

from typing import Any

from schemas import unrolled
from schemas.nodes import Cursor, NotPlainError, root

__all__ = ["COMPILED", "NotPlainError", "Plan"]

COMPILED: bool = not __file__.endswith(".py")
"""Whether this module is machine code."""


class Plan:
    """Reads and writes the values of one schema."""

    def __init__(self, schema: Any, *, unroll: bool = not COMPILED) -> None:
        """`schema`: parsed by fastavro. Raises `NotPlainError` for a type that no plan takes."""
        self._root = root(schema)
        self._unrolled: unrolled.Functions | None = unrolled.functions(self._root) if unroll else None

    def read(self, value: bytes, start: int) -> tuple[Any, int]:
        """The datum that begins at `start`, and where it ends. Raises `NotPlainError`."""
        if self._unrolled is not None:
            return self._unrolled.read(value, start)
        cursor = Cursor(value, start)
        try:
            datum = self._root.read(cursor)
        except UnicodeDecodeError:
            raise NotPlainError from None
        return datum, cursor.at

    def write(self, datum: Any) -> bytes:
        """The bytes of a datum. Raises `NotPlainError`."""
        if self._unrolled is not None:
            return self._unrolled.write(datum)
        out = bytearray()
        try:
            self._root.write(datum, out)
        except UnicodeEncodeError:
            raise NotPlainError from None
        return bytes(out)
