"""A mapping made ready: records in, what they state out."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.kit import mapping
from connectors.kit.contract import Json, Rejected
from connectors.kit.expressions import Expression, ExpressionError
from connectors.kit.mapping import Statement
from connectors.kit.modules import module_of
from connectors.kit.tools import Tools, UnknownLabelError
from schemas.yamltext import Document, InvalidFilesError, Problem

Said = dict[str, Json]
"""What a record states: `type`, and fields of the header and of the event in one flat object."""


_DATES = {"occurred_on", "occurred_at"}


class MappingFailedError(Exception):
    """The mapping fails on a record: it has to be mended. The text says where, and repeats nothing of the record."""


class NothingError(MappingFailedError):
    """An expression that must give a value gives none for this record: a field is named wrongly, or the record lacks it."""


class Mapper:
    """Turns records into what they state. Synchronous; one thread at a time."""

    def __init__(self, path: Path, body: str, system: str, zone: ZoneInfo) -> None:
        """Read and compile a mapping file. Raises `InvalidFilesError` with all that is wrong, by line."""
        self.path = path
        self.mapping, document = mapping.load(path)
        self.tools = Tools(body, system, zone, self.mapping.labels)
        self._problems: list[Problem] = []
        self._document = document
        self._case = self._compile(self.mapping.case, "case")
        self._statements = [self._statement(s, i) for i, s in enumerate(self.mapping.events)]
        self._function = self._python(self.mapping.python) if self.mapping.python else None
        if self._problems:
            raise InvalidFilesError(self._problems)
        self.version = blake2b(_text_of(path, self.mapping.python), digest_size=4).hexdigest()
        """Changes whenever the mapping does, its labels included."""

    def case_of(self, record: Mapping[str, Json]) -> str | None:
        """Number of the case of a record, if it can be told before its labels are known."""
        try:
            found = self._case(record) if self._case else None
        except Exception:  # noqa: BLE001 - whatever it is, `said` meets it again and tells it
            return None
        return None if found in (None, "") else str(found)

    def said(self, record: Mapping[str, Json]) -> Sequence[Said]:
        """What a record states.

        Raises:
            UnknownLabelError: the record waits until somebody has mapped a label.
            Rejected: the record can never be taken.
            MappingFailedError: the mapping has to be mended.
        """
        try:
            case = self._case(record) if self._case else None
        except Exception as error:  # noqa: BLE001 - JSONata meets whatever a record holds
            raise self._told("case", error) from None
        if self._function is not None:
            found = self._from_python(record)
        else:
            found = [said for s in self._statements if (said := s(record)) is not None]
        if case not in (None, ""):
            for said in found:
                said.setdefault("subject", self.tools.case(case))
        elif self._case is not None and not all("subject" in said for said in found):
            raise self._nothing("case", self.mapping.case)
        return found

    def _from_python(self, record: Mapping[str, Json]) -> list[Said]:
        assert self._function is not None
        try:
            return [dict(said) for said in self._function(record, self.tools)]
        except (UnknownLabelError, Rejected):
            raise
        except Exception as error:  # noqa: BLE001 - a function of somebody else may raise anything
            raise MappingFailedError(
                f"{self.mapping.python} fails with {type(error).__name__}{_where(error)}"
            ) from None

    def _statement(self, statement: Statement, index: int) -> Callable[[Mapping[str, Json]], Said | None]:
        at = f"events.{index}"
        when = self._compile(statement.when, f"{at}.when")
        named = {"occurred_on": (statement.on, f"{at}.on"), "occurred_at": (statement.at, f"{at}.at")}
        named |= {name: (text, f"{at}.from.{name}") for name, text in statement.expressions.items()}
        compiled = [
            (name, expression, where)
            for name, (text, where) in named.items()
            if (expression := self._compile(text, where)) is not None
        ]
        constants = {"type": statement.states, **{k: v for k, v in statement.constants.items() if v is not None}}

        def said(record: Mapping[str, Json]) -> Said | None:
            where = f"{at}.when"
            try:
                if when is not None and not when(record):
                    return None
                found = dict(constants)
                for name, expression, where in compiled:  # noqa: B007 - where it fails
                    value = expression(record)
                    if value is not None:
                        found[name] = value
            except Exception as error:  # noqa: BLE001 - JSONata meets whatever a record holds
                raise self._told(where, error) from None
            if not found.keys() & _DATES:
                raise self._nothing(f"{at}.on" if statement.on else f"{at}.at", statement.on or statement.at)
            return found

        return said

    def _nothing(self, where: str, expression: str | None) -> NothingError:
        line = self._document.line(_path(where))
        return NothingError(f"{self._document.file}:{line}: {where}: {expression} gives nothing for this record")

    def _told(self, where: str, error: Exception) -> Exception:
        """What an expression raised, with its place in the mapping."""
        match error:
            case UnknownLabelError():
                return error
            case Rejected():
                return Rejected(f"{where}: {error.mend}")
            case ExpressionError():
                what = str(error)
            case _:
                what = f"fails with {type(error).__name__}"
        return MappingFailedError(f"{self._document.file}:{self._document.line(_path(where))}: {where}: {what}")

    def _compile(self, text: str | None, where: str) -> Expression | None:
        if text is None:
            return None
        try:
            return Expression(text, self.tools.functions())
        except ExpressionError as error:
            self._problems.append(Problem(self._document.file, self._document.line(_path(where)), where, str(error)))
            return None

    def _python(self, named: str) -> Callable[[Mapping[str, Json], Tools], Iterable[Said]] | None:
        file, _, name = named.rpartition(":")
        try:
            beside = file.endswith(".py")
            module = module_of(self.path.parent / file) if beside else importlib.import_module(file)
            function: Callable[..., Any] = getattr(module, name)
        except Exception as error:  # noqa: BLE001 - a module of somebody else may raise anything
            mend = (
                f"cannot be loaded ({type(error).__name__}: {error}): name file.py:function or package.module:function"
            )
            self._problems.append(Problem(self._document.file, self._document.line(("python",)), "python", mend))
            return None
        return function


def _path(where: str) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdigit() else part for part in where.split("."))


def _where(error: BaseException) -> str:
    """Line of somebody's module in which it failed."""
    trace, last = error.__traceback__, None
    while trace is not None:
        last, trace = trace, trace.tb_next
    return f" at {Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else ""


def _text_of(path: Path, python: str | None) -> bytes:
    text = path.read_bytes()
    file = (python or "").rpartition(":")[0]
    beside = path.parent / file
    parts = [beside] if file.endswith(".py") else []
    return text + b"".join(p.read_bytes() for p in (*parts, mapping.labels_file(path)) if p.exists())


__all__ = ["Document", "Mapper", "MappingFailedError", "Said"]
