"""The table of public holidays and territories, read from `calendars/*.yaml`. Calendars are built from it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from schemas.rules import Model, Text
from schemas.yamltext import InvalidFilesError, Problem, read

CALENDARS = Path(__file__).parent / "calendars"
_MONTH_DAY = r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"


class HolidayLine(Model):
    """One dated line: a fixed day (`on`, as MM-DD) or a number of days from Easter Sunday."""

    id: str
    title: Text
    on: str | None = Field(default=None, pattern=_MONTH_DAY)
    easter: int | None = Field(default=None, ge=-60, le=70)
    territories: tuple[str, ...] = Field(alias="in", min_length=1)
    first: date | None = Field(default=None, alias="from")
    last: date | None = Field(default=None, alias="to")
    communes: Literal["listed"] | None = None
    """`listed`: only in the communes that the territory lists under the id of this line."""
    basis: str = Field(min_length=1)
    sure: Literal["read", "secondary", "unverified"]
    note: str | None = None

    @model_validator(mode="after")
    def _one(self) -> HolidayLine:
        if (self.on is None) == (self.easter is None):
            raise ValueError("give either on or easter")
        if self.first and self.last and self.last < self.first:
            raise ValueError("to lies before from")
        return self


class Territory(Model):
    """A part of France with holidays and a legal time of its own."""

    id: str
    title: Text
    zone: str
    communes: tuple[str, ...] = Field(min_length=1)
    """Prefixes of INSEE codes; the longest that fits decides."""
    listed: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """By id of a holiday line: the communes in which it is kept."""


class HolidayTable(Model):
    """Everything known about public holidays."""

    lines: tuple[HolidayLine, ...]
    territories: tuple[Territory, ...]

    def territory(self, commune: str | None) -> Territory:
        """The territory of an INSEE commune code; metropolitan France if it is unknown."""
        fits = [
            (len(prefix), place) for place in self.territories for prefix in place.communes if _fits(commune, prefix)
        ]
        return max(fits, key=lambda fit: fit[0])[1]

    def named(self, territory: str) -> Territory | None:
        """The territory of this id, if there is one."""
        return next((place for place in self.territories if place.id == territory), None)

    def of(self, territory: str) -> tuple[HolidayLine, ...]:
        """The lines that hold in a territory."""
        return tuple(line for line in self.lines if territory in line.territories or "all" in line.territories)


def _fits(commune: str | None, prefix: str) -> bool:
    return (commune or "").startswith(prefix)


_LINES = TypeAdapter(tuple[HolidayLine, ...])
_TERRITORIES = TypeAdapter(tuple[Territory, ...])


def load(directory: Path = CALENDARS) -> HolidayTable:
    """Read the table; `InvalidFilesError` lists all problems if there is one."""
    problems: list[Problem] = []
    lines: tuple[HolidayLine, ...] = ()
    territories: tuple[Territory, ...] = ()
    for name in ("holidays.yaml", "territories.yaml"):
        document, found = read(directory / name)
        problems += found
        if document is None:
            continue
        try:
            if name == "holidays.yaml":
                lines = _LINES.validate_python(document.value)
            else:
                territories = _TERRITORIES.validate_python(document.value)
        except ValidationError as error:
            problems += [
                Problem(name, document.line(item["loc"]), ".".join(map(str, item["loc"])), item["msg"])
                for item in error.errors(include_url=False)
            ]
    known = {territory.id for territory in territories} | {"all"}
    problems += [
        Problem("holidays.yaml", 0, line.id, f"there is no territory {name!r}")
        for line in lines
        for name in line.territories
        if name not in known
    ]
    if not any("" in territory.communes for territory in territories):
        problems.append(Problem("territories.yaml", 0, "", "no territory takes the rest of the communes"))
    if problems:
        raise InvalidFilesError(problems)
    return HolidayTable(lines=lines, territories=territories)
