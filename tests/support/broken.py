"""Variants of the real classes, each without one rule. The checks of a world must catch every one of them.

They are put in place by a test (`Control.change`), never by a switch in the product. "Now" of a variant that stamps with the hour is the
clock of the partition whose turn it is.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

from pytest import MonkeyPatch

from schemas.codec import bus
from schemas.references import Kind, partition_of
from streams.correlate import Correlate
from streams.engine import claims, publishing
from streams.engine.alerts import NEVER
from streams.engine.claims import Journey
from streams.engine.entries import Entries
from streams.engine.facts import Copy, Fact
from streams.engine.messages import Link, Message, Put
from streams.engine.publishing import End, Written
from streams.engine.root import TOMBSTONE, Added, Root
from streams.engine.uniting import Uniting
from streams.runtime.processor import Send
from tests.support import world
from tests.support.reading import Reading
from tests.support.world import Log, World

NOW = [0]


class Control(NamedTuple):
    """One rule, and how to take it away."""

    change: Callable[[MonkeyPatch], None]
    seeds: tuple[int, ...] = ()
    """Scenarios that are known to catch it, tried first."""


def _uniting(variant: type[Uniting]) -> Callable[[MonkeyPatch], None]:
    return lambda patch: patch.setattr("streams.correlate.Uniting", variant)


def _world(variant: type[World]) -> Callable[[MonkeyPatch], None]:
    return lambda patch: patch.setattr(world, "World", variant)


def _publish(variant: Callable[..., list[Written]]) -> Callable[[MonkeyPatch], None]:
    return lambda patch: patch.setattr("streams.correlate.publish", variant)


def _root(name: str, method: Any) -> Callable[[MonkeyPatch], None]:
    return lambda patch: patch.setattr(Root, name, method)


def timed(patch: MonkeyPatch) -> None:
    """Let variants know the hour of the partition whose turn it is."""
    turn = World.turn

    def told(self: World, log: Log) -> None:
        NOW[0] = self.clock(log.no)
        turn(self, log)

    patch.setattr(World, "turn", told)


# -- established time and stamps
class LeastProgress(World):
    """W is the minimum of progress: nothing is waited for."""

    def advance(self) -> None:
        self.established = max(self.established, min(self.progress(log) for log in self.logs))


class OneStage(World):
    """W without the second stage."""

    def advance(self) -> None:
        super().advance()
        if self.stage == 2:
            self.established, self.stage = self.candidate, 0


class ShippedAnew(Uniting):
    """Shipped facts are stamped when they leave their root."""

    def _lose(self, root: Root, lo: bytes, stamp: int) -> None:
        super()._lose(root, lo, NOW[0])


class SentNow(Uniting):
    """LINK and CLAIM are stamped when they are sent."""

    def _send(self, message: Message) -> None:
        super()._send(message if isinstance(message, Put) else message._replace(stamp=NOW[0]))


def no_hold(root: Root, entries: Entries, established: int, timer: bool = False) -> list[Written]:
    """Nothing is held."""
    root.hold = -1
    return publishing.publish(root, entries, established, timer)


class HeldIfShipped(Uniting):
    """Only shipped facts hold a root."""

    def _put(self, m: Put, copy: Copy | None) -> None:
        entry = self._entries.get(m.at)
        before = entry.hold if isinstance(entry, Root) else -1
        super()._put(m, copy)
        root = self._entries.get(m.at)
        if m.ship is None and isinstance(root, Root):
            root.hold = before


def not_indexed(root: Root, entries: Entries, established: int, timer: bool = False) -> list[Written]:
    """Held roots are not put back on the timer index."""
    written = publishing.publish(root, entries, established, timer)
    if root.hold >= established:
        entries.move_due(root.key, root.next_due, NEVER)
        root.next_due = NEVER
    return written


# -- uniting
class OwnsAll:
    """A fact whose every reference unites."""

    def __init__(self, fact: Fact) -> None:
        self._fact = fact
        self.own = {fact.case, *(k for k, _ in fact.refs)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fact, name)


class AnyReference(Uniting):
    """Any reference unites at once."""

    def _keep(self, root: Root, copies: list[Copy]) -> list[Copy]:
        return [Copy(c.rank, c.admitted, c.value, OwnsAll(c.fact)) for c in super()._keep(root, copies)]  # type: ignore[arg-type]


class LinkDropped(Uniting):
    """A LINK at an alias is dropped."""

    def _link(self, m: Link) -> None:
        if not isinstance(self._entries.get(m.at), bytes):
            super()._link(m)


class LinkOverwrites(Uniting):
    """A LINK at an alias overwrites its target, and the old one is forgotten."""

    def _link(self, m: Link) -> None:
        if isinstance(self._entries.get(m.at), bytes):
            self._entries.alias(m.at, m.lo)
        else:
            super()._link(m)


class RootAgain(Uniting):
    """An alias becomes a root again when a fact comes."""

    def _put(self, m: Put, copy: Copy | None) -> None:
        if isinstance(self._entries.get(m.at), bytes) and m.ship is None:
            self._entries.create(m.at)
        super()._put(m, copy)


class OneLost(Uniting):
    """The last fact of a shipment is lost."""

    def _send(self, message: Message) -> None:
        if isinstance(message, Put) and message.ship and message.ship.part + 1 == message.ship.parts:
            message = message._replace(copies=message.copies[:-1])
        super()._send(message)


class ClaimsStay(Uniting):
    """The claims of a root that loses are not shipped."""

    def _put(self, m: Put, copy: Copy | None) -> None:
        super()._put(m._replace(claims=()), copy)


class ClaimsInMemory(Entries):
    """Claims are lost at a restart."""

    def _load(self, ref: bytes, head: dict[str, object]) -> Root:
        root = super()._load(ref, head)
        root.claims.clear()
        return root


class UnlinkedUnites(Uniting):
    """An `unlinked` brings its reference to the root like any other word."""

    def _keep(self, root: Root, copies: list[Copy]) -> list[Copy]:
        new = super()._keep(root, copies)
        if any(c.fact.type == "correction.unlinked" for c in new):
            return [Copy(c.rank, c.admitted, c.value, OwnsAll(c.fact)) for c in new]  # type: ignore[arg-type]
        return new


# -- merges
class Retracts(Uniting):
    """The loser of a merge retracts its outputs."""

    def _lose(self, root: Root, lo: bytes, stamp: int) -> None:
        correlate: Correlate = self._send_away.__self__  # type: ignore[attr-defined]
        for key, digest in root.published.items():
            if digest != TOMBSTONE:
                gone = Written(publishing.TOPICS[key[0]], key, None, root.key, End.WITHDRAWN)
                correlate._effects.sends.append(correlate._output(gone))
        super()._lose(root, lo, stamp)


class Hasty(Reading):
    """A reader that drops a row at `merged-into`."""

    def apply(self, i: int) -> None:
        topic, key, value, headers = self.out[i][self.pos[i]]
        if headers.get("reason") == b"merged-into":
            self.out[i][self.pos[i]] = (topic, key, value, {**headers, "reason": b"withdrawn"})
        super().apply(i)


class Unpublished(Uniting):
    """What the loser has published is not shipped."""

    def _take_head(self, root: Root, head: bytes) -> None:
        datum = bus().decode(head)[1]
        super()._take_head(root, bus().encode("head", {**datum, "published": b""}))


class ByRoot(Correlate):
    """Outputs are partitioned by root."""

    def _output(self, out: Written) -> Send:
        sent = super()._output(out)
        sent.partition = partition_of(out.root, self._plan.output_partitions)
        return sent


def forgets(root: Root, entries: Entries, established: int, timer: bool = False) -> list[Written]:
    """Tombstoned keys leave the head."""
    written = publishing.publish(root, entries, established, timer)
    if any(d == TOMBSTONE for d in root.published.values()):
        root.published = {k: d for k, d in root.published.items() if d != TOMBSTONE}
        entries.save_head(root, root.next_due, root.next_due)
    return written


# -- facts and views
def first_copy(self: Root, copy: Copy) -> Added:
    """Of two copies of a fact the first to arrive is kept."""
    known = self.copies.get(copy.fact.case, {}).get(copy.fact.key)
    return Added.NOTHING if known else _add(self, copy)


def first_word(self: Root, copy: Copy) -> Added:
    """A fact is known by its id alone: another content under it is not kept."""
    kept = self.copies.get(copy.fact.case, {}).values()
    if any(c.fact.identity == copy.fact.identity and c.fact.key != copy.fact.key for c in kept):
        return Added.NOTHING
    return _add(self, copy)


_add = Root.add


class AnyCase(list[Any]):
    """Cases of a journey whose first is the smallest that any of them names."""

    smallest = b""

    def __getitem__(self, i: Any) -> Any:
        return SimpleNamespace(key=self.smallest) if i == 0 else super().__getitem__(i)


_journeys = claims.journeys


def keyed_by_any(*args: Any) -> list[Journey]:
    """The key of a status may be a case that has stated nothing."""
    found = _journeys(*args)
    for journey in found:
        cases = AnyCase(journey.cases)
        cases.smallest = min(r for r in journey.references if r[0] == Kind.CASE)
        journey.cases = cases
    return found


CONTROLS: dict[str, Control] = {
    "W is the least progress": Control(_world(LeastProgress), (0, 2)),
    "no hold": Control(_publish(no_hold), (0, 1)),
    "hold for shipped facts only": Control(_uniting(HeldIfShipped), (0, 1)),
    "held roots are not on the timer index": Control(_publish(not_indexed), (0, 1)),
    "shipped facts are stamped when they leave": Control(_uniting(ShippedAnew), (12, 25)),
    "LINK and CLAIM are stamped when sent": Control(_uniting(SentNow), (29, 30)),
    "any reference unites": Control(_uniting(AnyReference), (0, 1)),
    "an unlinked unites": Control(_uniting(UnlinkedUnites), (17, 41)),
    "LINK dropped at an alias": Control(_uniting(LinkDropped), (0, 8)),
    "LINK overwrites the target of an alias": Control(_uniting(LinkOverwrites), (0, 8)),
    "an alias becomes a root again": Control(_uniting(RootAgain), (0, 1)),
    "a fact lost at ship": Control(_uniting(OneLost), (0, 1)),
    "claims are not shipped": Control(_uniting(ClaimsStay), (7, 9)),
    "claims are lost at a restart": Control(lambda p: p.setattr("streams.correlate.Entries", ClaimsInMemory), (9, 12)),
    "the loser retracts": Control(_uniting(Retracts), (0, 1)),
    "a reader drops at merged-into": Control(lambda p: p.setattr(world, "Reading", Hasty), (15, 42)),
    "published is not shipped": Control(_uniting(Unpublished), (0, 2)),
    "outputs are partitioned by root": Control(lambda p: p.setattr(world, "Correlate", ByRoot), (27,)),
    "tombstoned keys are forgotten": Control(_publish(forgets), (8,)),
    "the first copy is kept": Control(_root("add", first_copy), (0, 1)),
    "a fact is known by its id alone": Control(_root("add", first_word), (0, 7)),
    "the key of a status is any case": Control(lambda p: p.setattr(claims, "journeys", keyed_by_any), (21,)),
}
