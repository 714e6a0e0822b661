"""The ways in which JSON APIs page: what the next request is, from an answer."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urljoin, urlsplit

from pydantic import Field

from connectors.kit.contract import ConfigError, ConnectorConfig, Json
from connectors.kit.outgoing import Answer
from connectors.kit.pointer import Pointer, at

Place = dict[str, str]
"""Where the next page is: `{"url": …}` or parameters."""

_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:\"[^\"]*\"|[^\s;,\"]+))*)")
_NEXT = re.compile(r";\s*rel\s*=\s*(?:\"(?:[^\"]*\s)?next(?:\s[^\"]*)?\"|next\b)", re.IGNORECASE)


class Pages(ConnectorConfig):
    """Numbered pages; the last one is the first that holds fewer records than `size`."""

    by: Literal["page"]
    param: str = "page"
    """Parameter with the number of the page."""
    first: int = 1
    """Number of the first page."""
    size_param: str = ""
    """Parameter with the size of a page; empty: the server knows it."""
    size: int = Field(100, gt=0)
    """Records of a page."""

    def start(self) -> Place:
        """The first page."""
        return {self.param: str(self.first)} | ({self.size_param: str(self.size)} if self.size_param else {})

    def next(self, place: Place, answer: Answer, body: Json, count: int) -> Place | None:
        """The page after one with `count` records."""
        return None if count < self.size else place | {self.param: str(int(place[self.param]) + 1)}


class Offsets(ConnectorConfig):
    """Records from the n-th on; the last page is the first that holds fewer than `size`."""

    by: Literal["offset"]
    param: str = "offset"
    """Parameter with the number of records to leave out."""
    size_param: str = "limit"
    """Parameter with the size of a page."""
    size: int = Field(100, gt=0)
    """Records of a page."""

    def start(self) -> Place:
        """The first page."""
        return {self.param: "0", self.size_param: str(self.size)}

    def next(self, place: Place, answer: Answer, body: Json, count: int) -> Place | None:
        """The page after one with `count` records."""
        return None if count < self.size else place | {self.param: str(int(place[self.param]) + count)}


class Marks(ConnectorConfig):
    """Each answer holds the mark of the next page, or its address."""

    by: Literal["cursor"]
    at: Pointer
    """Where the mark stands in the answer; absent, null or empty there: the last page."""
    param: str = ""
    """Parameter that takes the mark; empty: the mark is an address."""

    def start(self) -> Place:
        """The first page."""
        return {}

    def next(self, place: Place, answer: Answer, body: Json, count: int) -> Place | None:
        """The page that the body names."""
        mark = at(body, self.at)
        if mark in (None, "", False):
            return None
        return {self.param: str(mark)} if self.param else {"url": str(mark)}


class Links(ConnectorConfig):
    """The header `Link` with `rel="next"` (RFC 8288)."""

    by: Literal["link"]

    def start(self) -> Place:
        """The first page."""
        return {}

    def next(self, place: Place, answer: Answer, body: Json, count: int) -> Place | None:
        """The page that the header names."""
        for url, parameters in _LINK.findall(answer.headers.get("link", "")):
            if _NEXT.search(parameters):
                return {"url": url}
        return None


Paging = Annotated[Pages | Offsets | Marks | Links, Field(discriminator="by")]
"""One of the ways."""


def address(base: str, place: Place) -> tuple[str, dict[str, str]]:
    """Address and parameters of a page.

    Raises:
        ConfigError: the server names a page of another origin, to which no credentials are carried.
    """
    if "url" not in place:
        return base, place
    url = urljoin(base, place["url"])
    ours, theirs = urlsplit(base), urlsplit(url)
    if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
        raise ConfigError(
            f"the next page is at another host ({theirs.netloc}): credentials are not carried there", "url"
        )
    return url, {}
