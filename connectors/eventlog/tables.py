"""Read CSV: one row per event, with a column that names its case.

Rows of a case need not stand together, so the whole file is held in memory; its rows keep their order.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

from connectors.eventlog.log import LogError, Trace, open_log


def read(path: Path, *, number: str, delimiter: str = ",", encoding: str = "utf-8-sig") -> Iterator[Trace]:
    """The traces of a CSV file, gzipped or not, in the order of their first rows. `number` is the column that names the case.

    Raises `LogError`.
    """
    traces: dict[str, list[dict[str, str]]] = {}
    reader = None
    try:
        with open_log(path) as file, TextIOWrapper(file, encoding, newline="") as text:
            reader = csv.DictReader(text, delimiter=delimiter, strict=True)
            if number not in (reader.fieldnames or ()):
                raise LogError(1, f"there is no column {number!r}: name the column of the case, or check the delimiter")
            for row in reader:
                if None in row or None in row.values():
                    raise LogError(reader.line_num, "this row has not as many cells as the first line")
                traces.setdefault(row[number], []).append(row)
    except csv.Error as error:
        raise LogError(reader.line_num + 1 if reader else 1, f"this is not CSV ({error})") from None
    except UnicodeDecodeError:
        raise LogError(0, f"the file is not in {encoding}: name its encoding in the mapping") from None
    except (EOFError, OSError) as error:
        raise LogError(0, f"the file cannot be read to its end ({type(error).__name__})") from None
    for name, rows in traces.items():
        yield Trace(name, {}, rows)
