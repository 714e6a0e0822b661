"""Compares the bus as it is, read from outside, with what the oracle says: nothing lost, nothing double, nothing wrong, alerts once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from deploy.chaos import oracle
from deploy.chaos.bus import Bus, Seen
from deploy.chaos.oracle import Copy, Expected, Record, Said
from schemas.codec import DecodeError, bus
from schemas.references import Keys

MOST_TOLD = 20
"""Violations told one by one, of each kind."""


class Published(NamedTuple):
    """What was sent to the bus: facts by their bytes, and records that must be refused with the reason."""

    facts: frozenset[bytes]
    refused: Counter[tuple[bytes, str]]


class Verdict(NamedTuple):
    """What a check found."""

    violations: list[str]
    counts: dict[str, int]


def shown(topic: str, value: bytes) -> Record:
    """Of an output what the oracle speaks of."""
    d = bus().decode(value)[1]
    if topic == "statuses":
        whole = d["references"]
        return {
            "references": [whole[i : i + 16] for i in range(0, len(whole), 16)],
            "cases": [
                {k: c[k] for k in ("case", "state", "since", "opened_on", "outcome", "decided_on", "conflicts")}
                | {"clocks": _limits(c["clocks"])}
                for c in d["cases"]
            ],
            "handoffs": [(h["handoff"], h["from_body"], h["to"], h["state"], h["since"], h["due_on"]) for h in d["handoffs"]],
        }  # fmt: skip
    if topic == "handoffs":
        same = (
            "handoff",
            "from_body",
            "to",
            "from_case",
            "to_case",
            "state",
            "sent_on",
            "received_on",
            "accepted_on",
            "ended_on",
            "loops",
        )
        return {k: d[k] for k in same} | {"limits": _limits(d["limits"])}
    episodes = [(e["raised_on"], e["resolved_on"]) for e in d["episodes"]]
    return {k: d[k] for k in ("rule", "reason", "body", "other", "case", "handoff", "due_on")} | {"episodes": episodes}


def _limits(limits: Iterable[Record]) -> list[tuple[Any, ...]]:
    return [(c["rule"], c["state"], c["due_on"]) for c in limits]


class Facts:
    """The facts of a run: by key, each with its copies, and in groups that have nothing to do with each other."""

    def __init__(self, admitted: Iterable[tuple[bytes, int]]) -> None:
        self.said: dict[bytes, Said] = {}
        self.copies: dict[bytes, list[Copy]] = defaultdict(list)
        for value, at in admitted:
            fact, rank = oracle.read(value)
            self.said[fact.key] = fact
            self.copies[fact.key].append(Copy(rank, at, value))

    def first(self, fact: Said) -> int:
        """When a fact was first admitted."""
        return min(c.admitted for c in self.copies[fact.key])

    def groups(self) -> list[list[Said]]:
        """Facts that share a reference, directly or through others."""
        sets: dict[str, set[str]] = {}
        for fact in self.said.values():
            joined = set[str]()
            for ref in (fact.subject, *fact.refs):
                joined |= sets.get(ref, {ref})
            sets.update(dict.fromkeys(joined, joined))
        found: dict[int, list[Said]] = defaultdict(list)
        for fact in self.said.values():
            found[id(sets[fact.subject])].append(fact)
        return list(found.values())


def check(seen: Bus, published: Published, now: int, step: int, keys: Keys) -> Verdict:
    """Everything. `now`: established time at rest (ms). `step`: established time only ever was a multiple of it (ms)."""
    facts = Facts(seen.admitted())
    groups = facts.groups()
    expected = [oracle.expect(group, keys) for group in groups]
    found = [
        *_arrived(facts, published, seen),
        *_outputs(seen, expected, now),
        *_stored(seen, facts, groups),
        *_alerts(seen, facts, groups, keys, now, step),
    ]
    told = Counter[str]()
    brief = []
    for text in found:
        kind = text.split(":")[0]
        told[kind] += 1
        if told[kind] <= MOST_TOLD:
            brief.append(text)
    counts = {
        "facts": len(facts.said), "copies": sum(map(len, facts.copies.values())), "groups": len(groups),
        "journeys": sum(len(e.statuses) for e in expected), "handoffs": sum(len(e.handoffs) for e in expected),
        "alerts": sum(len(e.alerts_at(now)) for e in expected), "alerts written": len(seen.topics["alerts"]),
        "dead letters": len(seen.topics["dead-letters"]), "merged": seen.merged(), "violations": len(found),
    }  # fmt: skip
    return Verdict(brief, counts)


def _arrived(facts: Facts, published: Published, seen: Bus) -> Iterator[str]:
    """All that was published is there, and what is no fact is a dead letter, once, with its bytes."""
    there = {c.value for copies in facts.copies.values() for c in copies}
    yield from (f"lost on the way in: a record of {len(v)} bytes" for v in published.facts - there)
    yield from (f"never published: a record of {len(v)} bytes" for v in there - published.facts)
    letters = Counter((d["value"] or b"", d["reason"]) for d in seen.letters())
    yield from (f"dead letter missing: {reason}, {n} times" for (_, reason), n in (published.refused - letters).items())
    yield from (
        f"dead letter too many: {reason}, {n} times" for (_, reason), n in (letters - published.refused).items()
    )


def _outputs(seen: Bus, expected: list[Expected], now: int) -> Iterator[str]:
    for topic in ("statuses", "handoffs", "alerts"):
        want: dict[bytes, Record] = {}
        for one in expected:
            want |= one.statuses if topic == "statuses" else one.handoffs if topic == "handoffs" else one.alerts_at(now)
        have = {key: shown(topic, value) for key, value in seen.latest(topic).items()}
        yield from (f"{topic} missing: {key.hex()}" for key in want.keys() - have.keys())
        yield from (f"{topic} too many: {key.hex()}" for key in have.keys() - want.keys())
        for key in want.keys() & have.keys():
            if wrong := [name for name, value in have[key].items() if want[key][name] != value]:
                yield f"{topic} wrong: {key.hex()} in {', '.join(wrong)}"


def _stored(seen: Bus, facts: Facts, groups: list[list[Said]]) -> Iterator[str]:
    """Each fact stands in one root, as its least copy, with exactly the facts of its journey (links that were undone still join)."""
    root: dict[bytes, bytes] = {}
    for at, key, datum in seen.facts():
        if key in root:
            yield f"fact in two roots: {key.hex()}"
        root[key] = at
        least = min(facts.copies.get(key, ()), default=None)
        if least is None:
            yield f"fact unknown: {key.hex()}"
        elif (datum["rank"], datum["admitted"], datum["value"]) != tuple(least):
            yield f"fact is not its least copy: {key.hex()}"
    yield from (f"fact lost: {key.hex()}" for key in facts.said.keys() - root.keys())
    taken: set[bytes] = set()
    for group in groups:
        for _, journey in oracle.groups(group):
            roots = {root[f.key] for f in journey if f.key in root}
            if len(roots) > 1 or roots & taken:
                yield f"journey torn or mixed: that of {journey[0].key.hex()} is in {len(roots)} roots"
            taken |= roots


def _alerts(seen: Bus, facts: Facts, groups: list[list[Said]], keys: Keys, now: int, step: int) -> Iterator[str]:
    """Whatever was ever written of an alert was true at some established time, in the order of these times; nothing is written twice."""
    written: dict[bytes, list[Seen]] = defaultdict(list)
    for record in seen.topics["alerts"]:
        if record.key is not None:
            written[record.key].append(record)
    for group in groups:
        told: dict[bytes, list[Record | None]] = defaultdict(list)
        for alerts in history(group, facts, keys, now, step):
            for key in alerts.keys() | told.keys():
                value = alerts.get(key)
                if not told[key] or told[key][-1] != value:
                    told[key].append(value)
        for key, values in told.items():
            yield from _followed(key, values, written.pop(key, []))
    yield from (f"alert from nowhere: {key.hex()}" for key in written)


def history(group: list[Said], facts: Facts, keys: Keys, now: int, step: int) -> Iterator[Mapping[bytes, Record]]:
    """The alerts of a group at each established time at which they may change. Before W is known what was admitted before W."""
    came = [(facts.first(f), f) for f in group]
    bounds = sorted({at for at, _ in came})
    files: oracle.Files = {}
    for low, high in zip(bounds, [*bounds[1:], now], strict=True):
        known = oracle.expect([f for at, f in came if at <= low], keys, files)
        dues = [oracle.midnight(breach) for _, breach in known.alerts.values() if breach is not None]
        for at in sorted({-(-t // step) * step for t in (low + 1, *dues) if low < t}):
            if at <= high:
                yield known.alerts_at(at)


def _followed(key: bytes, values: list[Record | None], records: list[Seen]) -> Iterator[str]:
    """The records of one alert follow its true values in their order; some may be skipped."""
    at, last = 0, object()
    for record in records:
        value = None if record.value is None else shown("alerts", record.value)
        if record.value == last:
            yield f"alert written twice: {key.hex()}"
        last = record.value
        while at < len(values) and values[at] != value:
            at += 1
        if at == len(values):
            yield f"alert was not true: {key.hex()}"
            return


def readable(value: bytes) -> bool:
    """Whether bytes are an event of the contract."""
    try:
        oracle.read(value)
    except DecodeError:
        return False
    return True
