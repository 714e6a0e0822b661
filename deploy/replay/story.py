"""What is to be replayed: the facts of a log as bytes, in the order asked for, and the rules that judge them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from connectors.eventlog import facts as eventlog
from connectors.eventlog import mapping as maps
from connectors.eventlog.log import LogError
from deploy.errors import DeployError, Exit
from schemas import codec
from schemas.directory import Body, Directory
from schemas.yamltext import InvalidFilesError

if TYPE_CHECKING:
    from connectors.eventlog.mapping import Mapping
    from connectors.eventlog.report import Report

DAY_MS = 86_400_000


class MapError(DeployError):
    """A mapping file that cannot be used; the text names file, line and field."""

    exit_code = Exit.USAGE


class Said(NamedTuple):
    """One fact to send."""

    subject: str
    on: int
    """Its legal date, days since 1970-01-01."""
    value: bytes


@dataclass(frozen=True, slots=True)
class Story:
    """The facts of a log and the rules that go with it."""

    mapping: Mapping
    facts: Sequence[Said]
    """In the order in which they are sent."""
    directory: Directory
    """The desks as bodies."""

    @property
    def until(self) -> int:
        """The day to which the clock is led, days since 1970-01-01."""
        return self.mapping.end(max(fact.on for fact in self.facts))

    @property
    def end(self) -> int:
        """The instant to which the clock is led, ms: the end of that day."""
        return (self.until + 1) * DAY_MS

    def days(self) -> Iterator[int]:
        """For each fact the day to which the clock may be led before it is sent: no fact still to come bears an earlier date."""
        return reversed(list(accumulate((fact.on for fact in reversed(self.facts)), min)))

    def report(self, rows: dict[str, list[dict[str, Any]]], kept: list[tuple[str, dict[str, Any]]]) -> Report:
        """The report from decoded rows by output topic and the facts that were kept."""
        from connectors.eventlog.report import report  # noqa: PLC0415

        limits = [limit.id for limit in self.mapping.limits]
        return report(rows["statuses"], rows["handoffs"], rows["alerts"], kept, limits=limits, until=self.until)

    def write(self, folder: Path) -> list[str]:
        """Write definition and directory as files; the arguments by which a worker takes them."""
        folder.mkdir(parents=True, exist_ok=True)
        definition, directory = folder / "definition.yaml", folder / "directory.yaml"
        # JSON is YAML, and says everything as it is
        definition.write_text(self.mapping.journey().model_dump_json(by_alias=True, indent=1), encoding="utf-8")
        directory.write_text(json.dumps(self.directory.model_dump(mode="json"), indent=1), encoding="utf-8")
        return ["--definition", str(definition.absolute()), "--directory", str(directory.absolute())]


def read(log: Path, map_: Path, *, shuffle: int | None = None, double: bool = False, by_date: bool = False) -> Story:
    """Read a log under its mapping. Raises `DeployError` for what a person can mend, with the place."""
    try:
        mapping = maps.load(map_)
    except InvalidFilesError as error:
        raise MapError(str(error)) from None
    events, bodies = codec.events(), set[str]()
    said: list[Said] = []
    try:
        for event, on in eventlog.iter_facts(log, mapping):
            header = event.header
            bodies.add(header.source.partition("/")[0])
            said.append(Said(header.subject, on, events.encode(event.type, event.to_datum())))
    except (LogError, OSError) as error:
        told = error if isinstance(error, LogError) else error.strerror or type(error).__name__
        raise DeployError(f"{log.name}: {told}") from None
    if not said:
        raise DeployError(f"{log.name} states no fact: check columns and drop in {map_.name}")
    if by_date:
        said.sort(key=lambda fact: fact.on)
    directory = Directory(bodies=tuple(Body(id=body, name=body, kind="other") for body in sorted(bodies)))
    return Story(mapping, eventlog.arrange(said, shuffle=shuffle, double=double), directory)
