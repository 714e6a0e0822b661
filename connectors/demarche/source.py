"""A source that reads one démarche: which dossiers changed, in small pages, then what each of them has gone through.

The platform orders what changed by the moment of change, so that a dossier which changes while pages are turned comes again at the end.
What it gives up on is asked for again in smaller pieces.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator

from connectors.demarche.graphql import Graphql, MissingError, Platform, find, query
from connectors.demarche.hints import Ear, Hints
from connectors.demarche.records import Binned, deletion, life, restored
from connectors.kit.contract import (
    Batch,
    ConfigError,
    ConnectorConfig,
    ConnectorError,
    Cursor,
    Finding,
    Record,
    Refused,
    Report,
    Unavailable,
)
from connectors.kit.outgoing import TooSlowError

DOSSIERS = "dossiers"
BIN = "pendingDeletedDossiers"
LISTINGS = (DOSSIERS, BIN, "deletedDossiers")
_CHANGED = {DOSSIERS: "dateDerniereModification"}
_BEGINNING = "2000-01-01T00:00:00+00:00"
_SETTLED_S = 60.0
"""Moments are told by the second: what changed longer ago than this cannot change again in the same one."""
_MOST_BINNED = 1_000
"""Dossiers of the bin that are remembered, the newest ones; the platform empties it after some weeks."""
_MOST_SEEN = 500
"""Dossiers of the overlap of which is known that they were read; beyond, they are read again."""


class DemarcheConfig(Platform):
    """One démarche of demarche.numerique."""

    page: int = Field(50, ge=1, le=100)
    """Dossiers on a page of the listing."""
    together: int = Field(10, ge=1, le=50)
    """Dossiers whose life is asked for in one question."""
    since: datetime = datetime.fromisoformat(_BEGINNING)
    """What did not change since then is left out; with an offset."""
    overlap_s: float = Field(300.0, ge=0)
    """What changed so long before the newest change is looked at again: changes become visible a little late."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Fields of the form that the mapping needs, by a name of yours: their ids (`Q2hhbXAt…`). None that holds personal data."""
    hints: Hints | None = None
    """Where the platform's web hook arrives, if it is switched on."""

    @field_validator("since")
    @classmethod
    def _offset(cls, given: datetime) -> datetime:
        if given.tzinfo is None:
            raise ValueError("write the offset: 2026-01-01T00:00:00+01:00")
        return given


@dataclass(slots=True)
class _Listing:
    """How far one listing was read."""

    since: str | None = None
    """Newest moment of the passes that ended."""
    after: str | None = None
    """Mark of the page that was read last in the pass under way."""
    newest: str | None = None
    """Newest moment of the pass under way."""


@dataclass(slots=True)
class _Place:
    """The cursor."""

    listings: dict[str, _Listing] = field(default_factory=lambda: {name: _Listing() for name in LISTINGS})
    seen: dict[str, str] = field(default_factory=dict)
    """Dossiers near the newest moment that were read, and the moment of their change."""
    binned: dict[str, Binned] = field(default_factory=dict)
    """Dossiers that were told as put into the bin, and are not deleted: since when, in what state, why."""

    @classmethod
    def of(cls, cursor: Cursor) -> Self:
        try:
            given = cursor or {}
            listings = {name: _Listing(**given.get("listings", {}).get(name, {})) for name in LISTINGS}
            return cls(listings, dict(given.get("seen", {})), dict(given.get("binned", {})))
        except (TypeError, AttributeError, ValueError):
            raise ConfigError("the stored place is not one of this connector: reset its offsets") from None

    def note(self, listing: str, nodes: Sequence[Mapping[str, Any]]) -> None:
        """Remember what is in the bin, so that what comes out of it again is noticed; forget what is deleted."""
        for node in nodes:
            number = str(node["number"])
            self.binned.pop(number, None)
            if listing == BIN:
                self.binned[number] = [node["dateSupression"], node["state"], node["reason"]]
        for number in list(self.binned)[:-_MOST_BINNED]:
            del self.binned[number]

    def cursor(self) -> Cursor:
        return json.loads(json.dumps(asdict(self)))


class Demarche:
    """Reads the dossiers of a démarche of demarche.numerique."""

    Config: ClassVar[type[ConnectorConfig]] = DemarcheConfig

    def __init__(self, config: DemarcheConfig) -> None:
        self._config = config
        self._graphql = Graphql(config)
        self._ear = Ear(config.hints, config.demarche) if config.hints else None
        self._page_size = config.page
        self._together = config.together
        self._fields = tuple(config.fields.items())

    @property
    def hints_port(self) -> int | None:
        """The port on which hints arrive, once they do."""
        return self._ear.port if self._ear else None

    async def close(self) -> None:
        """Close the connections."""
        if self._ear is not None:
            await self._ear.close()
        await self._graphql.close()

    async def check(self) -> Report:
        """Find the démarche, and read the first page of each listing."""
        findings = [await find(self._graphql, self._config.demarche)]
        if not findings[0].ok:
            return Report(findings)
        for name in LISTINGS:
            try:
                nodes = (await self._page(name, _Listing()))["nodes"]
                records = await self._records([n["number"] for n in nodes[:1]]) if name == DOSSIERS else []
                findings.append(
                    Finding(True, f"read {name}: {len(nodes)} on the first page, {len(records)} records of one")
                )
            except ConnectorError as error:
                findings.append(Finding(False, f"read {name}", str(error)))
        return Report(findings)

    async def listen(self) -> None:
        """Take hints from now on, if they come."""
        if self._ear is not None:
            await self._ear.open()

    async def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """What changed; where hints come, again at each of them."""
        place = _Place.of(since)
        await self.listen()
        while True:
            for name in LISTINGS:
                async for batch in self._listing(place, name):
                    yield batch
            if self._ear is None or not await self._ear.heard():
                return

    async def _listing(self, place: _Place, name: str) -> AsyncIterator[Batch]:
        at, last, more = place.listings[name], place.cursor(), True
        while more:
            begun = time.time()
            page = await self._page(name, at)
            nodes, moment = page["nodes"], _CHANGED.get(name, "dateSupression")
            if name == DOSSIERS:
                fresh = [n["number"] for n in nodes if place.seen.get(str(n["number"])) != n[moment]]
                back = [n for n in nodes if str(n["number"]) in place.binned]
                records: list[Record | Refused] = [
                    restored(self._config.demarche, n, place.binned.pop(str(n["number"]))) for n in back
                ]
                records += await self._records(fresh)
                place.seen |= {str(n["number"]): n[moment] for n in nodes if begun - _seconds(n[moment]) > _SETTLED_S}
            else:
                records = [deletion(self._config.demarche, name, node) for node in nodes]
                place.note(name, nodes)
            at.newest = _latest(at.newest, *(n[moment] for n in nodes))
            more = bool(page["pageInfo"]["hasNextPage"])
            at.after = page["pageInfo"]["endCursor"] if more else None
            if not more:
                at.since, at.newest = _latest(at.since, at.newest), None
                self._forget(place)
            if records or place.cursor() != last:
                last = place.cursor()
                yield Batch(records, last)

    def _forget(self, place: _Place) -> None:
        """Keep in mind only what the next pass will meet again."""
        newest = place.listings[DOSSIERS].since
        first = _seconds(newest) - self._config.overlap_s if newest else 0.0
        kept = {number: moment for number, moment in place.seen.items() if _seconds(moment) >= first}
        place.seen = kept if len(kept) <= _MOST_SEEN else {}

    async def _page(self, name: str, at: _Listing) -> Mapping[str, Any]:
        since = datetime.fromtimestamp(_seconds(at.since), UTC) if at.since else self._config.since
        asked = (since - timedelta(seconds=self._config.overlap_s if at.since else 0)).isoformat()
        while True:
            try:
                data = await self._graphql.ask(
                    query(name), demarche=self._config.demarche, since=asked, after=at.after, first=self._page_size
                )
            except TooSlowError:
                if self._page_size == 1:
                    raise
                self._page_size = max(1, self._page_size // 2)
                continue
            except MissingError:
                raise ConfigError("there is no such démarche for this token", "demarche") from None
            self._page_size = min(self._config.page, self._page_size * 2)
            found: Mapping[str, Any] = data["demarche"]["found"]
            return found

    async def _records(self, numbers: Sequence[int]) -> list[Record | Refused]:
        """The records of these dossiers, as many at once as the platform bears; a dossier that is no more has none."""
        found: list[Record | Refused] = []
        left = list(numbers)
        while left:
            some = left[: self._together]
            try:
                data = await self._graphql.ask(
                    self._details(some), **{f"f{n}": id_ for n, (_, id_) in enumerate(self._fields)}
                )
            except TooSlowError:
                if len(some) == 1:
                    raise
                self._together = max(1, len(some) // 2)
                continue
            except MissingError as error:
                gone = next((n for n in some if error.path and error.path[0] == f"d{n}"), None)
                if gone is None:
                    raise Unavailable("the platform does not find what it has just told of") from None
                left.remove(gone)
                continue
            self._together = min(self._config.together, self._together * 2)
            left = left[len(some) :]
            for number in some:
                dossier = data[f"d{number}"]
                found += life(dossier, {name: _value(dossier[f"f{n}"]) for n, (name, _) in enumerate(self._fields)})
        return found

    def _details(self, numbers: Sequence[int]) -> str:
        fields = "".join(f" f{n}: champs(id: $f{n}) {{ stringValue }}" for n in range(len(self._fields)))
        variables = ", ".join(f"$f{n}: ID!" for n in range(len(self._fields)))
        wanted = " ".join(f"d{number}: dossier(number: {number}) {{ ...life{fields} }}" for number in numbers)
        return f"query life{f'({variables})' if variables else ''} {{ {wanted} }}\n{query('life')}"


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _latest(*moments: str | None) -> str | None:
    return max((m for m in moments if m is not None), key=_seconds, default=None)


def _value(champs: Sequence[Mapping[str, Any]]) -> str | None:
    value = champs[0]["stringValue"] if champs else None
    return str(value) if value not in (None, "") else None
