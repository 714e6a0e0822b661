"""Traffic for benchmarks: journeys of known shape, as encoded facts in the order in which they would be published."""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from schemas import catalog
from schemas.codec import events

PROCEDURE = "urbanisme.pc-maison"
BODIES = ("viriat", "grand-bourg-agglomeration", "udap-01", "prefecture-ain")
FIRST_DAY = 20_450
"""Legal date on which traffic begins (2025-12-28); the benchmark's clock stands later or earlier, as it needs."""


class Shape(StrEnum):
    """What journeys look like."""

    SINGLE = "single"
    """One body; every fact about one case."""
    ALONE = "alone"
    """As single, without a journey id: the case itself is the root."""
    CHAIN = "chain"
    """Four bodies in turn, with handoffs, pauses and a decision."""
    MESSY = "messy"
    """Chains of which 10 % of the facts come out of order, 5 % twice, and links late."""


class Made(NamedTuple):
    """One fact: the reference of its case, and its bytes."""

    subject: str
    value: bytes


_FIELDS = {s.name: [f["name"] for f in s.json["fields"] if f["name"] != "header"] for s in catalog.events()}


def _event(type_: str, subject: str, on: int, n: int, refs: list[str], payload: dict[str, Any]) -> Made:
    body = subject[5 : subject.index("/")]
    header = {
        "id": f"{n:08x}", "source": f"{body}/oxalis", "attested_by": "gateway", "subject": subject, "references": refs,
        "procedure": PROCEDURE, "from_body": None, "occurred_on": on, "occurred_at": None, "recorded_at": 1_767_000_000_000,
        "sequence": n, "previous": None, "visibility": None, "key_id": None, "signature": None, "traceparent": None,
    }  # fmt: skip
    return Made(subject, events().encode(type_, {"header": header, **dict.fromkeys(_FIELDS[type_]), **payload}))


def _steps(single: bool) -> list[tuple[int, int, str, dict[str, Any]]]:
    """(which body, day within the journey, type, payload); handoffs are numbered by `leg`."""
    if single:
        only: list[tuple[int, str, dict[str, Any]]] = [(0, "case.opened", {"channel": "electronic", "place": "01451", "complete": True}),
                (1, "case.acknowledged", {"kind": "receipt"}),
                (5, "case.pieces-requested", {"pieces": ["PCMI2"], "due_on": FIRST_DAY + 95}),
                (20, "case.pieces-received", {"pieces": ["PCMI2"], "complete": True}), (25, "case.step-started", {"step": "examination"}),
                (40, "case.step-completed", {"step": "examination"}), (50, "case.decided", {"outcome": "granted", "reasons_stated": True}),
                (52, "case.notified", {"means": "electronic"}), (60, "case.closed", {"reason": "done"})]  # fmt: skip
        return [(0, day, type_, payload) for day, type_, payload in only]
    found: list[tuple[int, int, str, dict[str, Any]]] = []
    for leg in range(len(BODIES)):
        day = leg * 9
        if leg:
            found += [
                (leg, day, "handoff.received", {"leg": leg - 1}),
                (leg, day + 1, "handoff.accepted", {"leg": leg - 1}),
            ]
        found += [
            (
                leg,
                day + 1,
                "case.opened",
                {"channel": "exchange" if leg else "electronic", "place": "01451", "complete": True},
            ),
            (leg, day + 2, "case.step-started", {"step": "examination"}),
            (leg, day + 3, "case.suspended", {"cause": "enquiry"}),
            (leg, day + 5, "case.resumed", {"cause": "enquiry"}),
            (leg, day + 6, "case.step-completed", {"step": "examination"}),
        ]
        if leg + 1 < len(BODIES):
            sent = {"leg": leg, "to": BODIES[leg + 1], "kind": "transfer", "step": "examination"}
            found.append((leg, day + 7, "handoff.sent", sent))
    found.append((len(BODIES) - 1, 40, "case.decided", {"outcome": "granted", "reasons_stated": True}))
    found.append((len(BODIES) - 1, 42, "case.notified", {"means": "electronic"}))
    return found


class Traffic:
    """Facts of journeys numbered from 0. Journey n always is the same, whatever is asked before."""

    def __init__(self, shape: Shape, seed: int = 1) -> None:
        self.shape = shape
        self.seed = seed
        self._steps = _steps(shape in (Shape.SINGLE, Shape.ALONE))

    @property
    def length(self) -> int:
        """Facts of one journey, copies not counted."""
        return len(self._steps)

    def fact(self, n: int, step: int) -> Made:
        """Fact number `step` of journey `n`."""
        leg, day, type_, payload = self._steps[step]
        subject = f"case:{BODIES[leg]}/PC{n:09d}"
        refs: list[str] = []
        payload = dict(payload)
        handed = payload.pop("leg", None)
        if handed is not None:
            payload["handoff"] = f"handoff:{BODIES[handed]}:{((n + 1) << 8) + handed:032x}"
        elif type_ == "case.opened" and leg:
            refs = [f"handoff:{BODIES[leg - 1]}:{((n + 1) << 8) + leg - 1:032x}"]
        elif type_ == "case.opened" and self.shape is not Shape.ALONE:
            refs = [f"journey:{BODIES[0]}:{n + 1:032x}"]  # none is zero, which would be a placeholder
        return _event(type_, subject, FIRST_DAY + n % 30 + day, step + 1, refs, payload)

    def before(self, open_: int) -> Iterator[Made]:
        """What has happened before the measured part: journey n stands at its own phase, all of its facts in a row."""
        for n in range(open_):
            for step in range(self.phase(n)):
                yield self.fact(n, step)

    def phase(self, n: int) -> int:
        """Number of facts of journey n that lie before the measured part; phases are spread evenly."""
        return n * 7 % self.length

    def measured(self, open_: int, count: int) -> Iterator[Made]:
        """`count` facts of `open_` journeys evenly interleaved; a journey that ends is followed by a new one."""
        facts = self._interleaved(open_)
        if self.shape is not Shape.MESSY:
            for _ in range(count):
                yield next(facts)
            return
        rnd = random.Random(self.seed)  # noqa: S311
        late: list[tuple[int, Made]] = []
        for i in range(count):
            fact = next(facts)
            if rnd.random() < 0.10:
                late.append((i + rnd.randint(1, 4 * open_), fact))
                continue
            yield fact
            if rnd.random() < 0.05:
                yield fact
            while late and late[0][0] <= i:
                yield late.pop(0)[1]
        yield from (fact for _, fact in late)

    def _interleaved(self, open_: int) -> Iterator[Made]:
        at = [(n, self.phase(n)) for n in range(open_)]
        following = open_
        while True:
            for i, (n, step) in enumerate(at):
                yield self.fact(n, step)
                if step + 1 < self.length:
                    at[i] = (n, step + 1)
                else:
                    at[i] = (following, 0)
                    following += 1
