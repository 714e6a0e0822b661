"""The source `files`: each file is claimed, read within bounds, and put away once all its records are published.

A file that is claimed lies in `.work/` under a name of its own, so that nobody writes to it and a restart knows it again; the
cursor names it, with its digest and the records that were taken. Where a file is put away its name bears its digest: the same
file once more is known by that. One process at a time reads a folder; the runner sees to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, ClassVar, cast

import structlog

from connectors.files import reading
from connectors.files.arrivals import Arrivals, Claim
from connectors.files.config import After, FilesConfig
from connectors.files.formats.row import UnreadableError
from connectors.files.place import Entry, place_of
from connectors.files.position import DONE, Position
from connectors.kit.contract import Batch, ConfigError, ConnectorError, Cursor, Finding, Record, Refused, Report

if TYPE_CHECKING:
    from lxml import etree

log = structlog.get_logger()

MAX_KEPT = 1_000
"""Files that may lie in a folder where files stay."""
_SAMPLE_BYTES = 16 * 1024 * 1024


class FilesSource:
    """Reads the files of one folder."""

    Config: ClassVar[type[FilesConfig]] = FilesConfig
    passive: ClassVar[bool] = True

    def __init__(self, config: FilesConfig) -> None:
        self._config = config
        self._place = place_of(config.place)
        self._arrivals = Arrivals(self._place, config)
        self._moves = config.after is After.MOVE
        self._begun: dict[str, Claim] = {}
        """Claims of this process of which nothing is published."""

    async def check(self) -> Report:
        """Whether the folder can be read and, if files move, written; and whether a file that lies there can be read."""
        found = []
        try:
            waiting = [one for one in await self._place.entries("") if self._config.wants(one.name)]
            found.append(Finding(True, f"{self._place.name}: {len(waiting)} files wait"))
            if self._moves and not await self._place.writable(""):
                mend = "let this account write there, or write after: keep"
                found.append(Finding(False, f"{self._place.name} can be written", mend))
            schema = await asyncio.to_thread(reading.schema_of, self._config)
            found += [await self._sample(one, schema) for one in waiting[:1] if one.size <= _SAMPLE_BYTES]
        except ConnectorError as error:
            found.append(Finding(False, self._place.name, str(error)))
        return Report(found)

    async def _sample(self, entry: Entry, schema: etree.XMLSchema | None) -> Finding:
        what = f"the first records of {entry.name} can be read"
        file = await self._place.fetch(entry.name)
        if file is None:
            return Finding(True, f"{entry.name} was taken away meanwhile")
        with file:
            some, _, fault = await asyncio.to_thread(
                _take, reading.records(file, entry.name, entry.size, self._config, schema), 100
            )
        refused = next((one.mend for one in some if isinstance(one, Refused)), "")
        return Finding(not (fault or refused), what, fault or refused)

    async def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """The records of each file that is whole; first of those that were claimed before."""
        position = Position.of(since)
        schema = await asyncio.to_thread(reading.schema_of, self._config)
        if not self._moves:
            async for batch in self._read_kept(position, schema):
                yield batch
            return
        for claim in await self._arrivals.claimed():
            async for batch in self._read_claimed(claim, position, schema):
                yield batch
        for entry in await self._arrivals.whole():
            new = await self._arrivals.claim(entry)
            if new is not None:
                self._begun[new.id] = new
                async for batch in self._read_claimed(new, Position(), schema):
                    yield batch

    async def _read_claimed(
        self, claim: Claim, position: Position, schema: etree.XMLSchema | None
    ) -> AsyncIterator[Batch]:
        file = await self._place.fetch(claim.path)
        if file is None:
            return
        with file:
            size, digest = await asyncio.to_thread(_digest, file)
            start = position.starts(claim.id, digest)
            if start.end:
                await self._put_away(start)
            elif not start.record and await self._place.find(_filed(DONE, claim.name, digest)) is not None:
                log.info("the same file was read before", file=claim.name)
                await self._put_away(replace(start, end=DONE))
            else:
                async for batch in self._batches(file, claim.path, claim.name, size, start, schema):
                    yield batch

    async def _read_kept(self, position: Position, schema: etree.XMLSchema | None) -> AsyncIterator[Batch]:
        """Files that stay where they are: read what is not remembered as it lies there."""
        whole = await self._arrivals.whole()
        if len(whole) > MAX_KEPT:
            raise ConfigError(
                f"more than {MAX_KEPT} files lie in {self._place.name}: have old ones moved away", "place"
            )
        names = {one.name for one in whole}
        for entry in whole:
            kept = {name: seen for name, seen in position.kept.items() if name in names}
            position = replace(position, kept=kept)
            size, changed, digest = kept.get(entry.name, (None, None, None))
            if (size, changed) == (entry.size, entry.changed):
                continue
            file = await self._place.fetch(entry.name)
            if file is None:
                continue
            with file:
                size, found = await asyncio.to_thread(_digest, file)
                seen = {**kept, entry.name: [entry.size, entry.changed, found]}
                if found == digest:
                    position = replace(position, kept=seen)
                    continue
                start = replace(position.starts(entry.name, found), end="")
                async for batch in self._batches(file, entry.name, entry.name, size, start, schema):
                    last = Position.of(batch.cursor)
                    position = replace(last, kept=seen) if last.end else last
                    yield replace(batch, cursor=position.cursor())

    async def _batches(
        self, file: BinaryIO, path: str, name: str, size: int, start: Position, schema: etree.XMLSchema | None
    ) -> AsyncIterator[Batch]:
        found = islice(reading.records(file, name, size, self._config, schema), start.record, None)
        at, ended = start, False
        while not ended:
            some, ended, fault = await asyncio.to_thread(_take, found, self._config.batch_records)
            if self._config.arrival:
                added = {self._config.arrival: Claim(at.claim).at}
                some = [
                    replace(one, content={**one.content, **added}) if isinstance(one, Record) else one for one in some
                ]
            at = replace(at, record=at.record + len(some))
            now = await self._place.find(path) if ended else None
            if ended and (now is None or now.size != size):
                fault = "it was still written to while it was read: have it moved in when it is whole, or use a marker"
            if fault:
                some.append(Refused(f"{name} {at.sha256}".encode(), f"the file cannot be read further: {fault}", name))
            yield Batch(some, replace(at, end=(fault or DONE) if ended else "").cursor())

    async def ack(self, batch: Batch) -> None:
        """All of it is published: put its file away, if it was the last of one."""
        position = Position.of(batch.cursor)
        self._begun.pop(position.claim, None)
        if self._moves and position.end:
            await self._put_away(position)

    async def _put_away(self, position: Position) -> None:
        claim = Claim(position.claim)
        target = _filed(position.end, claim.name, position.sha256)
        folder = target.partition("/")[0]
        await self._place.make(folder)
        if position.end != DONE and await self._place.find(claim.path) is not None:
            await self._place.put(f"{target}.reason.txt", _reason(position).encode())
        await self._place.move(claim.path, target)
        await self._arrivals.release(claim)

    async def close(self) -> None:
        """Put back what was claimed for nothing, as by a dry run, and let go of the place."""
        try:
            for claim in self._begun.values():
                await self._arrivals.give_back(claim)
        except ConnectorError as error:
            log.warning("claimed files could not be put back; they are read the next time", error=type(error).__name__)
        self._begun.clear()
        await self._place.close()


def _take(found: Iterator[Record | Refused], count: int) -> tuple[list[Record | Refused], bool, str]:
    """The next records, whether it is the end, and why it is if it is not a good one."""
    some: list[Record | Refused] = []
    try:
        for one in found:
            some.append(one)
            if len(some) == count:
                return some, False, ""
    except UnreadableError as error:
        return some, True, str(error)
    return some, True, ""


def _digest(file: BinaryIO) -> tuple[int, str]:
    """Size and SHA-256 of a file, which is then at its beginning."""
    digest = hashlib.file_digest(cast("io.BufferedReader", file), "sha256").hexdigest()
    size = file.tell()
    file.seek(0)
    return size, digest


def _filed(end: str, name: str, digest: str) -> str:
    """Where a file is put away: `done/permis.3f2a9c1b04d5.csv`."""
    stem, dot, rest = PurePosixPath(name).name.partition(".")
    return f"{'done' if end == DONE else 'failed'}/{stem}.{digest[:12]}{dot}{rest}"


def _reason(position: Position) -> str:
    return (
        "Ce fichier n'a pas pu être lu jusqu'au bout. Corrigez-le, puis remettez-le dans le dossier d'arrivée :\n"
        "ce qui en a déjà été pris ne le sera pas deux fois.\n"
        "This file could not be read to its end. Mend it, then put it back: what was taken is not taken twice.\n\n"
        f"{position.end}\n"
        f"({position.record} enregistrements avant / records before)\n"
    )
