"""HubEE as a sink: handoffs become folders of an online service, or statuses of our cases are told to the service that sent them.

A folder exists for nobody before it is completed. So a crash between its creation and the note of its id leaves a folder that no one
ever sees, and a handoff becomes one visible folder, whatever is interrupted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from connectors.hubee import folders
from connectors.hubee.client import GoneError, Hubee
from connectors.hubee.config import Recipient, Role, SinkConfig
from connectors.hubee.ledger import Entry, Ledger
from connectors.hubee.moving import move
from connectors.hubee.words import NOT_RECEIVED, Status, status
from connectors.kit.contract import (
    ConfigError,
    ConnectorConfig,
    Finding,
    Item,
    Json,
    Outcome,
    Reject,
    Rejected,
    Report,
    Retry,
    Sent,
    Unavailable,
)
from connectors.kit.sending import one_by_one

_OURS = re.compile(r"case:[^/]+/(?P<process>.{1,30})-(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
"""A case that came by HubEE, as `si.yaml` numbers it: process code and id."""
_NEGATIVE = frozenset({"refused", "inadmissible"})
_STATUS = {
    "open": Status.IN_PROGRESS,
    "suspended": Status.IN_PROGRESS,
    "waiting_for_person": Status.ADD_AWAITING,
    "decided": Status.DONE,
    "notified": Status.DONE,
    "closed": Status.DONE,
}
"""State of a case -> its status at HubEE; one that was withdrawn is the sender's to close."""


class HubeeSink:
    """Sends handoffs as folders (OSL), or statuses (SI)."""

    Config: ClassVar[type[ConnectorConfig]] = SinkConfig

    def __init__(self, config: SinkConfig) -> None:
        self._config = config
        self._hubee = Hubee(config)
        self._ledger: Ledger | None = None

    async def check(self) -> Report:
        """Look whether all is configured, and at one notification of each process."""
        try:
            self._needed() if self._config.role is Role.OSL else None
        except ConfigError as error:
            return Report([Finding(False, f"configuration: {error.field}", error.mend)])
        return await self._hubee.check()

    async def close(self) -> None:
        """Close the connections and the ledger."""
        await self._hubee.close()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    async def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """One after the other: HubEE takes one folder or event in a request."""
        return await one_by_one(items, self._outcome)

    async def _outcome(self, item: Item) -> Outcome:
        try:
            return await (self._handoff(item) if self._config.role is Role.OSL else self._status(item))
        except Rejected as error:
            return Reject(error.mend)
        except GoneError:
            return Reject("HubEE has purged the case: nothing more can be told about it there")

    async def _handoff(self, item: Item) -> Outcome:
        if item.kind != "handoff":
            return Sent()
        process, recipient, ledger = self._needed()
        entry = ledger.get(item.key)
        if item.gone:
            ledger.forget(item.key)
            return Sent()
        state = item.content["state"]
        if entry is not None and not entry.complete:
            entry = await self._recovered(process, item.key, entry, ledger)
        if entry is None:
            if state != "sent":
                return Sent()  # what became of it elsewhere is no news to its addressee
            entry = await self._create(process, recipient, item, ledger)
        if state == "cancelled":
            await move(self._hubee, process, entry.case, Status.CLOSED)
        elif state == "sent" and self._config.await_receipt:
            return await self._receipt(process, entry)
        return Sent()

    async def _create(self, process: str, recipient: Recipient, item: Item, ledger: Ledger) -> Entry:
        files = await folders.files(item, self._hubee.out if self._config.documents else None)
        made = await self._hubee.create_folder(process, folders.folder(item, process, recipient, files))
        try:
            entry = Entry(made["id"], made["cases"][0]["id"], complete=False)
            attachments = {one["fileName"]: one["id"] for one in made["attachments"]}
            ids = [attachments[one.name] for one in files]
        except (KeyError, IndexError, TypeError):
            raise Unavailable("HubEE answers to a new folder without its ids") from None
        ledger.put(item.key, entry)
        for one, id_ in zip(files, ids, strict=True):
            await self._hubee.put_attachment(process, entry.folder, id_, one.content)
        now = await self._hubee.folder(process, entry.folder)
        if any(one.get("status") in {"CORRUPTED", "REJECTED"} for one in now.get("attachments", ())):
            raise Rejected("HubEE refuses a document of this handoff (its own check, such as that for viruses)")
        await self._hubee.complete_folder(process, entry.folder)
        entry = entry._replace(complete=True)
        ledger.put(item.key, entry)
        return entry

    async def _recovered(self, process: str, key: str, entry: Entry, ledger: Ledger) -> Entry | None:
        """A folder that was interrupted: whole after all, or taken back to be made anew."""
        try:
            found = await self._hubee.folder(process, entry.folder)
        except GoneError:
            return None
        if status(found.get("globalStatus")) == Status.HUBEE_RECEIVED:
            await self._hubee.delete_folder(process, entry.folder)
            return None
        entry = entry._replace(complete=True)
        ledger.put(key, entry)
        return entry

    async def _receipt(self, process: str, entry: Entry) -> Outcome:
        found = status((await self._hubee.case(process, entry.case)).get("status"))
        if found == Status.SI_INTG_ERROR:
            return Reject("the receiver's software could not take the folder (SI_INTG_ERROR): call the body")
        return Retry(self._config.look_s) if found in NOT_RECEIVED else Sent(receipt=True)

    async def _status(self, item: Item) -> Outcome:
        if item.kind == "status" and not item.gone:
            for case in item.content.get("cases", ()):
                await self._tell(case)
        return Sent()

    async def _tell(self, case: Mapping[str, Json]) -> None:
        ours = _OURS.fullmatch(case.get("case") or "")
        to = _STATUS.get(str(case.get("state")))
        if ours is None or to is None:
            return
        process = ours["process"]
        if process not in self._config.processes:
            raise ConfigError(f"there are no credentials for {process}, by which a case came", "processes")
        refused = case.get("outcome") in _NEGATIVE and to is Status.DONE
        said = f"motif={case['outcome']}" if refused else ""
        await move(self._hubee, process, ours["id"], Status.REFUSED if refused else to, said)

    def _needed(self) -> tuple[str, Recipient, Ledger]:
        """What the sink needs as OSL. Raises `ConfigError`."""
        config = self._config
        if config.process not in config.processes:
            raise ConfigError(f"write one of {', '.join(config.processes)}", "process")
        if config.recipient is None:
            raise ConfigError("write whom the folders are for: siret and counter", "recipient")
        if config.ledger is None:
            raise ConfigError("name a file that the sink may write and that is kept", "ledger")
        if self._ledger is None:
            self._ledger = Ledger(config.ledger)
        return config.process, config.recipient, self._ledger
