"""HubEE v1 as its public contract describes it (folder API 1.2.7, SFD 1.2.2, the "valise générique"), on this machine.

Strict where the contract is: lengths, patterns, mandatory fields, who may do what with which credentials, a folder that nobody sees
before it is completed, notifications that come again until they are deleted.
"""

from __future__ import annotations

import base64
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Json = dict[str, Any]
STATUSES = {
    "HUBEE_RECEIVED", "HUBEE_COMPLETED", "HUBEE_NOTIFIED", "SENT", "SI_RECEIVED", "SI_INTG_ERROR", "IN_PROGRESS", "ADD_AWAITING",
    "REFUSED", "DONE", "CLOSED",
}  # fmt: skip
ACTIONS = {"STATUS_UPDATE", "ATTACH_DEPOSIT", "ATTACH_DL", "ATTACH_DL_ALL", "COM_ADD", "SENDING_MESSAGE"}
TEXTS = {
    "processCode": 30, "externalId": 30, "partnerAttributes": 1024, "message": 1000, "comment": 1000, "author": 255,
    "caseCurrentStatus": 15, "caseNewStatus": 15, "fileName": 255, "type": 100, "mimeType": 255,
}  # fmt: skip


@dataclass(frozen=True)
class Client:
    """One pair of credentials: one organisation, one process, one role."""

    secret: str
    role: str
    process: str
    siret: str
    counter: str

    @property
    def organisation(self) -> Json:
        return {"type": self.role, "companyRegister": self.siret, "branchCode": self.counter}


@dataclass
class FakeHubee:
    """The hub; its fields are what tests look at and turn."""

    clients: dict[str, Client]
    token_s: float = 3600.0
    spelling: dict[str, str] = field(default_factory=dict)
    """Statuses that this hub spells in another way."""
    down: int = 0
    """So many of the next calls get 503."""
    no_patch: bool = False
    """A proxy on the way lets no PATCH pass."""
    folders: dict[str, Json] = field(default_factory=dict)
    cases: dict[str, Json] = field(default_factory=dict)
    events: dict[str, Json] = field(default_factory=dict)
    notifications: dict[str, Json] = field(default_factory=dict)
    binaries: dict[str, bytes] = field(default_factory=dict)
    tokens: dict[str, tuple[Client, float]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every call with a token."""

    def app(self) -> Starlette:
        base = "/teledossiers/v1"
        return Starlette(
            routes=[
                Route("/oauth2/token", self.token, methods=["POST"]),
                Route(f"{base}/notifications", self._as(self.list_notifications)),
                Route(f"{base}/notifications/{{n}}", self._as(self.delete_notification), methods=["DELETE"]),
                Route(f"{base}/folders", self._as(self.create_folder, "OSL"), methods=["POST"]),
                Route(
                    f"{base}/folders/{{f}}", self._as(self.folder, "OSL"), methods=["GET", "PATCH", "POST", "DELETE"]
                ),
                Route(f"{base}/folders/{{f}}/attachments/{{a}}", self._as(self.upload, "OSL"), methods=["PUT"]),
                Route(f"{base}/cases/{{c}}", self._as(self.case), methods=["GET", "PATCH", "POST"]),
                Route(f"{base}/cases/{{c}}/events", self._as(self.create_event), methods=["POST"]),
                Route(f"{base}/cases/{{c}}/events/{{e}}", self._as(self.event), methods=["GET", "PATCH", "POST"]),
                Route(f"{base}/cases/{{c}}/attachments/{{a}}", self._as(self.download)),
                Route(f"{base}/cases/{{c}}/events/{{e}}/attachments/{{a}}", self._as(self.download)),
            ],
            exception_handlers={HTTPException: _told},
        )

    async def token(self, request: Request) -> Response:
        form = await request.form()
        kind, _, basic = request.headers.get("authorization", "").partition(" ")
        id_, _, secret = base64.b64decode(basic).decode().partition(":")
        client = self.clients.get(unquote(id_))
        if kind != "Basic" or client is None or client.secret != unquote(secret):
            return JSONResponse({"error": "invalid_client"}, 401)
        if form.get("grant_type") != "client_credentials" or form.get("scope") != client.role:
            return JSONResponse({"error": "invalid_scope"}, 400)
        text = uuid.uuid4().hex
        self.tokens[text] = client, time.monotonic() + self.token_s
        return JSONResponse({"access_token": text, "token_type": "Bearer", "expires_in": self.token_s})

    def _as(
        self, handler: Callable[[Request, Client], Awaitable[Response]], role: str = ""
    ) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> Response:
            if self.down:
                self.down -= 1
                raise HTTPException(503, "Internal server")
            client, until = self.tokens.get(
                request.headers.get("authorization", "").removeprefix("Bearer "), (None, 0.0)
            )
            if client is None or time.monotonic() > until:
                raise HTTPException(401, "Invalid Credentials")
            if role and client.role != role:
                raise HTTPException(403, "Unauthorized user")
            if request.method == "PATCH" and self.no_patch:
                raise HTTPException(405, "Method not allowed")
            if request.method == "POST" and request.url.path.rpartition("/")[2] not in ("folders", "events"):
                _need(request.headers.get("x-http-method-override") == "PATCH", "X-HTTP-Method-Override", 405)
            for one in request.path_params.values():
                _need(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one), "not a valid UUID")
            self.calls.append((request.method, request.url.path))
            return await handler(request, client)

        return checked

    async def list_notifications(self, request: Request, client: Client) -> Response:
        most = request.query_params.get("maxResult", "25")
        _need(most.isdecimal(), "@query.maxResult")
        wanted = set(request.query_params.getlist("processCode")) or {client.process}
        mine = [
            n for n in self.notifications.values()
            if n["recipient"] == client.organisation and n["processCode"] in wanted & {client.process}
        ]  # fmt: skip
        return JSONResponse(mine[: int(most)])

    async def delete_notification(self, request: Request, client: Client) -> Response:
        found = _found(self.notifications, request.path_params["n"], "Notification")
        _need(found["recipient"] == client.organisation, "Unauthorized user", 403)
        del self.notifications[found["id"]]
        return Response(status_code=204)

    async def create_folder(self, request: Request, client: Client) -> Response:
        given = _sound(await request.json(), {"processCode", "externalId", "applicant", "cases", "attachments"})
        _need(given["processCode"] == client.process, "Unauthorized user", 403)
        for name in ("firstName", "lastName"):
            _need(0 < len(given["applicant"].get(name, "")) <= 255, f"applicant.{name}")
        made = {
            "id": _new(),
            "globalStatus": "HUBEE_RECEIVED",
            "createDateTime": _now(),
            **given,
            "cases": [],
            "attachments": [],
        }
        for case in given["cases"]:
            recipient = _sound(case, {"externalId", "recipient"})["recipient"]
            _need(
                re.fullmatch(r"\d{14}", recipient["companyRegister"]) and 0 < len(recipient["branchCode"]) <= 10,
                "recipient",
            )
            made["cases"].append({"id": _new(), "status": "HUBEE_RECEIVED", **case})
        numbers = {case["externalId"] for case in given["cases"]}
        for one in given["attachments"]:
            _sound(one, {"fileName", "type", "size", "mimeType", "recipients"})
            _need(one["recipients"] and set(one["recipients"]) <= numbers, "recipients")
            made["attachments"].append({"id": _new(), "status": "PENDING", **one})
        _need(made["cases"], "cases")
        self.folders[made["id"]] = made | {"owner": client.organisation}
        return JSONResponse(made, 201)

    async def folder(self, request: Request, client: Client) -> Response:
        found = _found(self.folders, request.path_params["f"], "Folder")
        _need(found["owner"] == client.organisation, "Unauthorized user", 403)
        if request.method == "GET":
            return JSONResponse({k: v for k, v in found.items() if k != "owner"})
        if request.method == "DELETE":
            _need(found["globalStatus"] == "HUBEE_RECEIVED", "Bad request")
            del self.folders[found["id"]]
            return Response(status_code=204)
        status = (await request.json())["globalStatus"]
        _need(status in STATUSES, "globalStatus")
        if status == "HUBEE_COMPLETED" and found["globalStatus"] == "HUBEE_RECEIVED":
            _need(all(a["status"] == "RECEIVED" for a in found["attachments"]), "attachments are missing")
            for case in found["cases"]:
                self._deliver(found, case)
            status = "HUBEE_NOTIFIED"
        found["globalStatus"] = status
        return Response(status_code=204)

    def _deliver(self, folder: Json, case: Json) -> None:
        case["status"] = "HUBEE_NOTIFIED"
        attachments = [a for a in folder["attachments"] if case["externalId"] in a["recipients"]]
        self.cases[case["id"]] = case | {
            "processCode": folder["processCode"], "createDateTime": folder["createDateTime"], "owner": folder["owner"],
            "transmissionDateTime": _now(), "applicant": folder["applicant"], "events": [],
            "attachments": [{k: v for k, v in a.items() if k != "recipients"} for a in attachments],
        }  # fmt: skip
        self._notify(self.cases[case["id"]], folder["owner"], case["recipient"], None)

    async def upload(self, request: Request, client: Client) -> Response:
        folder = _found(self.folders, request.path_params["f"], "Folder")
        _need(folder["owner"] == client.organisation, "Unauthorized user", 403)
        one = next((a for a in folder["attachments"] if a["id"] == request.path_params["a"]), None)
        if one is None:
            raise HTTPException(404, "Binary meta-data is not found")
        content = await request.body()
        digest = base64.b64encode(sha256(content).digest()).decode()
        sound = len(content) == one["size"] and request.headers.get("digest", digest) == digest
        one["status"] = "CORRUPTED" if not sound else "REJECTED" if b"EICAR" in content else "RECEIVED"
        self.binaries[one["id"]] = content
        return Response(status_code=204)

    def _case(self, request: Request, client: Client) -> Json:
        found = _found(self.cases, request.path_params["c"], "Case")
        known = client.organisation in (found["owner"], found["recipient"])
        _need(known and found["processCode"] == client.process, "Unauthorized user", 403)
        return found

    async def case(self, request: Request, client: Client) -> Response:
        found = self._case(request, client)
        if request.method != "GET":
            status = (await request.json())["status"]
            _need(status in STATUSES, "status")
            found["status"] = status
            return Response(status_code=204)
        events = [self._shown(e, client) for e in found["events"]]
        shown = {k: v for k, v in found.items() if k != "owner"} | {"events": events}
        return JSONResponse(shown | {"status": self.spelling.get(found["status"], found["status"])})

    async def create_event(self, request: Request, client: Client) -> Response:
        case = self._case(request, client)
        given = _sound(await request.json(), {"actionType", "notification"})
        _need(given["actionType"] in ACTIONS | {"ADD_AWAITING"}, "actionType")
        files = [
            {"id": _new(), "status": "PENDING", **_sound(a, {"fileName", "type"})} for a in given.get("attachments", ())
        ]
        event = {
            "id": _new(), "transmitter": client.organisation, "createDateTime": _now(), "updateDateTime": _now(), **given,
            "attachments": files, "status": "IN_PROGRESS" if files else "SENT",
        }  # fmt: skip
        case["events"].append(event)
        self.events[event["id"]] = event
        self._tell(case, event)
        return JSONResponse(event, 201)

    async def event(self, request: Request, client: Client) -> Response:
        case = self._case(request, client)
        found = _found(self.events, request.path_params["e"], "Event")
        if request.method == "GET":
            return JSONResponse(self._shown(found, client))
        before, found["status"] = found["status"], (await request.json())["status"]
        found["updateDateTime"] = _now()
        if before == "IN_PROGRESS":
            self._tell(case, found)
        return Response(status_code=204)

    async def download(self, request: Request, client: Client) -> Response:
        of = self._case(request, client)
        if "e" in request.path_params:
            of = _found(self.events, request.path_params["e"], "Event")
        id_ = request.path_params["a"]
        if id_ not in {one["id"] for one in of["attachments"]} or id_ not in self.binaries:
            raise HTTPException(404, "Binary meta-data is not found")
        return Response(self.binaries[id_], media_type="application/octet-stream")

    def _shown(self, event: Json, client: Client) -> Json:
        shown = {k: self.spelling.get(v, v) if k.startswith("case") else v for k, v in event.items()}
        return {k: v for k, v in shown.items() if k != "comment" or client.role == "SI"}

    def _tell(self, case: Json, event: Json) -> None:
        if event["notification"] and event["status"] == "SENT":
            other = case["recipient"] if event["transmitter"] == case["owner"] else case["owner"]
            self._notify(case, event["transmitter"], other, event["id"])

    def _notify(self, case: Json, by: Json, to: Json, event: str | None) -> None:
        made = {
            "id": _new(), "recipient": to, "transmitter": by, "processCode": case["processCode"], "caseId": case["id"],
            "eventId": event, "dateTime": _now(),
        }  # fmt: skip
        self.notifications[made["id"]] = made


def _sound(given: Any, mandatory: set[str]) -> Json:
    _need(isinstance(given, dict) and not mandatory - set(given), f"missing required properties ({sorted(mandatory)})")
    for name, value in given.items():
        _need(not isinstance(value, str) or len(value) <= TEXTS.get(name, 255), f"@body.{name} is too long")
    found: Json = given
    return found


def _need(sound: object, what: str, status: int = 400) -> None:
    if not sound:
        raise HTTPException(
            status, what if status != 400 else f"Bad Request : Validation failed. [ERROR][REQUEST] {what}"
        )


def _found(among: dict[str, Json], id_: str, what: str) -> Json:
    if id_ not in among:
        raise HTTPException(404, f"{what} is not found")
    return among[id_]


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"errors": [{"code": error.status_code, "message": error.detail}]}, error.status_code)


def _new() -> str:
    return str(uuid.uuid4())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
