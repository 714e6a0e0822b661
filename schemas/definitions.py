"""Journey definitions: steps, roles, handoffs and clocks of a procedure, read from `journeys/*.yaml`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from schemas.library import entries, expand
from schemas.meaning import clock_problems, trigger_problems
from schemas.rules import ArticleText, Clock, Effect, LengthText, Model, Scalar, Text, Trigger, Triggers
from schemas.yamltext import Document, InvalidFilesError, Problem, read

JOURNEYS = Path(__file__).parent / "journeys"
GENERIC = "generic"
STAND_IN = "crpa.aee"
"""Stands for a named clock that there is not, so that the rest of a file is checked all the same."""
_HANDOFF = "handoff."


class Role(Model):
    """A part that some body plays in a journey."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: Text
    bodies: tuple[str, ...] = ()
    """Kinds of body that may play it: commune, epci, departement, ccas, prefecture, caf…"""
    place: Literal["deposit", "residence", "land", "birth", "anywhere"] = "anywhere"
    """What place decides which body plays it."""


class Limit(Model):
    """A time limit of one stage of a handoff. In YAML a plain length is a service target."""

    length: LengthText
    kind: Literal["legal", "service"] = "service"
    start: Literal["sent", "received", "accepted"] | None = None
    """Stage that starts it; by default the one before."""
    effect: Effect | None = None
    roll: Literal["none", "ouvrable", "ouvre"] = "none"
    birth: Literal["same-day", "next-day"] = "same-day"
    articles: tuple[ArticleText, ...] = ()
    warn: tuple[LengthText, ...] = ()
    title: Text | None = None


def _limit(value: Any) -> Any:
    return {"length": value} if isinstance(value, str) else value


LimitText = Annotated[Limit, BeforeValidator(_limit)]


class Step(Model):
    """A step of a journey as a person sees it."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: Text
    kind: Literal["real", "potential"] = "real"
    trigger: Text | None = None
    """In words, what makes a potential step happen."""
    role: str
    """Who owns it; `applicant` for the person."""
    begun_by: Triggers = ()
    done_by: Triggers = ()
    citizen: Text | None = None
    """What the person needs to know then."""
    hidden_from: tuple[str, ...] = ()
    """Roles whose bodies must not see it."""
    parallel: str | None = None
    """Name of the branch, where several go on at once."""
    promise: LimitText | None = None
    """Service promise: time from what begins the step to what ends it, not counting what waits for the person."""
    articles: tuple[ArticleText, ...] = ()

    def promise_clock(self) -> Clock | None:
        """The promise as a clock, named `step.<id>.promise`."""
        if self.promise is None:
            return None
        waits = {
            "begins": ("case.pieces-requested", "case.suspended"),
            "ends": ("case.pieces-received", "case.resumed"),
        }
        own = {trigger.on for trigger in (*self.begun_by, *self.done_by)}
        pauses = {name: [type_ for type_ in types if type_ not in own] for name, types in waits.items()}
        return Clock.model_validate(
            {
                "id": f"step.{self.id}.promise",
                "title": self.promise.title or self.title,
                "kind": "service",
                "starts": self.begun_by,
                "stops": (*self.done_by, "case.closed", "case.withdrawn"),
                "length": self.promise.length,
                "effect": "service-target",
                "holder": self.role,
                "warn": self.promise.warn,
                "modifiers": [{"op": "suspend", **pauses}] if all(pauses.values()) else [],
            }
        )


_STAGES: dict[str, tuple[str, tuple[str, ...], Text]] = {
    "received": (
        "sent",
        ("received", "accepted", "refused", "returned", "completed", "cancelled"),
        Text(fr="Prise de connaissance", en="Receipt"),
    ),
    "accepted": (
        "received",
        ("accepted", "refused", "returned", "completed", "cancelled"),
        Text(fr="Prise en charge", en="Acceptance"),
    ),
    "completed": ("accepted", ("completed", "returned", "refused", "cancelled"), Text(fr="Réponse", en="Answer")),
}
_STARTED_BY = {
    "sent": ("sent",),
    "received": ("received", "accepted"),
    "accepted": ("accepted",),
}


class Handoff(Model):
    """One kind of handoff of a procedure, with its limits."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: Text
    kind: str
    """`kind` of `handoff.sent`: transfer, consultation, transmission, payment…; `*` for any."""
    where: dict[str, list[Scalar]] = Field(default_factory=dict)
    """Further fields of `handoff.sent` that single it out."""
    from_role: str | None = Field(default=None, alias="from")
    to_role: str | None = Field(default=None, alias="to")
    potential: bool = False
    trigger: Text | None = None
    received: LimitText | None = None
    accepted: LimitText | None = None
    completed: LimitText | None = None
    clocks: tuple[str, ...] = ()
    """Further clocks of this definition (scope handoff) that every such handoff carries."""
    hidden_from: tuple[str, ...] = ()
    articles: tuple[ArticleText, ...] = ()

    def matches(self, kind: str | None, data: Mapping[str, Any]) -> bool:
        """Whether a `handoff.sent` of this kind with this payload is of this sort."""
        return self.kind in (kind, "*") and all(data.get(field) in values for field, values in self.where.items())

    def limit_clocks(self) -> Iterator[Clock]:
        """The limits as clocks, named `handoff.<id>.<stage>`."""
        for stage, (before, stops, words) in _STAGES.items():
            limit: Limit | None = getattr(self, stage)
            if limit is None:
                continue
            starts = [word for word in _STARTED_BY[limit.start or before] if word not in stops]
            yield Clock(
                id=f"{_HANDOFF}{self.id}.{stage}",
                title=limit.title or words,
                kind=limit.kind,
                articles=limit.articles or self.articles,
                scope="handoff",
                starts=tuple(Trigger(on=_HANDOFF + word) for word in starts),
                stops=tuple(Trigger(on=_HANDOFF + word) for word in stops),
                length=limit.length,
                roll=limit.roll,
                birth=limit.birth,
                calendar_of="addressee",
                effect=limit.effect or (Effect.SERVICE_TARGET if limit.kind == "service" else Effect.NONE),
                holder=self.to_role,
                warn=limit.warn,
            )


class Journey(Model):
    """The definition of one procedure, in force from `valid_from` to `valid_to` (both included)."""

    procedure: str = Field(pattern=r"^[a-z][a-z0-9.-]*$")
    title: Text
    summary: Text | None = None
    valid_from: date
    valid_to: date | None = None
    articles: tuple[ArticleText, ...] = ()
    roles: tuple[Role, ...]
    steps: tuple[Step, ...]
    handoffs: tuple[Handoff, ...] = ()
    clocks: tuple[Clock, ...] = ()
    retention_days: int | None = Field(default=None, ge=0)
    """Days after the end of every case of a journey after which its facts are dropped; none: kept for ever."""

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that change whenever anything in the definition does."""
        return blake2b(self.model_dump_json(by_alias=True).encode(), digest_size=16).digest()

    def handoff(self, kind: str | None, data: Mapping[str, Any]) -> Handoff | None:
        """The first sort of handoff that a `handoff.sent` matches, if any."""
        return next((handoff for handoff in self.handoffs if handoff.matches(kind, data)), None)

    def in_force(self, day: date) -> bool:
        """Whether this version is in force on `day`."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Paths and messages of what the shape alone cannot catch: unknown roles, double ids, unknown clocks."""
        roles = {role.id for role in self.roles} | {"applicant"}
        groups: dict[str, tuple[Role | Step | Handoff | Clock, ...]] = {
            "roles": self.roles,
            "steps": self.steps,
            "handoffs": self.handoffs,
            "clocks": self.clocks,
        }
        for name, items in groups.items():
            seen: set[str] = set()
            for index, item in enumerate(items):
                if item.id in seen:
                    yield (name, index, "id"), f"the id {item.id!r} is there twice"
                seen.add(item.id)
                if not isinstance(item, Role):
                    yield from _role_problems((name, index), item, roles)
        handoff_clocks = {clock.id for clock in self.clocks if clock.scope == "handoff"}
        for index, handoff in enumerate(self.handoffs):
            for place, clock in enumerate(handoff.clocks):
                if clock not in handoff_clocks:
                    yield ("handoffs", index, "clocks", place), f"there is no clock {clock!r} of scope handoff"
        if self.valid_to and self.valid_to < self.valid_from:
            yield ("valid_to",), "valid_to lies before valid_from"


def _role_problems(
    path: tuple[str | int, ...], item: Step | Handoff | Clock, roles: set[str]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    named: list[tuple[str, str | None]] = []
    if isinstance(item, Clock):
        yield from ((path, problem) for problem in clock_problems(item))
    elif isinstance(item, Step):
        for field, triggers in (("begun_by", item.begun_by), ("done_by", item.done_by)):
            for place, trigger in enumerate(triggers):
                yield from (((*path, field, place), problem) for problem in trigger_problems(trigger))
    else:
        where = {"kind": [item.kind], **item.where} if item.kind != "*" else item.where
        yield from ((path, problem) for problem in trigger_problems(Trigger(on="handoff.sent", where=where)))
    if isinstance(item, Step):
        named = [("role", item.role), *(("hidden_from", role) for role in item.hidden_from)]
        if item.promise is not None and not (item.begun_by and item.done_by):
            yield (*path, "promise"), "a step with a promise says what begins and what ends it"
        if item.kind == "potential" and item.trigger is None:
            yield (*path, "kind"), "a potential step says in words what triggers it"
    elif isinstance(item, Handoff):
        named = [("from", item.from_role), ("to", item.to_role), *(("hidden_from", role) for role in item.hidden_from)]
    else:
        named = [("holder", item.holder)]
    for field, role in named:
        if role is not None and role not in roles:
            yield (*path, field), f"there is no role {role!r}"


class Definitions:
    """All known journey definitions, by procedure and date."""

    def __init__(self, journeys: list[Journey]) -> None:
        self._by: dict[str, list[Journey]] = {}
        for journey in sorted(journeys, key=lambda journey: journey.valid_from):
            self._by.setdefault(journey.procedure, []).append(journey)

    def __iter__(self) -> Iterator[Journey]:
        return (journey for versions in self._by.values() for journey in versions)

    def changed_by(self, new: Iterable[Journey]) -> Definitions:
        """These definitions with new ones added.

        From the beginning of its first new version on, a procedure has the new versions only; earlier ones stay, for a case keeps
        the rules of its start.
        """
        added = list(new)
        begins: dict[str, date] = {}
        for journey in added:
            begins[journey.procedure] = min(journey.valid_from, begins.get(journey.procedure, date.max))
        kept = [journey for journey in self if journey.valid_from < begins.get(journey.procedure, date.max)]
        return Definitions([*kept, *added])

    def find(self, procedure: str, day: date) -> Journey | None:
        """The version of `procedure` in force on `day`, if there is one."""
        return next((journey for journey in reversed(self._by.get(procedure, ())) if journey.in_force(day)), None)

    def of(self, procedure: str | None, day: date) -> Journey:
        """The version in force on `day`, else the generic definition (which must be there: LookupError)."""
        found = self.find(procedure, day) if procedure else None
        found = found or self.find(GENERIC, day) or next(iter(self._by.get(GENERIC, ())), None)
        if found is None:
            raise LookupError("there is no generic journey definition")
        return found

    def handoff(self, journey: Journey, kind: str | None, data: Mapping[str, Any]) -> Handoff | None:
        """The sort of a `handoff.sent` in `journey`, else in the generic definition."""
        found = journey.handoff(kind, data)
        if found is None and journey.procedure != GENERIC and GENERIC in self._by:
            found = self._by[GENERIC][-1].handoff(kind, data)
        return found


def check(document: Document) -> tuple[Journey | None, list[Problem]]:
    """Validate one parsed file; never raises. Its clocks may `use` named ones (`schemas.library`)."""
    value, problems = _expanded(document)
    try:
        journey = Journey.model_validate(value)
    except ValidationError as error:
        return None, problems + [
            Problem(document.file, document.line(item["loc"]), ".".join(map(str, item["loc"])), item["msg"])
            for item in error.errors(include_url=False)
        ]
    return journey, problems + [
        Problem(document.file, document.line(path), ".".join(map(str, path)), message)
        for path, message in journey.problems()
    ]


def _expanded(document: Document) -> tuple[Any, list[Problem]]:
    value, problems = document.value, []
    if isinstance(value, dict) and isinstance(value.get("clocks"), list):
        full = [expand(entry, entries()) for entry in value["clocks"]]
        for index, (_, wrong) in enumerate(full):
            if wrong:
                line = document.line(("clocks", index, "use"))
                problems.append(Problem(document.file, line, f"clocks.{index}.use", wrong))
                full[index] = {**entries()[STAND_IN], "id": f"unknown-{index}"}, None
        value = {**value, "clocks": [entry for entry, _ in full]}
    return value, problems


def load_checked(directory: Path = JOURNEYS) -> tuple[Definitions, list[Problem]]:
    """Read every `*.yaml` of a directory: the sound definitions, and the problems of all files."""
    journeys: list[Journey] = []
    problems: list[Problem] = []
    for path in sorted(directory.glob("*.yaml")):
        document, found = read(path)
        if document is not None:
            journey, more = check(document)
            found = found + more
            if journey is not None and not found:
                journeys.append(journey)
        problems += found
    return Definitions(journeys), problems


def load(directory: Path = JOURNEYS) -> Definitions:
    """Read every definition of a directory; `InvalidFilesError` lists all problems if there is one."""
    definitions, problems = load_checked(directory)
    if problems:
        raise InvalidFilesError(problems)
    return definitions
