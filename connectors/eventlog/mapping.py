"""The mapping file: what the rows of a log mean, as typed YAML.

A log knows desks and activities; relais knows bodies and facts. The mapping says which attribute is what, which rows did not
happen, what some rows state beside being a step, and which limits are to be watched (calendar days).
"""

from __future__ import annotations

from collections.abc import Mapping as Mapping_
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from schemas.definitions import Handoff, Journey, Role
from schemas.models import MODELS
from schemas.references import BODY
from schemas.rules import Clock, Effect, Length, Text, Trigger
from schemas.types import RANK
from schemas.yamltext import InvalidFilesError, Problem, read

Conditions = dict[str, tuple[str, ...]]
"""Attribute of a row and the values that match; all attributes must match."""


class Model(BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Columns(Model):
    """Which attribute of the log (column of the table) is what."""

    trace: str = "concept:name"
    """Number of the case: attribute of a XES trace, column of a table."""
    activity: str = "concept:name"
    """What was done."""
    time: str = "time:timestamp"
    """When: an ISO 8601 date or instant; its date as written is the legal date."""
    desk: str = "org:resource"
    """Who did it."""


class Table(Model):
    """How a CSV file is written."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """Between two cells."""
    encoding: str = "utf-8-sig"
    """Name of the encoding as Python knows it."""


class Bodies(Model):
    """How desks become bodies."""

    prefix: str = Field(default="desk-", pattern=r"^[a-z0-9-]*$")
    """Put before the name of a desk."""
    names: dict[str, str] = Field(default_factory=dict)
    """Body of a desk, where it has an id of its own."""

    @model_validator(mode="after")
    def _are_ids(self) -> Self:
        if any(not BODY.fullmatch(body) for body in self.names.values()):
            raise ValueError("the id of a body is 2 to 64 lower-case letters, digits and inner hyphens")
        return self


def _event(name: Any) -> Any:
    if name not in MODELS or not str(name).startswith("case.") or name == "case.opened":
        raise ValueError("a row states a fact of a case, such as case.step-completed or case.pieces-requested")
    return name


class Statement(Model):
    """What a row states."""

    states: Annotated[str, BeforeValidator(_event)]
    """Type of the event."""
    constants: dict[str, Any] = Field(default_factory=dict, alias="with")
    """Fields of the event, as they are."""
    attributes: dict[str, str] = Field(default_factory=dict, alias="from")
    """Fields of the event, each from an attribute of the row."""

    @model_validator(mode="after")
    def _fields(self) -> Self:
        known = set(MODELS[self.states].model_fields) - {"header", "type"}
        named = {*self.constants, *self.attributes}
        needed = {n for n in known if MODELS[self.states].model_fields[n].is_required()}
        if named - known:
            raise ValueError(f"{self.states} has the fields {', '.join(sorted(known)) or 'none'}")
        if needed - named:
            raise ValueError(f"{self.states} needs {', '.join(sorted(needed))}: give it under with or from")
        return self


class Rule(Statement):
    """What rows of some kind state."""

    when: Conditions = Field(min_length=1)
    """Which rows."""
    of: Literal["desk", "askers"] = "desk"
    """Whose case: that of the desk of the row, or those of all desks that wait for pieces. If the desk of the row is not among them,
    the row also states what `otherwise` says, of its own case."""


class Handoffs(Model):
    """What a change of desk states."""

    kind: Literal["transfer", "consultation", "transmission", "execution", "information"] = "transmission"
    """What is expected of the new desk."""
    sent_on: Literal["previous-row", "new-row"] = "previous-row"
    """When the old desk sent: the date of its last row, so that the time between desks shows, or that of the new desk's first."""


class Limit(Model):
    """A limit to watch, in calendar days."""

    id: str = Field(pattern=r"^[a-z][a-z0-9.-]*$")
    """Name of the rule in alerts and in the report."""
    title: Text
    """In words."""
    starts: str
    """Event that starts it."""
    stops: tuple[str, ...] = Field(min_length=1)
    """Events that stop it."""
    days: int = Field(ge=1, le=3660)
    """Days after the start at the end of which it has run out."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        names = (self.starts, *self.stops)
        if any(name not in RANK for name in names):
            raise ValueError("starts and stops name events such as handoff.sent")
        if len({name.partition(".")[0] for name in names}) > 1:
            raise ValueError("a limit is of a case or of a handoff: name events of one family")
        return self

    def clock(self) -> Clock:
        """The limit as a clock of the engine."""
        handoff = self.starts.startswith("handoff.")
        return Clock(
            id=self.id,
            title=self.title,
            kind="service",
            scope="handoff" if handoff else "case",
            starts=(Trigger(on=self.starts),),
            stops=tuple(Trigger(on=name) for name in self.stops),
            reopens=() if handoff else (Trigger(on=self.starts),),
            length=Length(parts=((self.days, "days"),)),
            effect=Effect.SERVICE_TARGET,
        )


class Mapping(Model):
    """The whole file."""

    procedure: str = Field(pattern=r"^[a-z][a-z0-9.-]*$")
    """Id of the procedure that all cases of the log are of."""
    title: Text
    """Its name."""
    system: str = Field(default="log", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """Name of the log as a source of each desk."""
    columns: Columns = Columns()
    """Which attribute is what."""
    table: Table = Table()
    """How a CSV file is written."""
    drop: tuple[Conditions, ...] = ()
    """Rows that did not happen; they have no rank."""
    bodies: Bodies = Bodies()
    """How desks become bodies."""
    handoffs: Handoffs = Handoffs()
    """What a change of desk states."""
    rows: tuple[Rule, ...] = ()
    """What some rows state; the first that matches counts."""
    otherwise: Statement | None = None
    """What all other rows state; absent: nothing."""
    limits: tuple[Limit, ...] = ()
    """Limits to watch."""

    @model_validator(mode="after")
    def _limits_once(self) -> Self:
        if len({limit.id for limit in self.limits}) != len(self.limits):
            raise ValueError("two limits have the same id")
        return self

    def statement(self, row: Mapping_[str, str]) -> Statement | None:
        """What a row states, if anything."""
        return next((rule for rule in self.rows if matches(rule.when, row)), self.otherwise)

    def dropped(self, row: Mapping_[str, str]) -> bool:
        """Whether a row did not happen."""
        return any(matches(conditions, row) for conditions in self.drop)

    def journey(self) -> Journey:
        """The definition by which the replay is judged: the limits of this file and nothing else."""
        clocks = tuple(limit.clock() for limit in self.limits)
        of_handoffs = tuple(clock.id for clock in clocks if clock.scope == "handoff")
        words = Text(fr="Passage d'un service à l'autre", en="From one desk to the next")
        return Journey(
            procedure=self.procedure,
            title=self.title,
            valid_from=date(1900, 1, 1),
            roles=(Role(id="desk", title=Text(fr="Service", en="Desk")),),
            steps=(),
            handoffs=(Handoff(id="passage", title=words, kind="*", clocks=of_handoffs),),
            clocks=clocks,
        )

    def end(self, last: int) -> int:
        """The day to which the clock is led after the last fact, so that every limit has ended one way or the other."""
        return last + max((limit.days for limit in self.limits), default=0) + 2


def matches(conditions: Conditions, row: Mapping_[str, str]) -> bool:
    """Whether a row has one of the values given for each attribute."""
    return all(row.get(attribute) in values for attribute, values in conditions.items())


def load(path: Path) -> Mapping:
    """Read a mapping file. Raises `InvalidFilesError` with all problems, their lines and fields."""
    document, problems = read(path)
    if document is None:
        raise InvalidFilesError(problems)
    try:
        mapping = Mapping.model_validate(document.value)
    except ValidationError as error:
        problems += [
            Problem(
                document.file,
                document.line(e["loc"]),
                ".".join(map(str, e["loc"])),
                e["msg"].removeprefix("Value error, "),
            )
            for e in error.errors(include_url=False)
        ]
    if problems:
        raise InvalidFilesError(problems)
    return mapping
