"""The door: from what a body sends to what is written on the bus, or all that is wrong with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from connectors.gateway.access import Grant
from connectors.gateway.codes import Minter
from connectors.gateway.problems import Flaw, ProblemError, Trouble
from connectors.kit.stating import NOT_ALLOWED, strangers
from schemas import canonical, cloudevents
from schemas.checks import MAX_REFERENCES, problems
from schemas.codec import Codec
from schemas.models import AnyEvent, Attestation
from schemas.models.case import CaseOpened
from schemas.problems import ProblemCode, UnsoundEventError
from schemas.references import Keys, ReferenceFormatError, parse
from streams.engine.book import Book
from streams.engine.facts import Reader
from streams.engine.routing import Route, route

MAX_FLAWS = 100
"""Flaws listed for one request, at most."""
DAY_S = 86_400
_SPEAKER = {ProblemCode.FOREIGN_SOURCE, ProblemCode.FOREIGN_SUBJECT}


@dataclass(frozen=True, slots=True)
class Accepted:
    """One event that may be written."""

    id: str
    source: str
    subject: str
    type: str
    value: bytes
    route: Route
    digest: str
    """Digest of the canonical form, hexadecimal: `previous` of the next fact."""
    fact: bytes | None
    """Key of the fact in its journey; None for what a body says of itself."""
    code: str | None
    """The person's secret code, if it was asked for."""


class Door:
    """Checks and encodes events. Synchronous; `take` may cost some milliseconds per event."""

    def __init__(self, keys: Keys, events: Codec, book: Book, minter: Minter, partitions: int) -> None:
        self._keys = keys
        self._events = events
        self.book = book
        self._minter = minter
        self._partitions = partitions
        self._reader = Reader(events, keys)

    def take(
        self,
        messages: list[object],
        grant: Grant,
        *,
        batch: bool,
        codes: bool = False,
        attested_by: Attestation = Attestation.GATEWAY,
    ) -> list[Accepted]:
        """All the events of a request, or `ProblemError` that names every field to mend: all or nothing."""
        taken: list[Accepted] = []
        flaws: list[Flaw] = []
        for number, message in enumerate(messages):
            index = number if batch else None
            try:
                event = cloudevents.parse(message, attested_by=attested_by)
            except UnsoundEventError as error:
                flaws += [Flaw(p.code.value, p.field, p.mend, index) for p in error.problems]
                continue
            found = self._flaws(event, grant, index)
            flaws += found
            if not found and not flaws:
                taken.append(self._encode(event, codes))
            if len(flaws) >= MAX_FLAWS:
                break
        if flaws:
            speaks = all(f.code in _SPEAKER or f.code == Trouble.NOT_ALLOWED for f in flaws)
            trouble = Trouble.NOT_ALLOWED if speaks else Trouble.UNSOUND_EVENT
            detail = f"{len(flaws)} to mend: see problems; nothing of this request was taken"
            raise ProblemError(trouble, detail, flaws[:MAX_FLAWS])
        return taken

    def _flaws(self, event: AnyEvent, grant: Grant, index: int | None) -> list[Flaw]:
        datum = event.to_datum()
        schema = self._events.latest(event.type)
        size = len(self._events.encode(event.type, datum))
        today = int(time.time() // DAY_S)
        found = problems(schema, datum, speaker=grant.body or "", today=today, size=size)
        flaws = [Flaw(p.code.value, cloudevents.outer_field(p.field), p.mend, index) for p in found]
        if flaws:
            return flaws
        if not grant.may_state(event.type, event.header.procedure):
            return [Flaw(Trouble.NOT_ALLOWED, "type", NOT_ALLOWED, index)]
        unknown = strangers(datum, self.book.body)
        return [Flaw("unknown-body", f"data.{name}", "name a body of the directory", index) for name in unknown]

    def _encode(self, event: AnyEvent, codes: bool) -> Accepted:
        code: str | None = None
        if codes and isinstance(event, CaseOpened) and event.access_code is None:
            event, code = self._with_code(event)
        datum: dict[str, Any] = event.to_datum()
        value = self._events.encode(event.type, datum)
        schema = self._events.latest(event.type)
        header = event.header
        at = route(schema, datum, self._keys, self._partitions)
        about_case = at.topic == "case-events"
        return Accepted(
            id=header.id,
            source=header.source,
            subject=header.subject,
            type=event.type,
            value=value,
            route=at,
            digest=canonical.digest(schema, datum).hex(),
            fact=self._reader.copy(value, 0).fact.key if about_case else None,
            code=code,
        )

    def _with_code(self, event: CaseOpened) -> tuple[CaseOpened, str]:
        """An opening with a code for the person, and a journey id for which the code can be exchanged at a counter."""
        header = event.header
        named = (header.source, header.subject, header.id)
        body = header.source.partition("/")[0]
        own = any(_is_journey_of(text, body) for text in header.references)
        if not own and len(header.references) < MAX_REFERENCES:
            references = (*header.references, self._minter.journey(body, *named))
            header = header.model_copy(update={"references": references})
        update = {"header": header, "access_code": self._minter.access_code(*named)}
        return event.model_copy(update=update), self._minter.code(*named)


def _is_journey_of(text: str, body: str) -> bool:
    try:
        return text.startswith("journey:") and parse(text).issuer == body
    except ReferenceFormatError:
        return False
