"""The file of a connector: which connector, in whose name, with what configuration and mapping."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from connectors.kit.contract import ConnectorConfig, Sink, Source
from connectors.kit.mapping import place, told
from connectors.kit.modules import module_of
from connectors.kit.zones import FIELD, Zone, Zoned
from schemas.references import BODY
from schemas.yamltext import Document, InvalidFilesError, Problem, read

GROUP = "relais.connectors"
"""Entry points by which connectors are found, those of other packages too."""
Model = TypeVar("Model", bound=BaseModel)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d{1,6})\s*(ms|s|m|h)")
_RATE = re.compile(r"(\d{1,7})\s*/\s*(s|m|h)")


def _seconds(value: Any) -> float:
    match = _DURATION.fullmatch(str(value))
    if match is None:
        raise ValueError("write a number and ms, s, m or h, such as 30s")
    return int(match[1]) * _UNITS[match[2]]


def _per_second(value: Any) -> float:
    match = _RATE.fullmatch(str(value))
    if match is None or match[1] == "0":
        raise ValueError("write a number, a slash and s, m or h, such as 100/s")
    return int(match[1]) / _UNITS[match[2]]


def _body(body: str) -> str:
    if not BODY.fullmatch(body):
        raise ValueError("the id of a body is 2 to 64 lower-case letters, digits and inner hyphens")
    return body


class ConnectorFile(BaseModel):
    """What the file says."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Name of this connector: of its state topic, in logs and metrics; lower-case letters, digits and hyphens. It never changes."""
    connector: str
    """Which connector: a name that `relais connector list` shows, or `file.py:Class` of a file beside this one."""
    body: Annotated[str, AfterValidator(_body)]
    """Id of the body whose system it is."""
    system: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """Name of the system: facts are stated by `body/system`, which nobody else writes."""
    time_zone: Zone
    """Time zone of the system, for times that it writes without an offset, such as Europe/Paris."""
    mapping: Path | None = None
    """The mapping file of a source, beside this file."""
    takes: tuple[Literal["handoffs", "statuses"], ...] = ("handoffs",)
    """What a sink brings to the body: the handoffs addressed to it, the statuses of the journeys in which it takes part."""
    every: Annotated[float, BeforeValidator(_seconds)] = 30.0
    """How long after it was read to its end a source is read again."""
    rate: Annotated[float, BeforeValidator(_per_second)] | None = None
    """At most so many records in a time, such as 100/s; absent: as fast as it goes."""
    config: dict[str, Any] = Field(default_factory=dict)
    """The connector's own configuration: `relais connector describe` tells its fields."""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.time_zone)


class Spec(NamedTuple):
    """A connector's file, read and checked."""

    path: Path
    file: ConnectorFile
    kind: type[Any]
    """Class of the connector."""
    config: ConnectorConfig

    @property
    def is_sink(self) -> bool:
        """Whether it is sent to, rather than read."""
        return is_sink(self.kind)

    @property
    def mapping(self) -> Path:
        """The mapping file."""
        assert self.file.mapping is not None
        return self.path.parent / self.file.mapping

    def make(self) -> Source | Sink:
        """The connector."""
        made: Source | Sink = self.kind(self.config)
        return made


TO_FILL_IN = "TO-FILL-IN"
"""What `relais connector new` writes where only a person knows the value."""


def installed() -> Mapping[str, EntryPoint]:
    """The connectors that are installed, by name."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda p: p.name)}


def kind_of(name: str, beside: Path = Path()) -> type[Any]:
    """The class of a connector: a name of the list, or `file.py:Class` in the folder `beside`.

    Raises KeyError if there is none of that name, ImportError if it lacks a library, AttributeError or OSError for a file without it.
    """
    file, _, attribute = name.rpartition(":")
    kind: type[Any] = getattr(module_of(beside / file), attribute) if file else installed()[name].load()
    return kind


def is_sink(kind: type[Any]) -> bool:
    """Whether a class of connectors is a sink."""
    return hasattr(kind, "send")


def load(path: Path) -> Spec:
    """Read a connector's file and check it with its configuration. Raises `InvalidFilesError` with all problems."""
    document, problems = read(path)
    if document is None:
        raise InvalidFilesError(problems)
    file = _validated(document, problems)
    if file is None or problems:
        raise InvalidFilesError(problems)
    kind = _kind(document, file, path.parent, problems)
    config = _config(document, kind, file, problems) if kind is not None else None
    if kind is not None and not is_sink(kind) and file.mapping is None:
        problems.append(Problem(document.file, 1, "mapping", "a source needs a mapping: name its file"))
    if kind is None or config is None or problems:
        raise InvalidFilesError(problems)
    return Spec(path, file, kind, _beside(config, path.parent))


def _validated(document: Document, problems: list[Problem]) -> ConnectorFile | None:
    try:
        return ConnectorFile.model_validate(document.value)
    except ValidationError as error:
        problems += told(document, error)
        return None


def _kind(document: Document, file: ConnectorFile, folder: Path, problems: list[Problem]) -> type[Any] | None:
    line = document.line(("connector",))
    try:
        return kind_of(file.connector, folder)
    except (AttributeError, OSError, SyntaxError) as error:
        mend = f"this class cannot be loaded ({type(error).__name__}: {error}): write file.py:Class"
    except KeyError:
        mend = f"there is no connector of this name; there are {', '.join(installed()) or 'none'}"
    except ImportError as error:
        mend = f"it needs a library that is not installed ({error.name})"
    problems.append(Problem(document.file, line, "connector", mend))
    return None


def _config(
    document: Document, kind: type[Any], file: ConnectorFile, problems: list[Problem]
) -> ConnectorConfig | None:
    model: type[ConnectorConfig] = kind.Config
    given = dict(file.config)
    if issubclass(model, Zoned):
        if FIELD in given:
            mend = f"leave it out: {FIELD} at the head of the file says it, for the mapping too"
            problems.append(Problem(document.file, document.line(("config", FIELD)), f"config.{FIELD}", mend))
        given[FIELD] = file.time_zone
    if unfilled := [loc for loc in _places(given) if loc]:
        for loc in unfilled:
            at = ("config", *loc)
            mend = _with_help(model, loc, "fill this in")
            problems.append(Problem(document.file, document.line(at), ".".join(map(str, at)), mend))
        return None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        for problem, found in zip(
            told(document, error), error.errors(include_url=False, include_input=False), strict=True
        ):
            at = ("config", *place(found["loc"]))
            mend = _with_help(model, found["loc"], problem.message)
            problems.append(Problem(document.file, document.line(at), ".".join(map(str, at)), mend))
        return None


def _places(value: Any, at: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    """Where something is still to be filled in."""
    if value == TO_FILL_IN:
        yield at
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _places(one, (*at, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _places(one, (*at, number))


def _beside(model: Model, folder: Path) -> Model:
    """Paths of files as seen from the connector's file, wherever the command is run."""
    found: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Path):
            found[name] = folder / value
        elif isinstance(value, BaseModel):
            found[name] = _beside(value, folder)
    return model.model_copy(update=found)


def _with_help(model: type[ConnectorConfig], loc: tuple[int | str, ...], message: str) -> str:
    field = model.model_fields.get(str(loc[0])) if loc else None
    if field is None:
        return f"{message} (there are {', '.join(model.model_fields)})" if loc else message
    return f"{message}. {field.description}" if field.description else message
