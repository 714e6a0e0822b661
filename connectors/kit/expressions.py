"""JSONata, held in one place: expressions compiled once, errors that say where and never what.

The library's own error texts may repeat values of a record, so none of them leaves this module: only their code and place do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jsonata import Jsonata
from jsonata.jexception import JException

Functions = Mapping[str, Callable[..., Any]]
"""Functions that expressions may call, `$name(…)`."""


class ExpressionError(ValueError):
    """An expression that cannot be read, or fails on a record. The text names JSONata's code, never a value."""

    def __init__(self, code: str, at: int) -> None:
        where = f" at character {at}" if at > 0 else ""
        super().__init__(
            f"JSONata error {code}{where}: {_MEANING.get(code[:1], 'the expression fails on this record')}"
        )
        self.code = code
        self.at = at


_MEANING = {
    "S": "the expression cannot be read",
    "T": "a value is not of the type that this place needs",
    "D": "a value is outside of what this place takes",
}


class Expression:
    """One expression. Not to be used by two threads at once."""

    def __init__(self, text: str, functions: Functions) -> None:
        """Compile it. Raises `ExpressionError`."""
        self.text = text
        try:
            self._compiled = Jsonata(text)
        except JException as error:
            raise ExpressionError(str(error.error), int(error.location or 0)) from None
        for name, function in functions.items():
            self._compiled.register_lambda(name, function)

    def __call__(self, record: Mapping[str, Any]) -> Any:
        """Its value for a record; None where it has none. Raises `ExpressionError`, and whatever the functions raise."""
        try:
            return self._compiled.evaluate(record)
        except JException as error:
            raise ExpressionError(str(error.error), int(error.location or 0)) from None
