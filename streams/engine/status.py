"""The status record, and a way to write it that keeps what has not changed as bytes.

`record` and the codec are the slow twin of `StatusWriter`, which writes the same bytes: a test holds them equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from fastavro import parse_schema

from schemas.binary import Plan
from schemas.codec import MARKER, bus, written
from streams.engine.cases import Case
from streams.engine.clocktypes import ClockRun
from streams.engine.rules import ClockRule


def case_record(case: Case, runs: Iterable[tuple[ClockRule, ClockRun]]) -> dict[str, Any]:
    """One file as a status lists it."""
    return {
        "case": case.text, "body": case.body, "procedure": case.procedure or None, "place": case.place,
        "visibility": case.visibility, "state": case.state.value, "opened_on": case.opened_on, "since": case.since,
        "outcome": case.outcome, "decided_on": case.decided_on, "notified_on": case.notified_on, "asked": case.asked,
        "asked_until": case.asked_until, "steps": [_step(s) for s in case.steps.values()], "access_code": case.access_code,
        "conflicts": case.conflicts,
        "clocks": [{"rule": rule.id, "state": run.state.value, "due_on": run.due_on} for rule, run in runs],
    }  # fmt: skip


def _step(step: dict[str, Any]) -> dict[str, Any]:
    return {**step, "started_on": step.get("started_on"), "completed_on": step.get("completed_on")}


def door(cases: Iterable[Case]) -> Case:
    """The case with which a journey began: for display alone."""
    return min(cases, key=lambda c: (c.opened_on is None, c.opened_on or 0, c.started_on, c.key))


def record(
    references: bytes, first: Case, cases: list[dict[str, Any]], handoffs: list[dict[str, Any]], degraded: bool
) -> dict[str, Any]:
    """A status as the codec takes it."""
    return {
        "references": references,
        "door": first.text,
        "procedure": first.procedure or None,
        "opened_on": _opened(first),
        "cases": cases,
        "handoffs": handoffs,
        "degraded": degraded,
    }


def _opened(first: Case) -> int:
    return first.opened_on if first.opened_on is not None else first.started_on


class _Item:
    """Writes the items of one array."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._parsed = parse_schema(schema)
        self._plan = Plan(self._parsed)

    def write(self, datum: dict[str, Any]) -> bytes:
        """One item."""
        return written(self._parsed, datum, self._plan)


class StatusWriter:
    """Writes statuses from files and passages that were written before (Avro 1.11, "Binary encoding")."""

    def __init__(self) -> None:
        schema = bus().latest("status")
        items = {f["name"]: f["type"]["items"] for f in schema.json["fields"] if f["name"] in ("cases", "handoffs")}
        seen = {
            f["type"]["name"]: f["type"]
            for f in items["cases"]["fields"]
            if isinstance(f["type"], dict) and "name" in f["type"]
        }
        alone = [
            {**f, "type": seen.get(str(f["type"]).rpartition(".")[2], f["type"])} for f in items["handoffs"]["fields"]
        ]
        self._case = _Item(items["cases"])
        self._passage = _Item({**items["handoffs"], "fields": alone})
        self._frame = MARKER + schema.fingerprint

    def case(self, datum: dict[str, Any]) -> bytes:
        """One file."""
        return self._case.write(datum)

    def passage(self, datum: dict[str, Any]) -> bytes:
        """One handoff in short."""
        return self._passage.write(datum)

    def status(
        self, references: bytes, first: Case, cases: list[bytes], handoffs: list[bytes], degraded: bool
    ) -> bytes:
        """The whole value, framed."""
        procedure = first.procedure
        return b"".join((
            self._frame,
            _long(len(references)), references,
            b"\x02", _text(first.text),
            b"\x02" + _text(procedure) if procedure else b"\x00",
            b"\x02", _long(_opened(first)),
            *_array(cases),
            *_array(handoffs),
            b"\x01" if degraded else b"\x00",
        ))  # fmt: skip


@cache
def writer() -> StatusWriter:
    """The writer of this process."""
    return StatusWriter()


def _array(items: list[bytes]) -> tuple[bytes, ...]:
    return (_long(len(items)), *items, b"\x00") if items else (b"\x00",)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _long(len(encoded)) + encoded


def _long(n: int) -> bytes:
    """Zigzag, then seven bits a byte, least first."""
    n = (n << 1) ^ (n >> 63)
    out = bytearray()
    while n > 0x7F:
        out.append((n & 0x7F) | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)
