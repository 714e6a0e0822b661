"""The rule book: all that a view needs beside facts and the time. Values only; whoever builds it reads the files.

A case keeps the rules in force when it began: definitions are found by procedure and by the date of its first fact.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from hashlib import blake2b

from schemas.definitions import Definitions, Journey
from schemas.directory import EVERYTHING, Body, Directory
from streams.engine.calendars import Calendar
from streams.engine.facts import Claim
from streams.engine.rules import JourneyRules, compile_journey

EPOCH = date(1970, 1, 1).toordinal()

Calendars = Callable[[str, str, str | None], Calendar]
"""(territory, zone, INSEE code of the commune) -> calendar."""


class Book:
    """Definitions, bodies, calendars and conventions of one deployment at one moment; immutable in what it says."""

    def __init__(
        self, definitions: Definitions, directory: Directory, calendars: Calendars, crowd: int = 5_000
    ) -> None:
        self._definitions = definitions
        self.directory = directory
        self._bodies: dict[str, Body] = directory.by_id()
        self._calendars = calendars
        self.crowd = crowd
        """Facts above which a journey is shown as degraded; it stays correct."""
        self._rules: dict[tuple[str, int], JourneyRules] = {}
        self._compiled: dict[bytes, JourneyRules] = {}
        self._calendar: dict[str, Calendar] = {}
        parts = [j.digest for j in definitions] + [directory.digest, crowd.to_bytes(8, "big")]
        self.digest: bytes = blake2b(b"".join(sorted(parts)), digest_size=8).digest()
        """8 bytes that change whenever a rule, a body or a convention does."""

    def rules(self, procedure: str, day: int) -> JourneyRules:
        """The rules of a procedure in force on a day (days since 1970-01-01); the generic ones if it has none."""
        found = self._rules.get((procedure, day))
        if found is None:
            journey = self._definitions.of(procedure or None, _date(day))
            found = self._compiled.get(journey.digest) or self._compiled.setdefault(
                journey.digest, compile_journey(journey)
            )
            if len(self._rules) > 100_000:
                self._rules.clear()
            self._rules[(procedure, day)] = found
        return found

    def procedures(self, day: int) -> list[Journey]:
        """The definitions in force on a day, one for each procedure."""
        known = sorted({journey.procedure for journey in self._definitions})
        found = (self._definitions.find(procedure, _date(day)) for procedure in known)
        return [journey for journey in found if journey is not None]

    def body(self, body: str) -> Body | None:
        """A body of the directory."""
        return self._bodies.get(body)

    def calendar(self, body: str) -> Calendar:
        """The calendar that counts for a body; that of mainland France if the directory does not know it."""
        found = self._calendar.get(body)
        if found is None:
            known = self._bodies.get(body)
            territory, zone, insee = (
                (known.calendar, known.zone, known.insee) if known else ("metropole", "Europe/Paris", None)
            )
            found = self._calendar[body] = self._calendars(territory, zone, insee)
        return found

    def connected(self, body: str, procedure: str, day: int) -> bool:
        """Whether a body states facts of a procedure on the bus; an unknown body is taken to do so."""
        known = self._bodies.get(body)
        return known is None or known.is_connected(procedure, _date(day))

    def convention(self, claim: Claim) -> bool:
        """Whether a convention covers the claimant, the owner of the reference and the procedure on the day of the claim."""
        return any(
            c.body == claim.body
            and c.owner == claim.issuer
            and c.procedure in (EVERYTHING, claim.procedure)
            and c.since <= _date(claim.on)
            and (c.until is None or _date(claim.on) <= c.until)
            for c in self.directory.conventions
        )


def _date(day: int) -> date:
    """A date for a day; days that no calendar has are brought back to the nearest that one has."""
    return date.fromordinal(min(max(day + EPOCH, 1), date.max.toordinal()))
