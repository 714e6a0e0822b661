"""Where a request stands for the person who made it: one state of a few, who has the file, which date counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from schemas.rules import Clock, Effect
from streams.engine.book import Book
from streams.engine.counting import to_day

Json = dict[str, Any]


class Standing(StrEnum):
    """What the person is told first."""

    RECEIVED = "received"
    PASSED_ON = "passed-on"
    TO_COMPLETE = "to-complete"
    IN_PROGRESS = "in-progress"
    OPINION_AWAITED = "opinion-awaited"
    SUSPENDED = "suspended"
    GRANTED = "granted"
    GRANTED_IN_PART = "granted-in-part"
    REFUSED = "refused"
    INADMISSIBLE = "inadmissible"
    NO_FURTHER_ACTION = "no-further-action"
    SILENCE_YES = "silence-yes"
    SILENCE_NO = "silence-no"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


DECISIONS = {
    "granted": Standing.GRANTED,
    "granted_in_part": Standing.GRANTED_IN_PART,
    "refused": Standing.REFUSED,
    "inadmissible": Standing.INADMISSIBLE,
    "no_further_action": Standing.NO_FURTHER_ACTION,
}
_YES = frozenset({Effect.GRANTED, Effect.GRANTED_FLAT_RATE, Effect.NOT_OPPOSED})
_NO = frozenset({Effect.REFUSED, Effect.OPPOSED})
_WAYS_OUT = frozenset({"case.decided", "case.notified"})
_TRANSFER = "transfer"
_LASTING = frozenset({"running", "paused", "waiting"})
_PENDING = frozenset({"sent", "received"})
_TAKEN = frozenset({"accepted", "completed"})


@dataclass(frozen=True, slots=True)
class Holder:
    """The body that has the file."""

    body: Json
    since: str | None
    """ISO 8601."""
    case: Json | None
    """Its own file, if it has told of one."""
    pending: Json | None
    """The handoff to it that it has not taken yet."""


@dataclass(frozen=True, slots=True)
class Found:
    """All that the page is built from."""

    standing: Standing
    holder: Holder
    case: Json | None
    """The file that counts: that of the holder, or else of the door."""
    clock: Json | None
    """The limit of the answer, if one has started."""
    rule: Clock | None
    """Its rule, for what it says to the person."""
    waits: bool
    """Whether a limit of the answer is defined that has not started yet."""
    asking: tuple[Json, ...]
    """Files that wait for something from the person."""
    consulted: tuple[Json, ...]
    """Bodies whose opinion is awaited."""


def stand(journey: Json, book: Book, today: date) -> Found:
    """Where a journey (as the gateway answers it) stands on a day."""
    files = [c for c in journey["cases"] if not c["neutral"]]
    holder = _holder(journey, files)
    case = holder.case or _door(journey, files)
    clock, rule, waits = _answer(_chain(case, files), book)
    asking = tuple(c for c in files if c["state"] == "waiting_for_person")
    consulted = tuple(
        h["to"]
        for h in journey["handoffs"]
        if h["kind"] == "consultation" and h["state"] in {"sent", "received", "accepted"}
    )
    standing = _standing(journey, holder, case, clock, asking, consulted, today)
    return Found(standing, holder, case, clock, rule, waits, asking, consulted)


def _door(journey: Json, files: list[Json]) -> Json | None:
    return next((c for c in files if c["case"] == journey["door"]), files[0] if files else None)


def _holder(journey: Json, files: list[Json]) -> Holder:
    """Follow the transfers from the door on."""
    door = _door(journey, files)
    first = door["body"] if door else next((c["body"] for c in journey["cases"]), None)
    moves = sorted((h for h in journey["handoffs"] if h["kind"] == _TRANSFER), key=lambda h: (h["sent_on"], h["since"]))
    body = first or (moves[0]["from"] if moves else journey["handoffs"][0]["from"])
    since = door["opened_on"] or door["since"] if door else None
    for move in moves:
        if move["from"]["id"] == body["id"] and move["state"] in _PENDING:
            return Holder(move["to"], move["sent_on"], None, move)
        if move["from"]["id"] == body["id"] and move["state"] in _TAKEN:
            body, since = move["to"], move["since"]
    own = [c for c in files if c["body"]["id"] == body["id"]]
    case = max(
        own, key=lambda c: (c["state"] not in ("closed", "withdrawn"), c["opened_on"] or c["since"]), default=None
    )
    if case is not None and since is None:
        since = case["opened_on"] or case["since"]
    return Holder(body, since, case, None)


def _chain(case: Json | None, files: list[Json]) -> list[Json]:
    """The file that counts, and those of the same procedure from which it came, the latest first."""
    if case is None:
        return []
    before = [c for c in files if c is not case and c["procedure"] == case["procedure"]]
    return [case, *sorted(before, key=lambda c: c["opened_on"] or c["since"], reverse=True)]


def _answer(chain: list[Json], book: Book) -> tuple[Json | None, Clock | None, bool]:
    """The limit within which the person has to be answered: that of the file that counts, or else one that it was handed.

    Whoever takes a request on takes on the limit that runs since the door. Of several in one file: the strongest effect, then the latest.
    """
    waits = False
    for case in chain:
        day = case["opened_on"] or case["since"]
        rules = book.rules(case["procedure"] or "", to_day(date.fromisoformat(day)))
        answers = {c.id: c for c in rules.journey.clocks if _answers(c)}
        known = [c for c in case["clocks"] if c["rule"] in answers and c["state"] != "not-started"]
        if case is not chain[0]:
            known = [c for c in known if c["state"] in _LASTING]
        if known:
            best = max(known, key=lambda c: (*_weight(answers[c["rule"]]), c["due_on"] or ""))
            return best, answers[best["rule"]], False
        waits = waits or any(c.kind == "legal" for c in answers.values())
    return None, None, waits


def _answers(clock: Clock) -> bool:
    starts, stops = {t.on for t in clock.starts}, {t.on for t in clock.stops}
    return (
        clock.scope == "case"
        and clock.holder != "applicant"
        and bool(stops & _WAYS_OUT)
        and not starts & {*_WAYS_OUT, "silence"}
        and not stops & {"case.acknowledged", "case.pieces-requested"}
        and not clock.id.startswith("step.")
    )


def _weight(clock: Clock) -> tuple[bool, bool]:
    return clock.effect in _YES | _NO, clock.kind == "legal"


def _standing(
    journey: Json,
    holder: Holder,
    case: Json | None,
    clock: Json | None,
    asking: tuple[Json, ...],
    consulted: tuple[Json, ...],
    today: date,
) -> Standing:
    state = case["state"] if case else "open"
    ended = Standing(state) if state in ("withdrawn", "closed") and not holder.pending else None
    decided = DECISIONS.get(case["outcome"]) if case is not None else None
    begun = _begun(journey["steps"]) or holder.case is not _door_of(journey)
    pending: list[tuple[object, Standing]] = [
        (asking, Standing.TO_COMPLETE),
        (holder.pending, Standing.PASSED_ON),
        (state == "suspended", Standing.SUSPENDED),
        (consulted, Standing.OPINION_AWAITED),
        (begun, Standing.IN_PROGRESS),
    ]
    first = next((standing for holds, standing in pending if holds), Standing.RECEIVED)
    return decided or ended or _silence(clock, today) or first


def _door_of(journey: Json) -> Json | None:
    return next((c for c in journey["cases"] if not c["neutral"] and c["case"] == journey["door"]), None)


def _begun(steps: Iterable[Json]) -> bool:
    """Whether something was done beside filing."""
    return sum(1 for s in steps if s["state"] == "done" and s["role"] != "applicant") > 0 or any(
        s["state"] == "current" and s["since"] is not None for s in steps
    )


def _silence(clock: Json | None, today: date) -> Standing | None:
    if clock is None or clock["state"] != "running" or clock["due_on"] is None or "effect" not in clock:
        return None
    if date.fromisoformat(clock["due_on"]) >= today:
        return None
    effect = Effect(clock["effect"])
    return Standing.SILENCE_YES if effect in _YES else Standing.SILENCE_NO if effect in _NO else None
