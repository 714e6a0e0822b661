"""A source that polls a JSON API: pages, records changed since, nothing lost where rows move or commit late.

A pass reads all pages. The next pass asks for what changed since the newest record of this one, less an overlap for records that
became visible late; where paging counts rows, and rows may therefore slip through between two pages, a whole pass from time to time
heals that. What is read again is dropped by the runner.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import ClassVar, Self

from pydantic import Field

from connectors.http.paging import Offsets, Pages, Paging, Place, address
from connectors.http.since import Since
from connectors.kit.authentication import Authenticated, Authentication
from connectors.kit.contract import (
    Batch,
    ConfigError,
    ConnectorConfig,
    ConnectorError,
    Cursor,
    Finding,
    Json,
    Record,
    Refused,
    Rejected,
    Report,
)
from connectors.kit.outgoing import Answer, Client, Outgoing
from connectors.kit.pointer import Pointer, at, key_at
from connectors.kit.zones import Zoned

_CLOCK_S = 60.0
"""A difference of clocks beyond this is told by the check."""
_FORGOTTEN = {400, 404, 410, 422}
"""What servers answer to a page of a listing that they have forgotten."""


class HttpPollConfig(Zoned):
    """A JSON API that is polled."""

    url: str
    """Address of the list of records."""
    params: dict[str, str] = Field(default_factory=dict)
    """Parameters of every request."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers of every request; credentials belong into `auth`."""
    auth: Authentication | None = None
    """Who we are to the server."""
    records: Pointer = ""
    """Where the list of records stands in an answer."""
    key: Pointer | tuple[Pointer, ...]
    """Where a record's own key stands; several fields may make it together."""
    version: Pointer | None = None
    """Where a record's version stands, if it has one."""
    paging: Paging | None = None
    """How the API pages; absent: one answer holds everything."""
    since: Since | None = None
    """How to ask for what changed; absent: every pass reads everything."""
    whole_every_h: float | None = Field(None, gt=0)
    """A pass without `since` this often; absent: every 24 hours where paging counts rows, else never."""
    pause_s: float = Field(0.0, ge=0)
    """Least time between two requests."""
    most_pages: int = Field(100_000, gt=0)
    """A pass of more pages than this goes in circles, and is stopped."""
    outgoing: Outgoing = Outgoing()
    """How calls go out."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The fields of the key."""
        return (self.key,) if isinstance(self.key, str) else self.key

    @property
    def restless(self) -> tuple[str, ...]:
        """The moment of the last change."""
        return (self.since.modified.rpartition("/")[2],) if self.since else ()

    @property
    def whole_every_s(self) -> float | None:
        """The time between two whole passes."""
        if self.whole_every_h is not None:
            return self.whole_every_h * 3600
        return 86_400.0 if isinstance(self.paging, Pages | Offsets) else None


@dataclass(slots=True)
class _Pass:
    """Where reading is: the cursor."""

    since: float | None = None
    """Newest moment of the passes that ended, seconds since 1970."""
    whole_at: float | None = None
    """When the last whole pass began."""
    tag: str | None = None
    """`ETag` of the only page of the last pass."""
    tagged: str | None = None
    """The moment for which it was given."""
    page: Place | None = None
    """Next page of the pass under way."""
    asked: float | None = None
    """Moment since which the pass under way asks."""
    newest: float | None = None
    """Newest moment of the pass under way."""
    began: float | None = None
    """When the pass under way began, if it is a whole one."""

    @classmethod
    def of(cls, cursor: Cursor) -> Self:
        try:
            return cls(**(cursor or {}))
        except TypeError:
            raise ConfigError("the stored place is not one of this connector: reset its offsets") from None

    def cursor(self) -> Cursor:
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}

    def begin(self, start: Place, config: HttpPollConfig) -> None:
        now, every = time.time(), config.whole_every_s
        whole = self.since is None or self.whole_at is None or (every is not None and now - self.whole_at >= every)
        self.page, self.newest, self.began = start, None, now if whole and config.since else None
        changed = None if whole or config.since is None or self.since is None else self.since - config.since.overlap_s
        self.asked = changed

    def end(self) -> None:
        if self.newest is not None:
            self.since = max(self.newest, self.since or self.newest)
        self.whole_at = self.began or self.whole_at
        self.page = self.asked = self.newest = self.began = None


class HttpPoll:
    """Polls a JSON API: pages, what changed since, tokens and keys."""

    Config: ClassVar[type[ConnectorConfig]] = HttpPollConfig

    def __init__(self, config: HttpPollConfig) -> None:
        self._config = config
        self._client = Client(config.outgoing)
        self._caller = Authenticated(self._client, config.auth)
        self._zone = config.zone
        self._last = -1e9

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def check(self) -> Report:
        """Read the first page, and say what is there and what is missing."""
        config = self._config
        try:
            answer = (await self._get(self._start(), self._asked(None))).good("the API")
            found = self._list(answer.json())
        except ConnectorError as error:
            return Report([Finding(False, f"read {config.url}", str(error))])
        findings = [Finding(True, f"read {config.url}: {len(found)} records on the first page")]
        broken = [r.mend for r in self._batch(found, 1) if isinstance(r, Refused)]
        findings.append(Finding(not broken, "every record has its key", broken[0] if broken else ""))
        if config.since and found:
            says = config.since.moment(found[0], self._zone) is not None
            findings.append(
                Finding(says, "records say when they changed", "" if says else "correct `modified` or `form`")
            )
        if "date" in answer.headers:
            apart = abs(parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time())
            findings.append(Finding(apart < _CLOCK_S, f"the clocks are {apart:.0f} s apart", "set the clocks (NTP)"))
        return Report(findings)

    async def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """One pass, or the rest of one that was interrupted."""
        config, now, start = self._config, _Pass.of(since), self._start()
        resumed = now.page is not None
        if not resumed:
            now.begin(start, config)
        for number in range(1, config.most_pages + 1):
            page, asked = now.page, self._asked(now.asked)
            assert page is not None
            tag = now.tag if page == start and asked == now.tagged else None
            answer = await self._get(page, asked, tag)
            if answer.status in _FORGOTTEN and resumed and number == 1 and page != start:
                now.page, now.newest = start, None
                continue
            found: Sequence[Json] = ()
            if self._good(answer).status != 304:
                body = answer.json()
                found = self._list(body)
                now.tag = now.tagged = None
                now.newest = self._newest(now.newest, found)
                now.page = config.paging.next(page, answer, body, len(found)) if config.paging else None
            if answer.status == 304 or now.page is None:
                if answer.status != 304 and page == start:
                    now.tag, now.tagged = answer.headers.get("etag"), asked
                now.end()
            elif now.page == page:
                raise ConfigError("the page after this one is the same page: the paging goes in circles", "paging")
            if found or now.cursor() != since:
                yield Batch(self._batch(found, number), now.cursor())
            if now.page is None:
                return
        raise ConfigError(f"a pass of more than {config.most_pages} pages: the paging goes in circles", "most_pages")

    def _start(self) -> Place:
        return self._config.paging.start() if self._config.paging else {}

    def _asked(self, moment: float | None) -> str:
        return self._config.since.asked(moment) if self._config.since else ""

    async def _get(self, page: Place, asked: str, tag: str | None = None) -> Answer:
        config = self._config
        wait = self._last + config.pause_s - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        self._last = time.monotonic()
        url, params = address(config.url, page)
        if "url" not in page:  # an address of the server's own holds all parameters
            params = config.params | ({config.since.param: asked} if config.since and asked else {}) | params
        headers = {"accept": "application/json"} | config.headers | ({"if-none-match": tag} if tag else {})
        return await self._caller.request("GET", url, params=params, headers=headers)

    def _good(self, answer: Answer) -> Answer:
        try:
            return answer.good("the API")
        except Rejected as error:
            raise ConfigError(f"{error.mend}: check the address and its parameters", "url") from None

    def _list(self, body: Json) -> list[Json]:
        found = at(body, self._config.records)
        if not isinstance(found, list):
            there = f" (the answer has {', '.join(map(str, list(body)[:8]))})" if isinstance(body, dict) else ""
            raise ConfigError(f"there is no list of records there: correct the pointer{there}", "records")
        return found

    def _newest(self, before: float | None, found: Sequence[Json]) -> float | None:
        if self._config.since is None:
            return None
        moments = [self._config.since.moment(raw, self._zone) for raw in found]
        return max((m for m in (before, *moments) if m is not None), default=None)

    def _batch(self, found: Sequence[Json], page: int) -> list[Record | Refused]:
        return [self._record(raw, f"page {page}, record {number}") for number, raw in enumerate(found, 1)]

    def _record(self, raw: Json, place: str) -> Record | Refused:
        original = json.dumps(raw, ensure_ascii=False, sort_keys=True).encode()
        if not isinstance(raw, dict):
            return Refused(original, "a record is an object with fields", place)
        key = key_at(raw, self._config.keys)
        if key is None:
            return Refused(
                original,
                f"the record has no key at {', '.join(self._config.keys)}: correct `key`, or the record",
                place,
            )
        version = None if self._config.version is None else at(raw, self._config.version)
        return Record(key, raw, original, None if version is None else str(version), place)
