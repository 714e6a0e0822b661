"""HubEE's notifications as a source: a queue that gives the same again until it is acknowledged.

Each notification becomes one record. What it names is read at once, and what was read is acknowledged when its facts are committed:
the cursor of a batch *is* the list of what to acknowledge, so that after a crash in between the next start does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import ClassVar

from connectors.hubee import words
from connectors.hubee.client import GoneError, Hubee
from connectors.hubee.config import Role, SourceConfig
from connectors.hubee.moving import move
from connectors.hubee.relaying import Relaying
from connectors.hubee.words import Status
from connectors.kit.contract import (
    Batch,
    ConfigError,
    ConnectorConfig,
    Cursor,
    Finding,
    Record,
    Refused,
    Rejected,
    Report,
)


class HubeeSource:
    """Reads the notifications of every process."""

    Config: ClassVar[type[ConnectorConfig]] = SourceConfig
    patience_s = 10.0
    """The next page is asked for when this one is acknowledged, or after this wait."""

    def __init__(self, config: SourceConfig) -> None:
        self._config = config
        self._hubee = Hubee(config)
        self._acknowledged = asyncio.Event()
        self._relaying: Relaying | None = None

    async def check(self) -> Report:
        """Look at one notification of each process, and at the store of documents; looking takes nothing from the queue."""
        report = await self._hubee.check()
        if self._config.documents is None:
            return report
        what = f"documents are given by {self._config.documents.store.name}"
        try:
            self._relaying = self._relaying or Relaying(self._config, self._hubee)
        except ConfigError as error:
            return Report([*report.findings, Finding(False, what, str(error))])
        return Report([*report.findings, Finding(True, what)])

    async def close(self) -> None:
        """Close the connections."""
        await self._hubee.close()
        if self._relaying is not None:
            await self._relaying.close()
            self._relaying = None

    async def read(self, since: Cursor) -> AsyncIterator[Batch]:
        """A page of notifications after the other, process by process, until there is none that was not read."""
        await self._acknowledge(since)
        for process in self._config.processes:
            read: set[str] = set()
            while True:
                page = await self._hubee.notifications(process, self._config.page)
                new = [n for n in page if n["id"] not in read]
                if not new:
                    break
                read.update(n["id"] for n in new)
                new.sort(key=lambda n: str(n.get("dateTime")))
                records = [await self._record(process, n) for n in new]
                told = [[process, n["id"], n.get("caseId"), n.get("eventId")] for n in new]
                self._acknowledged.clear()
                yield Batch(records, {"acknowledge": told})
                if len(page) < self._config.page:
                    break
                with contextlib.suppress(TimeoutError):  # before it is acknowledged, the next page is this one
                    async with asyncio.timeout(self.patience_s):
                        await self._acknowledged.wait()

    async def ack(self, batch: Batch) -> None:
        """Take events into account and delete the notifications: HubEE forgets them."""
        await self._acknowledge(batch.cursor)
        self._acknowledged.set()

    async def _acknowledge(self, cursor: Cursor) -> None:
        for process, notification, case, event in (cursor or {}).get("acknowledge", ()):
            if process not in self._config.processes:
                continue  # taken out of the configuration since
            if case and event:
                await self._hubee.receive_event(process, case, event)
            elif case and self._config.tell_received and self._config.role is Role.SI:
                await self._receive(process, case)
            await self._hubee.delete_notification(process, notification)

    async def _receive(self, process: str, case_id: str) -> None:
        """Tell the sender that the body has the folder, if nobody has said more yet."""
        try:
            case = await self._hubee.case(process, case_id)
            if words.status(case.get("status")) in words.NOT_RECEIVED:
                await move(self._hubee, process, case_id, Status.SI_RECEIVED, found=case)
        except GoneError:
            return

    async def _record(self, process: str, notification: words.Json) -> Record | Refused:
        case_id, event_id = notification.get("caseId"), notification.get("eventId")
        place = f"HubEE {process}, notification {notification['id']}"
        try:
            if not case_id:
                raise Rejected("the notification names no case")
            case = await self._hubee.case(process, case_id)
            event = await self._hubee.event(process, case_id, event_id) if event_id else None
        except GoneError:
            return Refused(_raw(notification), "HubEE has purged the case or event: nothing is left to be read", place)
        except Rejected as error:
            return Refused(_raw(notification), error.mend, place)
        told = words.case(case)
        brought = None if event is None else words.event(event, case_id, self._config.refusal_attribute)
        if self._config.documents is not None:
            self._relaying = self._relaying or Relaying(self._config, self._hubee)
            lines = self._relaying.lines
            told["documents"] = await lines(told["documents"], case, process, told, None)
            if brought is not None and event is not None:
                brought["documents"] = await lines(brought["documents"], event, process, told, event_id)
        content = {
            "role": self._config.role.value,
            "process": process,
            "notified_at": notification.get("dateTime"),
            "sender": words.body(notification.get("transmitter")),
            "case": told,
            "event": brought,
        }
        return Record(key=case_id, content=content, version=event_id or notification["id"], place=place)


def _raw(notification: words.Json) -> bytes:
    return json.dumps(notification, sort_keys=True).encode()
