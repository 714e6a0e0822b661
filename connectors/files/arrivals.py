"""What has arrived in a folder and is whole, and taking it, so that nobody writes to it any more and nobody else takes it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from connectors.files.config import FilesConfig, Ready
from connectors.files.place import Entry, Place
from connectors.kit.contract import ConnectorError

log = structlog.get_logger()

WORK = ".work"
_GROWS_S = 600.0
"""A file that is not whole for so long is told in the log."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A file that was taken."""

    id: str
    """Its name in `.work/`: the instant of the claim, then its own name. No two claims have the same."""

    @property
    def name(self) -> str:
        """Its own name."""
        return self.id.partition("~")[2]

    @property
    def at(self) -> str:
        """The instant, ISO 8601; the same after a restart."""
        return datetime.fromtimestamp(int(self.id.partition("~")[0]) // 1_000_000_000, UTC).isoformat()

    @property
    def path(self) -> str:
        """Where it lies."""
        return f"{WORK}/{self.id}"


class Arrivals:
    """The files that arrive in one place."""

    def __init__(self, place: Place, config: FilesConfig) -> None:
        self._place = place
        self._config = config
        self._growing: dict[str, float] = {}
        """Since when a file is seen that is not whole, by a monotonic clock; infinite once it was told."""

    async def whole(self) -> list[Entry]:
        """The files that are written to their end, the oldest first. Waits `stable_s` where that is the sign."""
        listed = await self._place.entries("")
        found = [one for one in listed if self._config.wants(one.name)]
        if self._config.ready is Ready.MARKER:
            names = {one.name for one in listed}
            found = [one for one in found if one.name + self._config.marker in names]
        elif self._config.ready is Ready.STABLE and found and self._config.stable_s:
            await asyncio.sleep(self._config.stable_s)
            after = set(await self._place.entries(""))
            still = [one for one in found if one in after]
            self._tell_growing({one.name for one in found} - {one.name for one in still})
            found = still
        return sorted(found, key=lambda one: (one.changed, one.name))

    def _tell_growing(self, names: set[str]) -> None:
        now = time.monotonic()
        self._growing = {name: self._growing.get(name, now) for name in names}
        for name, since in self._growing.items():
            if now - since > _GROWS_S:
                log.warning("a file goes on growing and is not read: have it closed, or use a marker", file=name)
                self._growing[name] = float("inf")

    async def claim(self, entry: Entry) -> Claim | None:
        """Take a file; None if it is gone or somebody else has it."""
        claim = Claim(f"{time.time_ns():019d}~{entry.name}")
        marker = self._config.marker
        if self._config.ready is Ready.MARKER and not await self._place.move(entry.name + marker, claim.path + marker):
            return None
        return claim if await self._place.move(entry.name, claim.path) else None

    async def claimed(self) -> list[Claim]:
        """What was taken before and is not put away, in that order; a claim that was cut short is completed."""
        try:
            found = {one.name for one in await self._place.entries(WORK)}
        except ConnectorError:
            await self._place.make(WORK)
            return []
        marker = self._config.marker
        if self._config.ready is Ready.MARKER:
            for one in sorted(found):
                claim = Claim(one.removesuffix(marker))
                if one.endswith(marker) and claim.id not in found and await self._place.move(claim.name, claim.path):
                    found.add(claim.id)
            found = {one for one in found if not one.endswith(marker)}
        return [Claim(one) for one in sorted(found) if "~" in one]

    async def give_back(self, claim: Claim) -> None:
        """Undo a claim, unless a file of that name came meanwhile: then it is read where it is."""
        if await self._place.find(claim.name) is None and await self._place.move(claim.path, claim.name):
            marker = self._config.marker
            if self._config.ready is Ready.MARKER:
                await self._place.move(claim.path + marker, claim.name + marker)

    async def release(self, claim: Claim) -> None:
        """A claimed file was put away: forget its marker."""
        if self._config.ready is Ready.MARKER:
            await self._place.remove(claim.path + self._config.marker)
