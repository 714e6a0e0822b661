"""Admission of the topics to which bodies write without the gateway: who speaks, is it sound; then on to `case-events`.

The topic says who speaks: only the body whose name it bears may write to it. What is sound is forwarded as it came (a registry's
framing is replaced by our own, which needs none) with the instant of its admission; anything else becomes a dead letter and the
partition goes on. Being at-least-once is enough here, since correlate knows a fact that it has.
"""

from __future__ import annotations

from typing import Any

import structlog

from schemas.catalog import Schema
from schemas.checks import MAX_BYTES, problems
from schemas.codec import Codec, DecodeError, reframed
from schemas.codec import bus as bus_codec
from schemas.problems import Problem, ProblemCode
from streams.correlate import Plan
from streams.engine.book import Book
from streams.engine.routing import ADMITTED, CASE_EVENTS, route
from streams.letters import dead_letter
from streams.metrics import DEAD_LETTERS
from streams.reasons import Reason, of_fault
from streams.runtime.processor import Effects, Record, Send

log = structlog.get_logger()

DAY_MS = 86_400_000

_REASONS = {
    ProblemCode.FOREIGN_SOURCE: Reason.NOT_ALLOWED,
    ProblemCode.FOREIGN_SUBJECT: Reason.NOT_ALLOWED,
    ProblemCode.FOREIGN_HANDOFF: Reason.NOT_ALLOWED,
    ProblemCode.OWN_HANDOFF: Reason.NOT_ALLOWED,
    ProblemCode.TOO_LARGE: Reason.TOO_LARGE,
}


class _RefusedError(Exception):
    """A record that is not taken."""

    def __init__(self, reason: Reason, detail: str = "", field: str | None = None) -> None:
        super().__init__(reason.value)
        self.reason, self.detail, self.field = reason, detail, field


class Admit:
    """The processor of one partition of the topic of `body` (see `streams.runtime.processor.Processor`)."""

    def __init__(self, plan: Plan, body: str, partition: int, book: Book) -> None:
        self._plan = plan
        self._body = body
        self._partition = partition
        self._book = book
        self._bus: Codec = bus_codec()
        self._topic = plan.topic(f"{CASE_EVENTS}.{body}")
        self._letters_topic = plan.topic("dead-letters")
        self._tick = -1

    @property
    def progress(self) -> int | None:
        """Led instances: the last tick read (ms); None until one was read since the start.

        There is no state to keep it in: after a takeover time waits for the next tick, and whoever leads may write the last one again.
        What is forwarded before has its stamp from the ticks of `case-events`: later than it might be, never too early.
        """
        return self._tick if self._plan.led and self._tick >= 0 else None

    def use(self, book: Book) -> None:
        """Take another rule book."""
        self._book = book

    def process(self, records: list[Record]) -> Effects:
        """Effects of the next records of the topic."""
        effects = Effects()
        tick = self._tick
        for record in records:
            try:
                self._take(record, effects)
            except _RefusedError as error:
                self._refuse(effects, record, error)
            except Exception:
                log.exception("a record made relais fail", body=self._body, offset=record.offset)
                self._refuse(effects, record, _RefusedError(Reason.BUG))
        if self._tick != tick:
            effects.progress = self._tick
        return effects

    def _take(self, record: Record, effects: Effects) -> None:
        value = record.value or b""
        if len(value) > MAX_BYTES:
            raise _RefusedError(Reason.TOO_LARGE, f"shorten it to {MAX_BYTES} bytes; documents travel by reference")
        if self._bus.frame(value) is not None:
            self._take_tick(value)
            return
        try:
            schema, datum = self._plan.events.decode(value)
        except DecodeError as error:
            raise _RefusedError(of_fault(error.fault), str(error)) from None
        stamp = self._stamp(record)
        self._check(schema, datum, stamp, len(value))
        at = route(schema, datum, self._plan.keys, self._plan.partitions)
        headers = [*((n, v) for n, v in record.headers if n != ADMITTED)]
        if at.topic == CASE_EVENTS and (self._tick >= 0 or not self._plan.led):
            headers.append((ADMITTED, stamp.to_bytes(8, "big")))
            effects.least = stamp if effects.least is None else min(effects.least, stamp)
        effects.sends.append(Send(self._plan.topic(at.topic), at.partition, at.key, reframed(schema, value), headers))

    def _take_tick(self, value: bytes) -> None:
        try:
            schema, datum = self._bus.decode(value)
        except DecodeError as error:
            raise _RefusedError(of_fault(error.fault), str(error)) from None
        if schema.name != "tick" or not self._plan.led:
            raise _RefusedError(Reason.NOT_ALLOWED, "only the bus itself writes its own messages: state an event")
        self._tick = max(self._tick, datum["at"])

    def _check(self, schema: Schema, datum: dict[str, Any], stamp: int, size: int) -> None:
        """Raise the first thing that is wrong; a national identity number goes before all else, since it is not kept."""
        found = problems(schema, datum, speaker=self._body, today=stamp // DAY_MS, size=size)
        if found:
            number = (p for p in found if p.code is ProblemCode.NATIONAL_IDENTITY_NUMBER)
            first = next(number, found[0])
            raise _RefusedError(_reason(first), f"{first.code.value}: {first.mend}{_place(first)}", first.field or None)
        if self._book.body(self._body) is None:
            raise _RefusedError(Reason.UNKNOWN_BODY, "add the body to the directory, then replay")
        if datum["header"]["attested_by"] != "body":
            detail = "on its own topic a body attests its facts itself: write body"
            raise _RefusedError(Reason.NOT_ALLOWED, detail, "header.attested_by")

    def _stamp(self, record: Record) -> int:
        return self._tick if self._plan.led and self._tick >= 0 else record.timestamp

    def _refuse(self, effects: Effects, record: Record, error: _RefusedError) -> None:
        DEAD_LETTERS.labels("admit", error.reason.value).inc()
        letter = dead_letter(
            self._letters_topic, self._topic, self._partition, record, error.reason, error.detail, error.field
        )
        effects.sends.append(letter)

    def timers(self, established: int, limit: int) -> Effects | None:
        """Nothing is ever due here."""
        return None

    def derive(self, key: bytes, value: bytes | None) -> list[tuple[bytes, bytes | None]]:
        """There is no changelog."""
        return []

    def reset(self) -> None:
        """Know of no tick: others may have had this partition since the last, and all that was said since would be still to come."""
        self._tick = -1


def _reason(problem: Problem) -> Reason:
    if problem.code is ProblemCode.NATIONAL_IDENTITY_NUMBER:
        return Reason.PERSONAL_NUMBER
    return _REASONS.get(problem.code, Reason.INVALID)


def _place(problem: Problem) -> str:
    return "" if problem.start is None else f" (from character {problem.start}, {problem.length} long)"
