"""From what a record states to a fact that may be written, by the same checks as at the gateway's door."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.kit.mapper import Said
from schemas import canonical, cloudevents
from schemas.checks import problems
from schemas.codec import Codec
from schemas.models import AnyEvent, Attestation
from schemas.problems import UnsoundEventError
from schemas.references import Keys, ReferenceFormatError
from streams.engine.routing import Route, route
from streams.reasons import Reason

DAY_S = 86_400
_ADDRESSED = ("to", "redirect_to")
NOT_ALLOWED = "this body may not state this kind of fact about this procedure: ask those who run the bus"
"""The words of every door for it."""
May = Callable[[str, str | None], bool]
"""Whether a body may state a kind of fact about a procedure."""


class UnknownBodyError(ValueError):
    """An event that names a body which the directory does not have; `field` says where."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field}: name a body of the directory")
        self.field = field


class NotAllowedError(ValueError):
    """A kind of fact that the body may not state, or not about this procedure."""

    def __init__(self) -> None:
        super().__init__(NOT_ALLOWED)


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact that may be written."""

    id: str
    type: str
    subject: str
    value: bytes
    route: Route
    digest: str
    """Digest of the canonical form, 32 of its 64 hexadecimal digits."""
    sequence: int
    event: AnyEvent


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not taken."""

    reason: Reason
    field: str | None
    detail: str
    """What to mend, all of it; never repeats the content."""


def strangers(datum: Mapping[str, Any], known: Callable[[str], object]) -> list[str]:
    """Fields of an event that name a body which nobody knows."""
    return [name for name in _ADDRESSED if datum.get(name) is not None and not known(datum[name])]


class Stating:
    """What one connector states: in whose name, and where it goes."""

    def __init__(
        self,
        body: str,
        system: str,
        codec: Codec,
        keys: Keys,
        partitions: int,
        bodies: Collection[str] | None,
        may: May = lambda _type, _procedure: True,
    ) -> None:
        """`bodies`: those that may be named; None: whoever is named is taken to exist. `may`: what the body may state."""
        self.body = body
        self.may = may
        self.source = f"{body}/{system}"
        self._codec = codec
        self._keys = keys
        self._partitions = partitions
        self._known = bodies.__contains__ if bodies is not None else lambda _: True

    def fact(self, said: Said, id_: str, sequence: int) -> Fact:
        """The fact of what was said.

        Raises:
            UnsoundEventError: it is not sound; all problems are named, in the mapping's words.
            NotAllowedError: its body may not state it.
            UnknownBodyError: it names a body that there is not.
        """
        event = self._event(said, id_, sequence)
        datum: dict[str, Any] = event.to_datum()
        schema = self._codec.latest(event.type)
        value = self._codec.encode(event.type, datum)
        found = problems(schema, datum, speaker=self.body, today=int(time.time() // DAY_S), size=len(value))
        if found:
            raise UnsoundEventError([replace(p, field=cloudevents.catalog_field(p.field)) for p in found])
        if not self.may(event.type, event.header.procedure):
            raise NotAllowedError
        for name in strangers(datum, self._known):
            raise UnknownBodyError(name)
        digest = canonical.digest(schema, datum).hex()[:32]
        at = route(schema, datum, self._keys, self._partitions)
        return Fact(id_, event.type, event.header.subject, value, at, digest, event.header.sequence or 0, event)

    def _event(self, said: Said, id_: str, sequence: int) -> AnyEvent:
        fields = {"sequence": sequence, **said}
        name = str(fields.pop("type", ""))
        return cloudevents.from_fields(name, fields, source=self.source, id_=id_, attested_by=Attestation.GATEWAY)


UNSOUND = (UnsoundEventError, NotAllowedError, UnknownBodyError, ReferenceFormatError)
"""What `Stating.fact` raises."""


def refusal_of(error: UnsoundEventError | NotAllowedError | UnknownBodyError | ReferenceFormatError) -> Refusal:
    """What a dead letter says of an unsound event."""
    if isinstance(error, NotAllowedError):
        return Refusal(Reason.NOT_ALLOWED, "type", str(error))
    if isinstance(error, UnknownBodyError):
        return Refusal(Reason.UNKNOWN_BODY, error.field, str(error))
    if isinstance(error, ReferenceFormatError):
        return Refusal(Reason.INVALID, "subject", str(error))
    first = error.problems[0]
    codes = {p.code.value for p in error.problems}
    personal = "national-identity-number" in codes
    detail = "; ".join(f"{p.field}: {p.mend}" if p.field else p.mend for p in error.problems[:8])
    return Refusal(Reason.PERSONAL_NUMBER if personal else Reason.INVALID, first.field or None, detail)
