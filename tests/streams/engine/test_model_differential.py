"""The engine beside the executable model that its rules were tried on: same facts, same journeys, orders, effects and handoffs.

The model lies beside the repository, or where `RELAIS_MODEL` says. It has no external ids and no conventions, so facts that
need them are left out, and no time limits of any real procedure.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from schemas.codec import bus
from schemas.references import Kind, parse
from streams.engine.book import Book
from streams.engine.cases import Case
from streams.engine.facts import Copy, Fact
from streams.engine.order import fold_order
from streams.engine.view import fold, view
from tests.support.books import book
from tests.support.facts import KEYS
from tests.support.scenario import Scenario
from tests.support.world import READER

BESIDE = Path(__file__).resolve().parents[4] / "shared" / "reference" / "model.py"
MODEL = Path(os.environ.get("RELAIS_MODEL", BESIDE))
pytestmark = pytest.mark.skipif(not MODEL.exists(), reason="the executable model is not beside this repository")


@cache
def model() -> ModuleType:
    spec = importlib.util.spec_from_file_location("relais_model", MODEL)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["relais_model"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ref(text: str) -> Any:
    known = parse(text)
    return model().Ref(int(known.kind), 0, known.issuer, text)


@cache
def rules() -> Book:
    return book()


@cache
def kinds() -> tuple[type, type]:
    """(type name in the order of the contract, fact with the engine's digest): classes of the model's, so made late."""

    class Name(str):
        rank = -1

        def __lt__(self, other: object) -> bool:
            return self.rank < getattr(other, "rank", -1)

        def __gt__(self, other: object) -> bool:
            return self.rank > getattr(other, "rank", -1)

    class Told(model().Fact):  # type: ignore[misc]
        @property
        def key(self) -> tuple[Any, ...]:
            return (self.source, self.case, self.id, self.engine.digest)

    return Name, Told


def told(fact: Fact) -> Any:
    """A fact of the engine in the words of the model."""
    name_type, told_type = kinds()
    name = name_type(fact.type.split(".")[1])
    name.rank = fact.rank
    texts = [*fact.references, *([fact.data["handoff"]] if fact.data.get("handoff") else [])]
    made = told_type(
        source=fact.source, case=ref(fact.subject), id=fact.id, type=name, date=fact.date, time=fact.moment, seq=fact.sequence,
        refs=frozenset(map(ref, texts)), to=fact.to or None, content=fact.data.get("fact", 0),
    )  # fmt: skip
    object.__setattr__(made, "engine", fact)
    return made


def facts_of(seed: int) -> dict[bytes, Copy]:
    """The facts of a scenario that the model can tell."""
    found: dict[bytes, Copy] = {}
    for arrival in Scenario(seed).arrivals():
        copy = READER.copy(arrival.value, 0, 0)
        texts = [copy.fact.subject, *copy.fact.references]
        if not any(t.startswith(("external:", "case:echo/")) for t in texts):
            found.setdefault(copy.fact.key, copy)
    return found


def by_model(copies: dict[bytes, Copy]) -> dict[tuple[Any, ...], Any]:
    """Every output of the model, alerts apart."""
    m, found = model(), {}
    facts = [told(c.fact) for c in copies.values()]
    for _, together in m.components(facts, set(), set()):
        seen = m.view([m.Copy(0, 0, f) for f in together], 0)[0]
        found.update({k: v for k, v in seen.items() if k[0] != "alert"})
    return found


SEEDS = range(150)


def test_journeys_and_effective_facts_are_those_of_the_model() -> None:
    joined = undone = 0
    for seed in SEEDS:
        copies = facts_of(seed)
        cases = fold(copies.values())
        rows = view(cases, 0, rules()).rows.values()
        mine = {
            (tuple(journey.references), tuple((c.text, tuple((f.date, f.key) for f in c.facts)) for c in journey.cases),
             sum(c.conflicts for c in journey.cases))
            for journey in rows
        }  # fmt: skip
        theirs = set()
        for (kind, _), value in by_model(copies).items():
            if kind == "status":
                refs, _, flags = value
                keys = tuple(sorted(KEYS.of(r.n) for r in refs))
                spoken = sorted((KEYS.of(r.n), r.n) for r in refs if KEYS.of(r.n) in cases)
                theirs.add((keys, tuple((text, effects(copies, text)) for _, text in spoken), flags))
        assert mine == theirs, f"scenario {seed}"
        joined += sum(len(j.cases) > 1 for j in rows)
        undone += any(cut for c in cases.values() for _, cut in c.links.values())
    assert joined > 100
    assert undone > 10


def effects(copies: dict[bytes, Copy], case: str) -> tuple[tuple[int, bytes], ...]:
    """(date, key) of the effective facts of a case, in order, by the model over all facts at once."""
    m = model()
    order = m.effective(m.fold_order([told(c.fact) for c in copies.values()]))
    return tuple((f.date, f.engine.key) for f in order if f.case.n == case)


def test_fold_order_is_that_of_the_model() -> None:
    for seed in SEEDS:
        copies = facts_of(seed)
        order = model().fold_order([told(c.fact) for c in copies.values()])
        for case in fold(copies.values()).values():
            alone = model().fold_order([told(c.fact) for c in copies.values() if c.fact.case == case.key])
            merged = [f.engine.key for f in order if f.engine.case == case.key]
            assert ordered(case, copies) == [f.engine.key for f in alone] == merged, f"scenario {seed}"


def ordered(case: Case, copies: dict[bytes, Copy]) -> list[bytes]:
    return [f.key for f in fold_order(c.fact for c in copies.values() if c.fact.case == case.key)]


def test_handoffs_are_those_of_the_model() -> None:
    taken = 0
    for seed in SEEDS:
        copies = facts_of(seed)
        outputs = view(fold(copies.values()), 0, rules()).outputs
        mine = {}
        for key, out in outputs.items():
            if key[0] == Kind.HANDOFF:
                h = bus().decode(out.value)[1]
                mine[h["handoff"]] = tuple(h[n] for n in ("from_body", "to", "sent_on", "received_on", "accepted_on"))
        theirs = {k[1].n: v for k, v in by_model(copies).items() if k[0] == "handoff"}
        assert mine == theirs, f"scenario {seed}"
        taken += sum(v[4] is not None for v in mine.values())
    assert taken > 50
