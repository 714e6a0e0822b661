"""JSONata, held in one place: expressions compiled once, errors that say where and never what.

The library's own error texts may repeat values of a record, so of an expression that fails on one only their code and place leave this
module. Of one that cannot be compiled, which no record has met, the text itself does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jsonata import Jsonata
from jsonata.jexception import JException
from jsonata.utils import Utils

from connectors.kit import fastroad

Functions = Mapping[str, Callable[..., Any]]
"""Functions that expressions may call, `$name(…)`."""


class ExpressionError(ValueError):
    """An expression that cannot be read, or fails on a record. The text names JSONata's code, never a value."""

    def __init__(self, code: str, at: int, text: str = "") -> None:
        where = f" at character {at}" if at > 0 else ""
        meaning = text or _MEANING.get(code[:1], "the expression fails on this record")
        super().__init__(f"JSONata error {code}{where}: {meaning}")
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
            raise ExpressionError(str(error.error), int(error.location or 0), str(error)) from None
        self._compiled.validate_input = False  # it looks for functions in a record, which JSON has none of
        self._fast = fastroad.compiled(self._compiled.ast, functions)
        self._raised: Exception | None = None
        for name, function in functions.items():
            self._compiled.register_lambda(name, self._called(function))

    def __call__(self, record: Mapping[str, Any]) -> Any:
        """Its value for a record; None where it has none. Raises `ExpressionError`, and whatever the functions raise."""
        if self._fast is not None:
            try:
                return self._fast(record)
            except fastroad.NotFastError:
                pass
        return self.evaluate(record)

    def evaluate(self, record: Mapping[str, Any]) -> Any:
        """The same by the evaluator alone."""
        self._raised = None
        try:
            return self._compiled.evaluate(record)
        except JException as error:
            if self._raised is not None:  # the library puts an error of its own in its place, inside `and` and `or`
                raise self._raised from None
            raise ExpressionError(str(error.error), int(error.location or 0)) from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if error is self._raised:
                raise
            raise ExpressionError(type(error).__name__, 0) from None  # the library met what it did not expect

    def _called(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function as expressions call it: null is None, and what it raises is kept."""

        def called(*given: Any) -> Any:
            try:
                return function(*(None if one is Utils.NULL_VALUE else one for one in given))
            except Exception as error:
                self._raised = error
                raise

        return called
