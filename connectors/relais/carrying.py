"""What of one bus is carried to another: facts of the bodies that are at home there, byte for byte, and nothing that was here before.

Two guards end every circle, each enough alone. A bridge carries only the bodies that it lists, those at home at the other end: what came
from here is stated by others. And a carried fact bears the names of the buses that it passed, in a header that no digest knows: a bus
whose name is among them does not take it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from schemas.checks import problems
from schemas.codec import Codec, DecodeError, bus, reframed
from schemas.problems import ProblemCode
from schemas.references import Keys
from streams.engine.routing import ADMITTED, route
from streams.letters import dead_letter
from streams.reasons import Reason, of_fault
from streams.runtime.processor import Record, Send

VIA = "relais-via"
"""Kafka header: names of the buses that a fact passed, with commas between."""
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The two buses, and who is at home there."""

    origin: str
    """Name of the bus that is read; any name, the same in every bridge."""
    here: str
    """Name of the bus that is written."""
    instance: str
    """Instance that is written."""
    partitions: int
    """Partitions of its case-events."""
    bodies: Collection[str]
    """Ids of the bodies whose facts are carried: those at home at the origin, and nobody else may be spoken for."""


class Carrying:
    """Decides about one record after the other. Pure."""

    def __init__(self, ends: Ends, keys: Keys, events: Codec) -> None:
        """`keys`: of the bus that is written; the two buses need not share theirs."""
        self._ends = ends
        self._keys = keys
        self._events = events
        self._bus = bus()

    def carried(self, topic: str, partition: int, record: Record) -> Send | None:
        """What a record of the origin is here: the fact, a dead letter, or nothing."""
        value = record.value
        if value is None or self._bus.frame(value) is not None or self._ends.here in _via(record):
            return None
        try:
            schema, datum = self._events.decode(value)
        except DecodeError as error:
            return self._letter(topic, partition, record, of_fault(error.fault), str(error), None)
        body = datum["header"]["source"].partition("/")[0]
        if body not in self._ends.bodies:
            return None
        found = problems(schema, datum, speaker=body, today=record.timestamp // DAY_MS, size=len(value))
        if found:
            number = ProblemCode.NATIONAL_IDENTITY_NUMBER
            first = next((p for p in found if p.code is number), found[0])
            reason = Reason.PERSONAL_NUMBER if first.code is number else Reason.INVALID
            return self._letter(topic, partition, record, reason, first.mend, first.field or None)
        at = route(schema, datum, self._keys, self._ends.partitions)
        headers = [(n, v) for n, v in record.headers if n not in (VIA, ADMITTED)]
        headers.append((VIA, ",".join([*_via(record), self._ends.origin]).encode()))
        to = f"{self._ends.instance}.{at.topic}"
        return Send(to, at.partition, at.key, reframed(schema, value), headers)

    def _letter(
        self, topic: str, partition: int, record: Record, reason: Reason, detail: str, field: str | None
    ) -> Send:
        to = f"{self._ends.instance}.dead-letters"
        return dead_letter(to, topic, partition, record, reason, detail, field)


def _via(record: Record) -> list[str]:
    return [name for n, v in record.headers if n == VIA for name in v.decode(errors="replace").split(",")]
