"""A JSON API of the usual kind, that pages in each of the usual ways and forgets, throttles and fails when told to."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SIZE = 3


class Api:
    """Rows `{id, changed, state}`, sorted by change; what to fail next stands in `failures`."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.failures: list[Response] = []
        self.zone: tzinfo = UTC
        """Zone of rows that bear no offset."""
        self.unchanged = 0
        """Requests that were answered by 304."""
        self.age = 0
        """Marks of an earlier age are forgotten."""
        self.app = Starlette(routes=[Route("/rows", self.list)])

    def changed(self, row: dict[str, Any]) -> datetime:
        moment = datetime.fromisoformat(row["changed"])
        return moment if moment.tzinfo else moment.replace(tzinfo=self.zone)

    def put(self, number: int, at: float, state: str = "open") -> None:
        self.rows[number] = {"id": number, "changed": datetime.fromtimestamp(at, UTC).isoformat(), "state": state}

    async def list(self, request: Request) -> Response:
        asked = request.query_params
        self.requests.append(request.url.query)
        if self.failures:
            return self.failures.pop(0)
        since = datetime.fromisoformat(asked["since"]) if asked.get("since") else None
        found = sorted(self.rows.values(), key=lambda r: (r["changed"], r["id"]))
        found = [r for r in found if since is None or self.changed(r) >= since]
        by = asked.get("by", "")
        if by in {"cursor", "link"} and "mark" in asked:
            age, _, start = asked["mark"].partition(".")
            if int(age) != self.age:
                return JSONResponse({"error": "unknown mark"}, 400)
            first = int(start)
        elif by == "page":
            first = (int(asked["page"]) - 1) * SIZE
        else:
            first = int(asked.get("offset", 0))
        page = found[first : first + SIZE] if by else found
        more = first + SIZE < len(found)
        mark = f"{self.age}.{first + SIZE}"
        headers = {}
        if by == "link" and more:
            headers["link"] = (
                f'</rows?by=link&mark={mark}&since={asked.get("since", "")}>; title="a, b"; rel="x next"'.replace(
                    "+", "%2B"
                )
            )
        body = {"data": {"rows": page}, "next": mark if by == "cursor" and more else None}
        tag = f'"{sha256(repr(body).encode()).hexdigest()[:8]}"'
        if request.headers.get("if-none-match") == tag:
            self.unchanged += 1
            return Response(status_code=304, headers={"etag": tag})
        return JSONResponse(body, headers=headers | {"etag": tag})
