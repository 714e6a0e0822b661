"""Reading a table or a query page by page, in the order of some columns, so that no transaction stays open between two pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    MetaData,
    Select,
    Table,
    and_,
    bindparam,
    column,
    false,
    inspect,
    literal_column,
    or_,
    select,
    text,
)

from connectors.kit.contract import ConfigError
from connectors.sql.written import as_written

Row = Sequence[Any]


def table(connection: Connection, name: str) -> Table:
    """A table (`schema.table` or `table`) as the database describes it. Raises `NoSuchTableError`."""
    schema, _, plain = name.rpartition(".")
    return Table(plain, as_written(MetaData()), schema=schema or None, autoload_with=connection, resolve_fks=False)


def query(connection: Connection, words: str) -> FromClause:
    """A query as something to select from."""
    statement = words.strip().rstrip(";").replace(":", "\\:")  # a colon is none of our parameters
    asked: Select[Any] = select(literal_column("*")).select_from(text(f"({statement}) relais_q")).where(false())
    names = list(connection.execute(asked).keys())
    return text(statement).columns(*map(column, names)).subquery("relais_q")


def columns(source: FromClause, names: Iterable[str], field: str) -> list[ColumnElement[Any]]:
    """Columns by name, in upper or lower case. Raises `ConfigError` that says which there are."""
    known = {name.lower(): found for name, found in source.c.items()}
    missing = [name for name in names if name.lower() not in known]
    if missing:
        raise ConfigError(f"there is no column {', '.join(missing)}; there are {', '.join(source.c.keys())}", field)
    return [known[name.lower()] for name in names]


def page(
    connection: Connection,
    wanted: Sequence[ColumnElement[Any]],
    order: Sequence[ColumnElement[Any]],
    where: ColumnElement[bool] | None,
    after: Sequence[Any] | None,
    limit: int,
) -> list[Row]:
    """The next rows: first the values of `order`, then those of `wanted`."""
    labelled = [*(c.label(f"o{i}") for i, c in enumerate(order)), *(c.label(f"w{i}") for i, c in enumerate(wanted))]
    statement = select(*labelled).order_by(*order).limit(limit)
    if where is not None:
        statement = statement.where(where)
    if after is not None:
        statement = statement.where(beyond(order, after))
    return list(connection.execute(statement).all())


def beyond(order: Sequence[ColumnElement[Any]], values: Sequence[Any]) -> ColumnElement[bool]:
    """`(a, b) > (x, y)` in the words of every database; the first bound is the one that an index answers."""
    bound = [bindparam(None, value, column.type) for column, value in zip(order, values, strict=True)]
    steps = [
        and_(*(c == v for c, v in zip(order[:i], bound[:i], strict=True)), order[i] > bound[i])
        for i in range(len(order))
    ]
    return and_(order[0] >= bound[0], or_(*steps)) if len(order) > 1 else steps[0]


def indexed(connection: Connection, found: Table, names: Sequence[str]) -> bool:
    """Whether an index or the primary key begins with these columns."""
    return any(list(one[: len(names)]) == list(names) for one in _indexes(connection, found))


def unique(connection: Connection, found: Table, names: Sequence[str]) -> bool:
    """Whether the database itself sees to it that no two rows share the values of these columns."""
    inspector = inspect(connection)
    sets: list[Sequence[str | None]] = [inspector.get_pk_constraint(found.name, found.schema)["constrained_columns"]]
    sets += [one["column_names"] for one in inspector.get_unique_constraints(found.name, found.schema)]
    sets += [one["column_names"] for one in inspector.get_indexes(found.name, found.schema) if one["unique"]]
    return any(one and None not in one and set(one) <= set(names) for one in sets)


def _indexes(connection: Connection, found: Table) -> Iterator[Sequence[str | None]]:
    inspector = inspect(connection)
    yield inspector.get_pk_constraint(found.name, found.schema)["constrained_columns"]
    for one in inspector.get_unique_constraints(found.name, found.schema):
        yield one["column_names"]
    for index in inspector.get_indexes(found.name, found.schema):
        yield index["column_names"]
