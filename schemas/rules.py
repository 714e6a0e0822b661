"""Rules as data: lengths, triggers, modifiers and clocks, as they stand in `journeys/*.yaml`.

A clock is one running time limit of a case or of a handoff. Nothing here computes: `streams.engine.rules` compiles a
`Clock` and `streams.engine.clocks` runs it. Every rule names its articles and how surely each was read.
"""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Scalar = str | bool | int | None
SILENCE = "silence"
"""Type of the derived fact that silence had an effect (`effect`, `rule` in its data): never on the bus, only in rules."""
APPLICANT = "applicant"
"""Holder of a limit that binds the person."""
UNITS = ("days", "ouvres", "ouvrables", "francs", "weeks", "months", "years")
_ARTICLE = re.compile(r"(?P<ref>[^\[\]]+?)\s*\[(?P<mark>[a-z-]+)(?:\s+(?P<on>\d{4}-\d{2}-\d{2}))?\]")


class Model(BaseModel):
    """Frozen, and strict about unknown keys: a misspelt key in a rule would silently change a date."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(Model):
    """Words that people read, in the two languages."""

    fr: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Mark(StrEnum):
    """How surely a rule was read: in force text, an older version of it, a secondary page, or not at all."""

    READ = "read"
    OLD = "old"
    SECONDARY = "secondary"
    UNVERIFIED = "unverified"


class Article(Model):
    """A legal basis. In YAML: `"C. urb. R*423-23 [read 2026-04-03]"`, the date being that of the version read."""

    ref: str
    mark: Mark
    on: date | None = None

    @property
    def verified(self) -> bool:
        """Whether the text was read in a version in force when the rule was written."""
        return self.mark is Mark.READ


def _article(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _ARTICLE.fullmatch(value.strip())
    if match is None:
        raise ValueError('an article reads "C. urb. R*423-23 [read 2026-04-03]": a reference, then a mark in brackets')
    return match.groupdict()


ArticleText = Annotated[Article, BeforeValidator(_article)]


class Length(Model):
    """A length in one or more parts, longest unit first. In YAML: `2 months`, `1 month 15 days`, `10 ouvres`."""

    parts: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        return " ".join(f"{count} {unit}" for count, unit in self.parts)


def _length(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    words = value.split()
    parts: list[tuple[int, str]] = []
    for number, name in zip(words[::2], words[1::2], strict=False):
        unit = name if name.endswith("s") else name + "s"
        if not number.isdigit() or not 0 < int(number) <= 3660 or unit not in UNITS:
            break
        parts.append((int(number), unit))
    if not parts or 2 * len(parts) != len(words):
        raise ValueError(f'a length reads "2 months" or "1 month 15 days"; units: {", ".join(UNITS)}')
    return {"parts": tuple(parts)}


def about(length: Length) -> float:
    """A length in days, roughly: to put lengths in order."""
    days = {"days": 1.0, "ouvres": 1.4, "ouvrables": 1.2, "francs": 1.0, "weeks": 7.0, "months": 30.4, "years": 365.0}
    return sum(count * days[unit] for count, unit in length.parts)


LengthText = Annotated[Length, BeforeValidator(_length)]


class Effect(StrEnum):
    """What it means that a clock ran out."""

    GRANTED = "granted"
    GRANTED_FLAT_RATE = "granted-flat-rate"
    REFUSED = "refused"
    NOT_OPPOSED = "not-opposed"
    OPPOSED = "opposed"
    OPINION_FAVOURABLE = "opinion-favourable"
    OPINION_REFUSED = "opinion-refused"
    OPINION_GIVEN = "opinion-given"
    DEEMED_COMPLETE = "deemed-complete"
    CONFIRMED = "confirmed"
    WAIVED = "waived"
    TAKEN_OVER = "taken-over"
    LAPSED = "lapsed"
    BARRED = "barred"
    DEEMED_NOTIFIED = "deemed-notified"
    SERVICE_TARGET = "service-target"
    NONE = "none"


class Birth(StrEnum):
    """How the law names the day on which silence took effect: the last day, the day after, or the day on which the time began."""

    SAME_DAY = "same-day"
    NEXT_DAY = "next-day"
    FIRST_DAY = "first-day"


class Trigger(Model):
    """A fact that matters to a rule or a step."""

    on: str
    """Event type, such as `case.opened`."""
    where: dict[str, list[Scalar]] = Field(default_factory=dict)
    """Payload fields and the values that match; `null` matches an absent field."""
    date: str | None = None
    """Payload field that holds the legal date, if it is there; otherwise the date of the fact."""
    shift: int = Field(default=0, ge=-31, le=31)
    """Days added to that date ("received the day after")."""


def _trigger(value: Any) -> Any:
    return {"on": value} if isinstance(value, str) else value


TriggerText = Annotated[Trigger, BeforeValidator(_trigger)]
Triggers = tuple[TriggerText, ...]


class RestartOnComplete(Model):
    """A valid request for missing pieces stops the clock; it starts again, whole, when the file is complete."""

    op: Literal["restart-on-complete"]
    articles: tuple[ArticleText, ...] = ()
    asks: Triggers = (Trigger(on="case.pieces-requested", date="notified_on"),)
    supplies: Triggers = (Trigger(on="case.pieces-received", where={"complete": [True]}),)
    within: LengthText | None = None
    """A request has effect only if made within this of the first start."""
    pieces: tuple[str, ...] = ()
    """Pieces that may be asked for; a request for none of them has no effect. Empty: any."""
    user_limit: LengthText | None = None
    """Time the person has, from the request."""
    unsupplied: Effect | None = None
    """What it means that they did not use it."""
    unsupplied_birth: Birth = Birth.SAME_DAY
    """How that day is named; a rejection bears the last day, as in the general law (CE 5 June 2009 n° 312682)."""


class SuspendBounded(Model):
    """A request for pieces suspends the clock until they come, or until the limit set in the request (CRPA L114-5)."""

    op: Literal["suspend-bounded"]
    articles: tuple[ArticleText, ...] = ()
    asks: Triggers = (Trigger(on="case.pieces-requested", date="notified_on"),)
    supplies: Triggers = (Trigger(on="case.pieces-received", where={"complete": [True]}),)
    within: LengthText | None = None
    pieces: tuple[str, ...] = ()


class Suspend(Model):
    """A true suspension: what was left when it began is left when it ends."""

    op: Literal["suspend"]
    articles: tuple[ArticleText, ...] = ()
    begins: Triggers = (Trigger(on="case.suspended"),)
    ends: Triggers = (Trigger(on="case.resumed"),)
    max: LengthText | None = None
    """It ends by itself after this."""
    min_remaining: LengthText | None = None
    """At least this is left when it ends."""
    once: bool = False
    """Only the first one has effect."""


class Change(Model):
    """What one cause of extension does: adds to the length, or sets it."""

    add: LengthText | None = None
    set: LengthText | None = None

    @model_validator(mode="after")
    def _one(self) -> Change:
        if (self.add is None) == (self.set is None):
            raise ValueError("give either add or set")
        return self


class Extend(Model):
    """A longer limit, which counts only if the person was told in time."""

    op: Literal["extend"]
    articles: tuple[ArticleText, ...] = ()
    on: Triggers = (Trigger(on="case.extended", date="notified_on"),)
    causes: dict[str, Change] = {}
    """By the `cause` of the fact. A cause that is not listed uses the fact's own `length` and `unit`, if `open`."""
    open: bool = False
    within: LengthText | None = None
    """Notified within this of the first start."""
    before_end: bool = True
    """Notified at the latest on the last day of the running limit."""
    cumulate: bool = False
    """Whether several additions add up; otherwise the longest counts. A `set` excludes them all."""


class Replace(Model):
    """A new date, or a whole new limit, takes the place of the running one."""

    op: Literal["replace"]
    articles: tuple[ArticleText, ...] = ()
    on: Triggers
    due: str | None = None
    """Payload field that holds the new date; without it the clock starts again at the fact."""
    before_end: bool = True


class Interrupt(Model):
    """An act that starts the limit anew, when it is answered (`until`) or at once; or that does not (`then: no`)."""

    op: Literal["interrupt"]
    articles: tuple[ArticleText, ...] = ()
    on: Triggers
    until: Triggers = ()
    then: Literal["restart", "none"] = "restart"
    length: LengthText | None = None
    """Length that counts once it is answered; otherwise that of the clock."""


class Cap(Model):
    """Whatever happens, the clock ends at the latest this long after a fact (its first start if `of` is empty)."""

    op: Literal["cap"]
    articles: tuple[ArticleText, ...] = ()
    length: LengthText
    of: Triggers = ()


class ChangeEffect(Model):
    """A fact that makes silence mean something else, whenever it is learnt: it is the nature of the request that decides."""

    op: Literal["change-effect"]
    articles: tuple[ArticleText, ...] = ()
    on: Triggers
    effect: Effect
    birth: Birth = Birth.SAME_DAY


Modifier = Annotated[
    RestartOnComplete | SuspendBounded | Suspend | Extend | Replace | Interrupt | Cap | ChangeEffect,
    Field(discriminator="op"),
]


class Clock(Model):
    """One time limit: what starts, stops and changes it, how it is counted and what its end means."""

    id: str = Field(pattern=r"^[a-z][a-z0-9.-]*$")
    title: Text
    kind: Literal["legal", "service"] = "legal"
    articles: tuple[ArticleText, ...] = ()
    scope: Literal["case", "handoff"] = "case"
    starts: Triggers
    starts_at: Literal["own", "first-body", "competent-body"] = "own"
    """Whose receipt starts it (CRPA L114-3): the case's own, the first body seized, or the competent one."""
    stops: Triggers
    reopens: Triggers = ()
    """Facts that start a stopped clock anew, whole."""
    length: LengthText
    back_to: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] | None = None
    """Counts backwards: `6 weeks` back to `friday` is the sixth Friday before the day that starts it."""
    backwards: bool = False
    """The limit is the last day on which to act *before* the day that starts it: two months before a permit expires."""
    franc: bool = False
    first_day: Literal["excluded", "counted"] = "excluded"
    roll: Literal["none", "ouvrable", "ouvre"] = "none"
    calendar_of: Literal["body", "sender", "addressee"] = "body"
    """Whose calendar and legal time count."""
    effect: Effect = Effect.NONE
    birth: Birth = Birth.SAME_DAY
    after_end: Literal["ignore", "apply"] | None = None
    """Whether facts that come after the end still change it. Default: not where silence had an effect."""
    holder: str | None = None
    """Role that has to act; `applicant` for a limit that binds the person."""
    warn: tuple[LengthText, ...] = ()
    """How long before the end to warn; several levels, the longest first."""
    modifiers: tuple[Modifier, ...] = ()
    citizen: Text | None = None
    """What the person needs to know about it."""
    valid_from: date | None = None
    valid_to: date | None = None

    @model_validator(mode="after")
    def _based(self) -> Clock:
        if self.kind == "legal" and not self.articles:
            raise ValueError("a legal clock names at least one article")
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise ValueError("valid_to lies before valid_from")
        if list(self.warn) != sorted(self.warn, key=about, reverse=True):
            raise ValueError("the levels of `warn` go from far to near: 15 days, 3 days")
        if self.back_to and (len(self.length.parts) != 1 or self.length.parts[0][1] != "weeks"):
            raise ValueError("a clock that counts back to a weekday has a length in weeks")
        if self.backwards and (self.back_to or self.roll != "none" or self.first_day == "counted"):
            raise ValueError("a clock that counts backwards neither moves nor counts its first day")
        return self
