"""Facts that no door would let in: every type, fields at random within the schema, absurd dates, bodies that speak for each other."""

from __future__ import annotations

import random
from typing import Any

from schemas import catalog
from schemas.codec import events
from tests.support.facts import case, handoff, journey

BODIES = ("alpha", "bravo", "charlie")
CASES = tuple(case(b, n) for b in BODIES for n in (101, 202))
HANDOFFS = tuple(handoff(b, n) for b in BODIES[:2] for n in (1, 2))
REFERENCES = (
    *CASES,
    *HANDOFFS,
    *(journey(b, 1) for b in BODIES),
    "external:hubee:123",
    "external:ds:123",
    "body:alpha",
)
PROCEDURES = (None, "", "test.simple", "urbanisme.pc-maison", "nobody.knows")
DATES = (
    0,
    1,
    2,
    5,
    9,
    14,
    30,
    31,
    90,
    365,
    20_000,
    -1,
    -400,
    2_932_896,
    2_932_897,
    -719_162,
    -719_163,
    2**31 - 1,
    -(2**31),
)
"""Days since 1970-01-01: ordinary ones, the years 1 and 9999 and the days around them, the ends of 32 bits."""
TEXTS = (
    "",
    "examination",
    "plan",
    "commune",
    "?",
    "é" * 50,
    "1970-01-01T09:00:00+01:00",
    "1970-01-01Tnn:00:00",
    "ab" * 32,
)


def _names(type_: Any, found: dict[str, Any]) -> dict[str, Any]:
    """Named types within a type."""
    if isinstance(type_, list):
        for one in type_:
            _names(one, found)
    elif isinstance(type_, dict):
        if "name" in type_:
            found[f"fr.relais.{type_['name']}"] = type_
        for one in type_.get("fields", ()):
            _names(one["type"], found)
        _names(type_.get("items"), found)
    return found


_EVENTS = [s for s in catalog.events() if s.name.split(".")[0] not in ("body", "source")]


class Garbage:
    """Makes one fact after another."""

    def __init__(self, r: random.Random) -> None:
        self.r = r

    def value(self) -> bytes:
        """One fact as bytes."""
        schema = self.r.choice(_EVENTS)
        named = _names(schema.json, {})
        datum = {f["name"]: self._of(f["type"], f["name"], named) for f in schema.json["fields"]}
        return events().encode(schema.name, datum)

    def _of(self, type_: Any, name: str, named: dict[str, Any]) -> Any:
        if isinstance(type_, list):
            some = [t for t in type_ if t != "null"]
            rare = name in ("occurred_on", "subject")
            return (
                None
                if len(some) < len(type_) and not rare and self.r.random() < 0.4
                else self._of(some[0], name, named)
            )
        if isinstance(type_, str):
            return self._plain(type_, name) if type_ not in named else self._of(named[type_], name, named)
        if type_["type"] == "record":
            return {f["name"]: self._of(f["type"], f["name"], named) for f in type_["fields"]}
        if type_["type"] == "array":
            return [self._of(type_["items"], name, named) for _ in range(self.r.choice((0, 1, 1, 2)))]
        if type_["type"] == "enum":
            return self.r.choice(type_["symbols"])
        if type_.get("logicalType") == "date":
            return self.r.choice(DATES[:10] if self.r.random() < 0.7 else DATES)
        return self._plain(type_["type"], name)

    def _plain(self, type_: str, name: str) -> Any:
        r = self.r
        if type_ == "boolean":
            return r.random() < 0.5
        if type_ in ("int", "long"):
            return r.choice((0, 1, 2, 30, -1, 10**6, 2**31 - 1 if type_ == "int" else 2**62))
        chosen: dict[str, tuple[Any, ...]] = {
            "subject": CASES, "references": REFERENCES, "handoff": HANDOFFS, "to": BODIES, "from_body": BODIES,
            "procedure": PROCEDURES[1:], "id": tuple("0123456789"), "fact": tuple("0123456789"), "source": tuple(f"{b}/x" for b in BODIES),
            "pieces": ("plan", "form", ""), "step": ("examination", "s"), "redirect_to": BODIES,
        }  # fmt: skip
        return r.choice(chosen.get(name, TEXTS))
