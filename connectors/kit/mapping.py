"""The mapping file: what a record of a source states, as typed YAML with JSONata expressions.

```yaml
case: numero & '-' & procedure        # the number of the case; it must name one request
labels:
  etat: {"DOSSIER DEPOSE": opened, "EN ATTENTE": null}   # null: says nothing
events:
  - states: case.opened
    when: $label('etat', statut) = 'opened'
    on: $date(depose_le)
    with: {procedure: urbanisme.pc-maison}   # as it is
    from: {commune: insee}                   # each an expression
```
"""

from __future__ import annotations

from collections.abc import Mapping as Mapping_
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from connectors.kit.contract import Json
from schemas.models import MODELS, Header
from schemas.yamltext import Document, InvalidFilesError, Problem, read

HEADER_FIELDS = frozenset(Header.model_fields) - {"id", "source", "attested_by"}
"""Fields of the header that a mapping may give."""
LABELS_SUFFIX = ".labels.yaml"


class Model(BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _event(name: Any) -> Any:
    if name not in MODELS:
        raise ValueError("there is no such event: `relais schemas list` names them, such as case.opened")
    return name


def _text(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        raise ValueError("an expression is a text: put a constant under with")
    return str(value)


Jsonata = Annotated[str, BeforeValidator(_text)]
"""A JSONata expression over the record."""


class Statement(Model):
    """An event that a record states."""

    states: Annotated[str, BeforeValidator(_event)]
    """Type of the event."""
    when: Jsonata | None = None
    """Whether this record states it; absent: always."""
    on: Jsonata | None = None
    """Its legal date (`occurred_on`)."""
    at: Jsonata | None = None
    """Its instant with an offset (`occurred_at`), if the hour is known; `on` may then be left out."""
    constants: dict[str, Json] = Field(default_factory=dict, alias="with")
    """Fields of the event, as they are."""
    expressions: dict[str, Jsonata] = Field(default_factory=dict, alias="from")
    """Fields of the event, each an expression; one without a value is left out."""

    @model_validator(mode="after")
    def _fields(self) -> Self:
        known = (set(MODELS[self.states].model_fields) | HEADER_FIELDS) - {"header", "type"}
        unknown = {*self.constants, *self.expressions} - known
        if unknown:
            own = sorted(set(MODELS[self.states].model_fields) - {"header", "type"})
            raise ValueError(f"{self.states} has no field {min(unknown)}: it has {', '.join(own) or 'none of its own'}")
        needed = {n for n, f in MODELS[self.states].model_fields.items() if f.is_required()} - {"header"}
        if missing := needed - {*self.constants, *self.expressions}:
            raise ValueError(f"{self.states} needs {', '.join(sorted(missing))}: give it under with or from")
        if (
            self.on is None
            and self.at is None
            and not {"occurred_on", "occurred_at"} & {*self.constants, *self.expressions}
        ):
            raise ValueError("say when it happened: on (a date) or at (an instant)")
        return self


class Example(Model):
    """A test of the mapping: a record, and what it states."""

    name: str = ""
    """What it shows."""
    record: dict[str, Json]
    """The record."""
    events: list[dict[str, Json]] | None = None
    """What it must state: fields of each event, with `type`; fields that are not named are not compared."""
    waits: str | None = None
    """Table of the label that nobody has mapped and for which the record must wait."""
    refused: bool = False
    """Whether the record must be refused."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.events is not None) + (self.waits is not None) + self.refused != 1:
            raise ValueError("say one of: events, waits, refused")
        return self


class Mapping(Model):
    """The whole file."""

    case: Jsonata | None = None
    """Number of the case that the record is about; absent: each event gives its `subject`."""
    identifies: str = Field(default="request", pattern="^(request|person|household)$")
    """What the number of the case names. A number of a person or of a household has to be composed with what tells requests apart."""
    labels: dict[str, dict[str, Json]] = Field(default_factory=dict)
    """Tables of local labels, for `$label('table', value)`; null: the label says nothing."""
    events: tuple[Statement, ...] = ()
    """What a record states, in this order."""
    python: str | None = Field(default=None, pattern=r"^[\w./-]+:\w+$")
    """In place of `events`: `file.py:function` beside this file, or `package.module:function`; it takes the record and the tools, and
    gives the fields of each event."""
    tests: tuple[Example, ...] = ()
    """Tests, run by `relais connector test`."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.python is None) == (not self.events):
            raise ValueError("give events, or python in their place")
        return self


def load(path: Path) -> tuple[Mapping, Document]:
    """Read a mapping file, with the labels that were mapped later beside it. Raises `InvalidFilesError` with all problems."""
    document, problems = read(path)
    if document is None:
        raise InvalidFilesError(problems)
    problems += _later(path, document)
    mapping: Mapping | None = None
    try:
        mapping = Mapping.model_validate(document.value)
    except ValidationError as error:
        problems += told(document, error)
    if problems or mapping is None:
        raise InvalidFilesError(problems)
    return mapping, document


def labels_file(path: Path) -> Path:
    """The file that holds the labels mapped by `relais connector labels map`, beside the mapping."""
    return path.with_name(path.name.removesuffix(".yaml") + LABELS_SUFFIX)


def told(document: Document, error: ValidationError) -> list[Problem]:
    """pydantic's problems as problems of a file: line, field, mend."""
    return [
        Problem(document.file, document.line(e["loc"]), ".".join(map(str, place(e["loc"]))), _mend(e))
        for e in error.errors(include_url=False, include_input=False)
    ]


def place(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where an error is, in the words of the file: without pydantic's own for the forms that a field may take (`tuple[str, ...]`)."""
    return tuple(part for part in loc if not (isinstance(part, str) and "[" in part))


_MENDS = {
    "missing": "this field is missing: add it",
    "extra_forbidden": "there is no such field: remove it or correct its name",
    **dict.fromkeys(("tuple_type", "list_type"), "write a list: [one, another]"),
    "string_type": "write a text, in quotes if it is a number, a date or yes and no",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "write a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "write a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "write true or false"),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type"), "write its fields below it, each as `name: value`"
    ),
}
"""What to do about pydantic's kinds of errors."""


def _mend(error: Mapping_[str, Any]) -> str:
    if error["type"] in ("literal_error", "enum"):
        return f"write {error['ctx']['expected']}"
    if error["type"] == "union_tag_invalid":
        return f"write one of {error['ctx']['expected_tags']} as {error['ctx']['discriminator']}"
    return _MENDS.get(error["type"], str(error["msg"]).removeprefix("Value error, "))


def _later(path: Path, document: Document) -> list[Problem]:
    """Put the labels that were mapped later into the document."""
    beside = labels_file(path)
    if not beside.exists() or not isinstance(document.value, dict):
        return []
    more, problems = read(beside)
    if more is not None and not problems:
        tables = document.value.setdefault("labels", {})
        for table, labels in (more.value or {}).items():
            if isinstance(tables, dict) and isinstance(labels, dict):
                tables[table] = {**(tables.get(table) or {}), **labels}
            else:
                problems.append(
                    Problem(more.file, more.line((table,)), str(table), "write label: value under the table")
                )
    return problems
