"""The facts of a log, under its mapping.

Each desk is a body and (desk, trace) its case. The source of a fact is `<desk>/<system>`: a source has one body, and a body
speaks for itself only, so the log stands in for the system of each desk in turn. `sequence` is the rank of the row in its trace, after
the rows that did not happen were dropped: it orders all facts of a trace, since one log has stated them all. Several facts of one
row have ids that sort in the order in which they are meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from connectors.eventlog import tables, xes
from connectors.eventlog.log import LogError, Trace, is_xes
from connectors.eventlog.mapping import Mapping, Rule, Statement
from schemas import codec
from schemas.checks import problems
from schemas.models import ANY_EVENT, AnyEvent, Attestation

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_EPOCH = date(1970, 1, 1).toordinal()
_RECEIVED, _OPENED, _ACCEPTED, _STATED, _SENT = range(5)
_FAR = 10**6
T = TypeVar("T")


class Stated(NamedTuple):
    """A fact of the log."""

    event: AnyEvent
    on: int
    """Its legal date, days since 1970-01-01."""


def traces(path: Path, mapping: Mapping) -> Iterator[Trace]:
    """The traces of a log, XES or CSV. Raises `LogError`."""
    if not is_xes(path):
        return tables.read(
            path, number=mapping.columns.trace, delimiter=mapping.table.delimiter, encoding=mapping.table.encoding
        )
    found = xes.read(path)
    return (t._replace(number=t.attributes.get(mapping.columns.trace, "")) for t in found)


def iter_facts(path: Path, mapping: Mapping) -> Iterator[Stated]:
    """The facts of a log in the order of the file. Raises `LogError`."""
    seen: set[str] = set()
    for index, trace in enumerate(traces(path, mapping), 1):
        if not trace.number:
            raise LogError(0, f"trace {index} has no number: name its attribute under columns.trace")
        if trace.number in seen:
            raise LogError(
                0, f"trace {index} bears the number of an earlier one: name the attribute that tells them apart"
            )
        seen.add(trace.number)
        yield from _Facts(trace, index, mapping).all()


def arrange(facts: Iterable[T], *, shuffle: int | None = None, double: bool = False) -> list[T]:
    """The facts in another order: every one twice, and shuffled by a seed. What comes of them is the same."""
    arranged = [fact for fact in facts for _ in range(2 if double else 1)]
    if shuffle is not None:
        Random(shuffle).shuffle(arranged)  # noqa: S311 - an order to test with, no secret
    return arranged


class _Row(NamedTuple):
    rank: int
    on: int
    at: str | None
    body: str
    cells: dict[str, str]


class _Facts:
    """The facts of one trace."""

    def __init__(self, trace: Trace, index: int, mapping: Mapping) -> None:
        self._mapping = mapping
        self._index = index
        self._number = trace.number if _NUMBER.fullmatch(trace.number) else f"trace-{_digest(trace.number, 8)}"
        self._rows = [r for r in trace.rows if not mapping.dropped(r)]
        self._opened: set[str] = set()
        self._askers: dict[str, None] = {}
        """Desks that wait for pieces, in the order in which they asked."""

    def all(self) -> Iterator[Stated]:
        """In the order of the rows; what the old desk sends comes before what the new one receives."""
        before: _Row | None = None
        for rank, cells in enumerate(self._rows):
            row = self._row(rank, cells)
            if before is not None and before.body != row.body:
                handoff = f"handoff:{before.body}:{_digest(f'{self._mapping.system}|{self._number}|{rank}', 16)}"
                sent = (
                    before
                    if self._mapping.handoffs.sent_on == "previous-row"
                    else before._replace(on=row.on, at=row.at, rank=rank)
                )
                kind = self._mapping.handoffs.kind
                yield self._fact("handoff.sent", sent, _SENT, handoff=handoff, to=row.body, kind=kind)
                yield self._fact("handoff.received", row, _RECEIVED, handoff=handoff)
                yield from self._open(row)
                yield self._fact("handoff.accepted", row, _ACCEPTED, handoff=handoff)
            yield from self._open(row)
            statement = self._mapping.statement(cells)
            yield from self._state(row, statement)
            before = row

    def _open(self, row: _Row) -> Iterator[Stated]:
        if row.body not in self._opened:
            self._opened.add(row.body)
            yield self._fact("case.opened", row, _OPENED)

    def _state(self, row: _Row, statement: Statement | None) -> Iterator[Stated]:
        if isinstance(statement, Rule) and statement.of == "askers":
            askers, rule = list(self._askers), statement
            yield from (self._say(row._replace(body=asker), rule) for asker in askers)
            statement = None if row.body in askers else self._mapping.otherwise
        if statement is not None:
            yield self._say(row, statement)

    def _say(self, row: _Row, statement: Statement) -> Stated:
        fields = dict(statement.constants)
        for field, attribute in statement.attributes.items():
            fields[field] = row.cells.get(attribute, "")
        if statement.states == "case.pieces-requested":
            self._askers[row.body] = None
        elif statement.states == "case.pieces-received":
            self._askers.pop(row.body, None)
        return self._fact(statement.states, row, _STATED, **fields)

    def _row(self, rank: int, cells: dict[str, str]) -> _Row:
        columns = self._mapping.columns
        text = cells.get(columns.time, "")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise self._error(rank, f"{columns.time} is no ISO 8601 date or instant") from None
        at = None
        if moment.tzinfo is not None and (moment.hour, moment.minute, moment.second) != (0, 0, 0):
            at = moment.isoformat()
        return _Row(rank, moment.toordinal() - _EPOCH, at, self._body(rank, cells.get(columns.desk, "")), cells)

    def _body(self, rank: int, desk: str) -> str:
        bodies = self._mapping.bodies
        if desk in bodies.names:
            return bodies.names[desk]
        if not desk:
            raise self._error(rank, f"{self._mapping.columns.desk} is empty: drop such rows, or name another attribute")
        return bodies.prefix + (desk if _SLUG.fullmatch(desk) and len(desk) <= 32 else _digest(desk, 8))

    def _fact(self, name: str, row: _Row, place: int, **payload: Any) -> Stated:
        header = {
            "id": f"{self._number}.{row.rank}.{place}",
            "source": f"{row.body}/{self._mapping.system}",
            "attested_by": Attestation.OPERATOR,
            "subject": f"case:{row.body}/{self._number}",
            "references": (),
            "procedure": self._mapping.procedure if name == "case.opened" else None,
            "occurred_on": date.fromordinal(row.on + _EPOCH),
            "occurred_at": row.at,
            "sequence": row.rank,
        }
        try:
            event = ANY_EVENT.validate_python({"type": name, "header": header, **payload})
        except ValidationError as error:
            raise self._error(
                row.rank, f"{name}: {'.'.join(map(str, error.errors()[0]['loc'][1:]))} does not fit"
            ) from None
        schema = codec.events().latest(name)
        for problem in problems(schema, event.to_datum(), speaker=row.body, today=_FAR):
            raise self._error(row.rank, f"{name}, {problem.field}: {problem.mend}")
        return Stated(event, row.on)

    def _error(self, rank: int, mend: str) -> LogError:
        return LogError(0, f"trace {self._index}, row {rank + 1}: {mend}")


def _digest(text: str, size: int) -> str:
    return blake2b(text.encode(), digest_size=size).hexdigest()
