"""Times of SQLite, which keeps them as the text that somebody wrote: `2026-03-02 09:00:00`, with a fraction or a `T`, or none at all.

Texts are compared as texts. So a place in a table is named by the very text that stands there: made anew with a fraction, it would come
behind the rows of that second that have none, and they would be left out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, MetaData, String, Table, TypeDecorator, event


class Written(datetime):
    """A time, and the text of it."""

    text: str = ""


class WrittenTime(TypeDecorator[Any]):
    """A column of times that are text. What is no time comes as it stands."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        """From the file."""
        try:
            found = Written.fromisoformat(value)
        except (ValueError, TypeError):
            return value
        found.text = value
        return found

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        """To a comparison."""
        if isinstance(value, Written) and value.text:
            return value.text
        return value.isoformat(" ") if isinstance(value, datetime) else value


def as_written(metadata: MetaData) -> MetaData:
    """Let tables that are looked up in a SQLite file have such columns."""

    def reflected(inspector: Any, _: Table, column: Any) -> None:
        if inspector.dialect.name == "sqlite" and isinstance(column["type"], DateTime):
            column["type"] = WrittenTime()

    event.listen(metadata, "column_reflect", reflected)
    return metadata
