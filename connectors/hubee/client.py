"""The routes of HubEE's folder API 1.2.7 that both roles need, with a token for each process.

Routes and fields: `api_folder_v1.2.7.yaml` and `SolutionSI/` in the public repository dinum-HubEE/Documentations. `eventDetails` is in
no description, but the reference client sends it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from connectors.hubee.config import HubeeConfig
from connectors.kit.authentication import Authenticated, ClientCredentials
from connectors.kit.contract import ConfigError, Finding, Rejected, Report, Unavailable
from connectors.kit.outgoing import Answer, Client

BASE = "/teledossiers/v1"
Json = dict[str, Any]


class GoneError(Exception):
    """HubEE does not know this id (any more)."""


class Hubee:
    """Talks to HubEE. Every method raises `ConfigError`, `Unavailable` or `Rejected`; where said, `GoneError`."""

    def __init__(self, config: HubeeConfig) -> None:
        self._config = config
        self._http: Client | None = None
        self._callers: dict[str, Authenticated] = {}

    @property
    def out(self) -> Client:
        """The client of outgoing calls, made when it is first needed."""
        if self._http is None:
            self._http = Client(self._config.out)
        return self._http

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None
            self._callers.clear()

    async def check(self) -> Report:
        """Ask for a token and one notification for each process; neither changes anything."""
        findings = []
        for process in self._config.processes:
            what = f"notifications of {process} as {self._config.role.value}"
            try:
                await self.notifications(process, 1)
                findings.append(Finding(True, what))
            except (ConfigError, Unavailable, Rejected) as error:
                findings.append(Finding(False, what, str(error)))
        return Report(findings)

    async def notifications(self, process: str, most: int) -> list[Json]:
        """What is waiting, at most so many."""
        query = {"maxResult": str(most), "processCode": process, "eventDetails": "true"}
        found = (await self._call(process, "GET", "/notifications", params=query)).json()
        if not isinstance(found, list):
            raise Unavailable("HubEE answers something else than a list of notifications")
        return found

    async def delete_notification(self, process: str, notification: str) -> None:
        """Acknowledge; one that is no more is well."""
        try:
            await self._call(process, "DELETE", f"/notifications/{_id(notification)}")
        except GoneError:
            return

    async def case(self, process: str, case: str) -> Json:
        """A case with its attachments and events. `GoneError`."""
        return _object(await self._call(process, "GET", f"/cases/{_id(case)}"))

    async def event(self, process: str, case: str, event: str) -> Json:
        """An event. `GoneError`."""
        return _object(await self._call(process, "GET", f"/cases/{_id(case)}/events/{_id(event)}"))

    async def attachment(self, process: str, case: str, event: str | None, attachment: str) -> bytes:
        """The bytes of an attachment of a case, or of an event of it. `GoneError`."""
        of = f"/cases/{_id(case)}" + (f"/events/{_id(event)}" if event else "")
        return (await self._call(process, "GET", f"{of}/attachments/{_id(attachment)}")).body

    async def receive_event(self, process: str, case: str, event: str) -> None:
        """Say that an event was taken into account; one that is no more is well."""
        try:
            await self._patch(process, f"/cases/{_id(case)}/events/{_id(event)}", {"status": "RECEIVED"})
        except GoneError:
            return

    async def move_case(self, process: str, case: str, status: str) -> None:
        """Set the status of a case. `GoneError`."""
        await self._patch(process, f"/cases/{_id(case)}", {"status": status})

    async def add_event(self, process: str, case: str, event: Json) -> Json:
        """Add an event to a case. `GoneError`."""
        return _object(await self._call(process, "POST", f"/cases/{_id(case)}/events", body=event))

    async def create_folder(self, process: str, folder: Json) -> Json:
        """Create a folder; nobody sees it before it is completed."""
        return _object(await self._call(process, "POST", "/folders", body=folder))

    async def folder(self, process: str, folder: str) -> Json:
        """A folder. `GoneError`."""
        return _object(await self._call(process, "GET", f"/folders/{_id(folder)}"))

    async def delete_folder(self, process: str, folder: str) -> None:
        """Take back a folder that was never completed; one that is no more is well."""
        try:
            await self._call(process, "DELETE", f"/folders/{_id(folder)}")
        except GoneError:
            return

    async def put_attachment(self, process: str, folder: str, attachment: str, content: bytes) -> None:
        """Upload the bytes of an attachment of a folder. `GoneError`."""
        path = f"/folders/{_id(folder)}/attachments/{_id(attachment)}"
        headers = {
            "content-type": "application/octet-stream",
            "digest": base64.b64encode(sha256(content).digest()).decode(),
        }
        await self._call(process, "PUT", path, content=content, headers=headers)

    async def complete_folder(self, process: str, folder: str) -> None:
        """Say that a folder is whole: HubEE notifies the recipients. `GoneError`."""
        await self._patch(process, f"/folders/{_id(folder)}", {"globalStatus": "HUBEE_COMPLETED"})

    async def _patch(self, process: str, path: str, body: Json) -> None:
        if self._config.override_patch:
            await self._call(process, "POST", path, body=body, headers={"X-HTTP-Method-Override": "PATCH"})
        else:
            await self._call(process, "PATCH", path, body=body)

    async def _call(
        self,
        process: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        names = {"editorName": self._config.editor, "applicationName": "relais", "softwareVersion": "1"}
        sent = {"headers": names | dict(headers or {}), "params": params, "json": body, "content": content}
        try:
            answer = await self._caller(process).request(method, self._config.api + BASE + path, **sent)
        except ConfigError as error:
            raise ConfigError(error.mend, f"processes.{process}") from None
        if answer.status in {401, 403}:
            mend = f"HubEE answers {answer.status}: these credentials may not {method} {_route(path)} as {self._config.role}"
            raise ConfigError(mend, f"processes.{process}")
        if answer.status == 404:
            raise GoneError
        return answer.good("HubEE")

    def _caller(self, process: str) -> Authenticated:
        """The client that bears the token of a process."""
        if process not in self._callers:
            pair = self._config.processes[process]
            way = ClientCredentials(
                kind="oauth2",
                token_url=self._config.token,
                client_id=pair.client_id,
                client_secret=pair.client_secret,
                scope=self._config.role.value,
            )
            self._callers[process] = Authenticated(self.out, way)
        return self._callers[process]


def _object(answer: Answer) -> Json:
    found = answer.json()
    if not isinstance(found, dict):
        raise Unavailable("HubEE answers something else than an object")
    return found


def _id(text: str) -> str:
    """An id as a part of a path: what is no UUID never becomes a path."""
    try:
        return str(UUID(text))
    except (ValueError, AttributeError, TypeError):
        raise Rejected("an id of HubEE is a UUID") from None


def _route(path: str) -> str:
    """The path without its ids."""
    return "/".join("…" if len(part) == 36 else part for part in path.split("/"))
