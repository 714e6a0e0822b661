"""An event log as a source: each row of a XES or CSV file is a record, for whoever brings a past year onto the bus under its own bodies.

`relais replay` evaluates a log in an instance of its own, each desk a body; here the rows are records like any others, and a mapping says
what they state.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from connectors.eventlog import tables, xes
from connectors.eventlog.log import LogError, Trace, is_xes
from connectors.kit.contract import Batch, ConfigError, ConnectorConfig, Cursor, Finding, Record, Report, Unavailable

TRACES = 200
"""Traces in one batch."""


class EventLogConfig(ConnectorConfig):
    """Configuration of an event log."""

    file: Path
    """The log: XES or CSV, gzipped or not."""
    trace: str = "concept:name"
    """Number of the case: attribute of a XES trace, column of a table."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """Between two cells of a CSV file."""
    encoding: str = "utf-8-sig"
    """Encoding of a CSV file, as Python knows it."""


class EventLog:
    """The rows of an event log (XES, CSV), each a record: `trace`, the attributes of the trace, and those of the row."""

    Config = EventLogConfig
    passive: ClassVar[bool] = True

    def __init__(self, config: EventLogConfig) -> None:
        self._config = config

    async def check(self) -> Report:
        """Read the first trace."""
        config = self._config
        try:
            first = next(self._traces(), None)
        except (LogError, OSError) as error:
            return Report([Finding(False, f"{config.file.name} can be read", str(error))])
        return Report([Finding(first is not None, f"{config.file.name} has traces", "the file holds no trace")])

    async def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """All rows, from the trace on to which it was read; from the beginning where the file has changed."""
        try:
            found = self._config.file.stat()
            mark = [found.st_size, found.st_mtime_ns]
            done: int = since["traces"] if since and since["file"] == mark else 0
            traces = islice(self._traces(), done, None)
            while some := list(islice(traces, TRACES)):
                done += len(some)
                yield Batch([record for trace in some for record in _records(trace)], {"file": mark, "traces": done})
        except OSError:
            raise Unavailable(f"{self._config.file.name} cannot be read now") from None
        except LogError as error:
            raise ConfigError(str(error), "file") from None

    def _traces(self) -> Iterator[Trace]:
        config = self._config
        if is_xes(config.file):
            return (t._replace(number=t.attributes.get(config.trace, "")) for t in xes.read(config.file))
        return tables.read(config.file, number=config.trace, delimiter=config.delimiter, encoding=config.encoding)


def _records(trace: Trace) -> Iterator[Record]:
    for rank, row in enumerate(trace.rows):
        content = {**trace.attributes, **row, "trace": trace.number}
        yield Record(trace.number, content, version=str(rank), place=f"row {rank + 1} of a trace")
