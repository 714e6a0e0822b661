"""What the bus must say of a set of facts at an instant: computed from the facts alone, with none of the engine's code.

It is written for the one procedure of `deploy.chaos.rules`, from the text of the contract and of the rules, and meant to be read, not to
be quick: the least fixpoint is found by trying everything again until nothing moves. It imports of relais only what is said on the
bus (`schemas`); an import rule holds that. It keeps no state and knows nothing of partitions, messages or order of arrival.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from deploy.chaos.oracle.files import ENDS, Clock, Handoff, case, handoffs, places
from deploy.chaos.oracle.joining import groups
from deploy.chaos.oracle.said import Copy, Record, Said, midnight, read
from schemas.references import Keys

__all__ = ["Copy", "Expected", "Files", "Record", "Said", "expect", "groups", "midnight", "read"]

File = tuple[Record, list[Clock], list[Said]]
Files = dict[tuple[bytes, ...], File]
"""What was found of a case, by the keys of its facts: who asks again with a fact more gives it again."""


@dataclass
class Expected:
    """What must stand in the topics, by key. Of alerts: the closed episodes, and the day on which one begins that lasts."""

    statuses: dict[bytes, Record] = field(default_factory=dict)
    handoffs: dict[bytes, Record] = field(default_factory=dict)
    alerts: dict[bytes, tuple[Record, int | None]] = field(default_factory=dict)

    def alerts_at(self, now: int) -> dict[bytes, Record]:
        """The alerts at an instant, ms since the epoch."""
        found = {}
        for key, (record, breach) in self.alerts.items():
            late = breach is not None and midnight(breach) <= now
            episodes = [*record["episodes"], *([(breach, None)] if late else ())]
            if episodes:
                found[key] = {**record, "episodes": episodes}
        return found


def expect(facts: Iterable[Said], keys: Keys, known: Files | None = None) -> Expected:
    """Everything that these facts, which may have to do with each other, lead to. `known` is read and added to."""
    known = {} if known is None else known
    facts = sorted(facts, key=lambda f: f.key)
    by_case: dict[str, list[Said]] = defaultdict(list)
    for f in facts:
        by_case[f.subject].append(f)
    files = {}
    for subject, fs in by_case.items():
        same = tuple(f.key for f in fs)
        files[subject] = known.get(same) or known.setdefault(same, case(fs))
    words = [
        f for _, _, counted in files.values() for f in counted if f.type in ("correction.linked", "correction.unlinked")
    ]
    words.sort(key=lambda f: places(by_case[f.subject])[f.key])
    cuts: dict[frozenset[str], bool] = {}
    for f in words:
        cuts.update((frozenset((f.subject, r)), f.type == "correction.unlinked") for r in f.refs)
    out = Expected()
    for refs, fs in groups(facts, {pair for pair, cut in cuts.items() if cut}):
        _journey(refs, sorted({f.subject for f in fs}, key=keys.of), files, keys, out)
    return out


def _journey(
    refs: frozenset[str],
    cases: list[str],
    files: dict[str, File],
    keys: Keys,
    out: Expected,
) -> None:
    passages = sorted(handoffs([f for c in cases for f in files[c][2]]), key=lambda h: (h.sent.date, keys.of(h.key)))
    circles = _circles(passages, keys)
    for h in passages:
        running = [c.due for c in h.clocks if c.due is not None and c.state == "running"]
        out.handoffs[keys.of(h.key)] = {
            "handoff": h.key, "from_body": h.sent.body, "to": h.to, "from_case": h.sent.subject, "to_case": h.to_case,
            "state": h.state, "sent_on": h.sent.date, "received_on": h.days.get("received"),
            "accepted_on": h.days.get("accepted"), "ended_on": h.days.get("ended"),
            "loops": sum(day <= h.sent.date and c.to == h.to for day, c in circles),
            "limits": [(c.rule, c.state, c.due) for c in h.clocks],
            "due": min(running, default=None) if h.state not in ENDS else None, "since": h.since,
        }  # fmt: skip
    shown = [out.handoffs[keys.of(h.key)] for h in passages]
    out.statuses[keys.of(cases[0])] = {
        "references": sorted(map(keys.of, refs)),
        "cases": [files[c][0] for c in cases],
        "handoffs": [(keys.of(h["handoff"]), h["from_body"], h["to"], h["state"], h["since"], h["due"]) for h in shown],
    }
    for key, record, breach in _alerts(cases, files, passages, circles, keys):
        out.alerts[key] = record, breach


def _circles(passages: list[Handoff], keys: Keys) -> list[tuple[int, Handoff]]:
    """Each time that work came back without progress."""
    found, passed = [], set()
    for h in passages:
        if h.to in passed:
            found.append((h.sent.date, h))
        passed.add(h.sent.body)
        if h.state in ("refused", "returned"):
            found.append((h.since, h))
    return sorted(found, key=lambda x: (x[0], keys.of(x[1].key)))


def _alerts(
    cases: list[str],
    files: dict[str, File],
    passages: list[Handoff],
    circles: list[tuple[int, Handoff]],
    keys: Keys,
) -> Iterator[tuple[bytes, Record, int | None]]:
    def alert(
        rule: str, subject: bytes, start: bytes, record: Record, breach: int | None = None
    ) -> tuple[bytes, Record, int | None]:
        id_ = b"\x10" + blake2b(rule.encode() + b"\0" + subject + start, digest_size=15).digest()
        return id_, {"rule": rule, **record}, breach

    reasons = {"received": "not-delivered", "accepted": "not-taken", "completed": "silent"}
    for c in cases:
        body = c[5:].split("/")[0]
        about: Record = {"case": c, "handoff": None, "body": body, "other": None}
        taker = _taker(c, passages, keys)
        for clock in files[c][1]:
            told = about | {"reason": "breached", "due_on": clock.due, "episodes": clock.overdue,
                            "other": taker if taker != body else None}  # fmt: skip
            yield alert(clock.rule, keys.of(c), clock.start, told, clock.breach)
        if files[c][0]["conflicts"]:
            episode = [(files[c][2][0].date, None)]
            yield alert(
                "conflict", keys.of(c), keys.of(c), about | {"reason": "conflict", "due_on": None, "episodes": episode}
            )
    for h in passages:
        about = _passing(h)
        for clock in h.clocks:
            told = about | {
                "reason": reasons[clock.rule.rpartition(".")[2]],
                "due_on": clock.due,
                "episodes": clock.overdue,
            }
            yield alert(clock.rule, keys.of(h.key), clock.start, told, clock.breach)
    if len(circles) > 1:
        day, h = circles[1]
        settled = min((p.since for p in passages if p.state == "completed" and p.since >= day), default=None)
        told = _passing(h) | {"reason": "ping-pong", "due_on": None, "episodes": [(day, settled)]}
        yield alert("ping-pong", keys.of(h.key), h.sent.key, told)


def _passing(h: Handoff) -> Record:
    return {"case": h.sent.subject, "handoff": h.key, "body": h.to, "other": h.sent.body}


def _taker(case: str, passages: list[Handoff], keys: Keys) -> str | None:
    """The body to which a file's request was passed on in the end, by the last passage from each file that was not turned down."""
    standing = [h for h in passages if h.state in ("sent", "received", "accepted", "completed")]
    last = {h.sent.subject: h for h in sorted(standing, key=lambda h: (h.sent.date, keys.of(h.key)))}
    taker, at = None, last.pop(case, None)
    while at is not None:
        taker, at = at.to, last.pop(at.to_case or "", None)
    return taker
