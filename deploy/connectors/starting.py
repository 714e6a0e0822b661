"""The files with which a connector begins, written so that filling in what is marked makes them work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any

import yaml
from pydantic_core import to_jsonable_python

from connectors.kit.contract import ConnectorConfig
from connectors.kit.spec import TO_FILL_IN, is_sink
from connectors.kit.zones import FIELD, Zoned

MAPPING = """# What a record states. Try it: relais connector dry-run {file}
# The number of the case must name one request; $date, $instant, $label, $case and $handoff help.
case: number
# labels:
#   state: {{"RECEIVED": opened, "ON HOLD": null}}   # null: it says nothing
events:
  - states: case.opened
    # when: $label('state', state) = 'opened'
    on: $date(received_on)
    with: {{procedure: urbanisme.pc-maison}}
    # from: {{commune: insee}}
# Run by relais connector test {file}
tests:
  - name: a request that comes in
    record: {{number: PC-1, received_on: 01/03/2026}}
    events:
      - {{type: case.opened, occurred_on: "2026-03-01", subject: "case:{body}/PC-1"}}
"""
SOURCE = '''"""{name}: reads the records of a system, one batch after another."""

from collections.abc import AsyncIterator
from pathlib import Path

from connectors.kit.contract import Batch, ConnectorConfig, Cursor, Finding, Record, Report, Unavailable


class Config(ConnectorConfig):
    """What a person sets."""

    file: Path
    """A text file that only grows: one record a line, `number;date`."""


class Source:
    """The system."""

    Config = Config

    def __init__(self, config: Config) -> None:
        self._config = config

    async def check(self) -> Report:
        return Report([Finding(self._config.file.exists(), "the file is there", "correct config.file")])

    async def read(self, since: Cursor) -> AsyncIterator[Batch]:
        try:
            lines = self._config.file.read_text(encoding="utf-8").splitlines()
        except OSError:
            raise Unavailable("the file cannot be read now") from None
        for start in range(since or 0, len(lines), 1000):
            end = min(start + 1000, len(lines))
            yield Batch([self._record(at, lines[at]) for at in range(start, end)], cursor=end)

    def _record(self, at: int, line: str) -> Record:
        number, _, received_on = line.partition(";")
        # key: the system's own key of the record; version: tells the states of one record apart
        content = {{"number": number, "received_on": received_on}}
        return Record(number, content, raw=line.encode(), version=str(at), place=f"line {{at + 1}}")
'''


def files(name: str, connector: str, kind: type[Any] | None, body: str, zone: str) -> dict[str, str]:
    """Files by name: the connector's, the mapping of a source, and a class to begin with where `kind` is None."""
    file = f"{name}.yaml"
    source = kind is None or not is_sink(kind)
    lines = [f"name: {name}", f"connector: {connector}", f"body: {body}", f"system: {name}"]
    lines.append(f"time_zone: {zone}   # of the system, for times that it writes without an offset")
    if source:
        lines += [f"mapping: {name}.map.yaml", "every: 30s", "# rate: 100/s"]
    config = kind.Config if kind is not None else None
    lines += ["config:", *(_fields(config) if config is not None else ["  file: records.txt"])]
    found = {file: "\n".join(lines) + "\n"}
    if source:
        found[f"{name}.map.yaml"] = MAPPING.format(file=file, body=body)
    if kind is None:
        found[f"{name.replace('-', '_')}.py"] = SOURCE.format(name=name)
    return found


def write(folder: Path, made: dict[str, str]) -> list[Path]:
    """Write files that are not there yet. Raises FileExistsError, and writes none, if one is."""
    paths = {folder / name: text for name, text in made.items()}
    if there := [path for path in paths if path.exists()]:
        raise FileExistsError(str(there[0]))
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in paths.items():
        path.write_text(text, encoding="utf-8")
    return list(paths)


def _fields(config: type[ConnectorConfig]) -> Iterator[str]:
    for name, field in config.model_fields.items():
        if name == FIELD and issubclass(config, Zoned):
            continue  # at the head of the file
        yield from (f"  # {line}" for line in wrap(field.description or "", 110))
        if field.is_required():
            yield f"  {name}: {TO_FILL_IN}"
        else:
            default = field.get_default(call_default_factory=True, validated_data={})
            yield f"  # {name}: {_plain(default)}"


def _plain(value: Any) -> str:
    plain = to_jsonable_python(value, fallback=str)
    text: str = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=1_000)
    return text.removesuffix("...\n").strip()
