"""The directory of bodies: stable ids, dated attributes, whom to call, and conventions between bodies.

A body keeps its id for ever; SIRETs, names and procedures are attributes with dates, so a merger or a new SIRET moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from hashlib import blake2b
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

BodyId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}[a-z0-9]$")]
EVERYTHING = "*"

BodyKind = Literal[
    "commune",
    "epci",
    "metropole",
    "departement",
    "region",
    "prefecture",
    "udap",
    "state",
    "ccas",
    "syndicat",
    "mdph",
    "sdis",
    "school",
    "bailleur",
    "action-logement",
    "caf",
    "msa",
    "cpam",
    "carsat",
    "france-travail",
    "france-services",
    "dgfip",
    "insee",
    "ants",
    "saad",
    "association",
    "concession",
    "operator",
    "other",
]
"""What a body is: by it, journey definitions say which roles it may play, and so what is hidden from it."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Contact(_Model):
    """Whom a person or an agent may call; a service, never a person."""

    service: str
    phone: str | None = None
    mail: str | None = None
    hours: str | None = None
    """When somebody answers, in words."""


class Connection(_Model):
    """Since when (and until when) a body states facts of a procedure on the bus."""

    procedure: str
    """A procedure, or `*` for all."""
    since: date
    until: date | None = None


class Body(_Model):
    """One administration."""

    id: BodyId
    name: str
    kind: BodyKind
    sirets: tuple[Annotated[str, Field(pattern=r"^\d{14}$")], ...] = ()
    """Establishments, 14 digits."""
    insee: str | None = Field(default=None, pattern=r"^(\d{5}|2[AB]\d{3}|\d{2,3}|2[AB])$")
    """INSEE code of the commune, département or region, if it is one."""
    calendar: str = "metropole"
    """Territory of whose public holidays it keeps."""
    zone: str = "Europe/Paris"
    """Its legal time, IANA name."""
    contacts: dict[str, Contact] = {}
    """By procedure; `*` for any."""
    connected: tuple[Connection, ...] = (Connection(procedure=EVERYTHING, since=date(1970, 1, 1)),)
    """What it states on the bus; empty for a body that only receives by page or mail."""
    predecessors: tuple[BodyId, ...] = ()

    def is_connected(self, procedure: str, on: date) -> bool:
        """Whether it states facts of this procedure on that day."""
        return any(
            c.procedure in (EVERYTHING, procedure) and c.since <= on and (c.until is None or on <= c.until)
            for c in self.connected
        )

    def contact(self, procedure: str) -> Contact | None:
        """Whom to call about a procedure."""
        return self.contacts.get(procedure) or self.contacts.get(EVERYTHING)


class Convention(_Model):
    """An agreement by which a body's cases join those of another that is not connected."""

    body: BodyId
    """The body whose claims it confirms."""
    owner: str
    """Issuer of the references claimed; for external ids the system and a colon, such as `hubee:`."""
    procedure: str
    """A procedure, or `*`."""
    since: date
    until: date | None = None


class Directory(_Model):
    """All bodies and conventions that a deployment knows."""

    bodies: tuple[Body, ...] = ()
    conventions: tuple[Convention, ...] = ()

    def __iter__(self) -> Iterator[Body]:  # type: ignore[override]
        return iter(self.bodies)

    @property
    def digest(self) -> bytes:
        """16 bytes that change whenever anything in the directory does."""
        return blake2b(self.model_dump_json().encode(), digest_size=16).digest()

    def by_id(self) -> dict[str, Body]:
        """Bodies by id."""
        return {b.id: b for b in self.bodies}

    def with_bodies(self, bodies: Iterable[Body]) -> Directory:
        """A directory with these bodies added, or put in the place of those of the same id."""
        merged = self.by_id() | {b.id: b for b in bodies}
        return self.model_copy(update={"bodies": tuple(merged[k] for k in sorted(merged))})
