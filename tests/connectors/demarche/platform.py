"""A demarche.numerique of our own, from its public schema: the order and marks of its listings, its errors in answers of status 200,
its time-outs, its bin, its read-only tokens. One démarche, number 12."""

# ruff: noqa: N802, N803, A002, A006 - names of the public schema

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from graphql import GraphQLError, build_schema, graphql_sync
from graphql.language import parse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

DEMARCHE = 12
TOKEN, READ_ONLY = "a-token", "a-token-to-read"
INSTRUCTEUR = "SW5zdHJ1Y3RldXItMQ=="
ANNOTATION = "Q2hhbXAtNzc="
FIELD = "Q2hhbXAtNDI="
_STATES = {
    "depose": "en_construction", "passe_en_instruction": "en_instruction", "accepte": "accepte", "refuse": "refuse",
    "classe_sans_suite": "sans_suite", "repasse_en_instruction": "en_instruction", "repasse_en_construction": "en_construction",
    "accepte_automatiquement": "accepte", "refuse_automatiquement": "refuse",
}  # fmt: skip
_SCHEMA = build_schema((Path(__file__).parent / "schema.graphql").read_text(encoding="utf-8"))


def iso(at: float | None) -> str | None:
    """As the platform writes moments: to the second, with the offset of Paris."""
    return None if at is None else datetime.fromtimestamp(at, ZoneInfo("Europe/Paris")).isoformat(timespec="seconds")


def typed(kind: str, number: int) -> str:
    return base64.b64encode(f"{kind}-{number}".encode()).decode()


@dataclass
class Row:
    """A dossier, or what is left of it."""

    number: int
    updated: float
    deposited: float
    traitements: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    champs: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    archived: bool = False
    due: str | None = None
    hidden: tuple[float, str] | None = None
    state: str = "en_construction"


class Platform:
    """The platform, with what a test does on it."""

    def __init__(self) -> None:
        self.url = ""
        self.rows: dict[int, Row] = {}
        self.deleted: list[tuple[float, int, str, str]] = []
        self.most_details = 1000
        """Lives of dossiers that one question may ask for before it takes too long."""
        self.most_page = 1000
        self.failures: list[Response] = []
        self.questions: list[str] = []
        self.loose: Callable[[], None] = lambda: None
        """What happens on the platform between two questions."""
        self._ids = 0
        self.app = Starlette(routes=[Route("/api/v2/graphql", self.answer, methods=["POST"])])

    # What people do.

    def deposit(self, number: int, at: float, *, old: bool = False) -> Row:
        row = self.rows[number] = Row(number, at, at)
        if not old:
            self.move(number, "depose", at)
        return row

    def move(self, number: int, event: str, at: float) -> None:
        row = self.rows[number]
        row.state = _STATES.get(event, row.state)
        row.traitements.append({
            "id": typed("Traitement", self._next()), "event": event, "dateTraitement": iso(at),
            "emailAgentTraitant": "agent@prefecture.example", "motivation": "Mme Untel a fourni ses revenus",
        })  # fmt: skip
        row.updated = max(row.updated, at)

    def correct(self, number: int, reason: str, at: float) -> dict[str, Any]:
        correction: dict[str, Any] = {"reason": reason, "dateResolution": None}
        row = self.rows[number]
        row.messages.append({
            "id": typed("Commentaire", self._next()), "email": "agent@prefecture.example", "body": "Il manque votre avis d'impôt",
            "createdAt": iso(at), "correction": correction,
        })  # fmt: skip
        row.updated = max(row.updated, at)
        return correction

    def hide(self, number: int, reason: str, at: float) -> None:
        self.rows[number].hidden = (at, reason)
        self.rows[number].updated = at

    def restore(self, number: int, at: float) -> None:
        self.rows[number].hidden = None
        self.rows[number].updated = at

    def delete(self, number: int, reason: str, at: float) -> None:
        row = self.rows.pop(number)
        self.deleted.append((at, number, row.state, reason))

    def _next(self) -> int:
        self._ids += 1
        return self._ids

    # What the interface answers.

    async def answer(self, request: Request) -> Response:
        self.loose()
        if self.failures:
            return self.failures.pop(0)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in {TOKEN, READ_ONLY}:
            error = {
                "message": "Without a token, only persisted queries are allowed",
                "extensions": {"code": "forbidden"},
            }
            return JSONResponse({"errors": [error], "data": None}, 403)
        asked = await request.json()
        self.questions.append(asked["query"])
        if asked["query"].count("...life ") + asked["query"].count("...life}") > self.most_details:
            error = {"message": "Timeout on Query.dossier", "path": ["dossier"], "extensions": {"code": "timeout"}}
            return JSONResponse({"errors": [error], "data": None})
        parse(asked["query"])
        result = graphql_sync(_SCHEMA, asked["query"], _Root(self, token), variable_values=asked.get("variables"))
        return JSONResponse(json.loads(json.dumps(result.formatted)))

    def page(self, rows: list[tuple[float, int, Any]], first: int | None, after: str | None) -> dict[str, Any]:
        """Rows by (moment, number), behind the mark: the platform's own order and form of marks."""
        size = min(first or 100, 100)
        if size > self.most_page:
            raise _error("Timeout on Demarche.dossiers", "timeout")
        rows = sorted(rows, key=lambda row: row[:2])
        if after:
            moment, _, number = base64.b64decode(after).decode().partition(";")
            mark = (datetime.fromisoformat(moment).timestamp(), int(number))
            rows = [row for row in rows if (round(row[0], 6), row[1]) > mark]
        found = rows[:size]
        last = f"{datetime.fromtimestamp(found[-1][0], UTC).isoformat()};{found[-1][1]}" if found else ""
        info = {
            "hasNextPage": len(rows) > size,
            "endCursor": base64.b64encode(last.encode()).decode() if found else None,
        }
        return {"nodes": [row[2] for row in found], "pageInfo": info}


def _error(message: str, code: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})


def _since(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


class _Root:
    def __init__(self, platform: Platform, token: str) -> None:
        self._platform = platform
        self._token = token

    def demarche(self, _: Any, number: int) -> Any:
        if number == DEMARCHE + 1:
            raise _error("An object of type Demarche was hidden due to permissions", "unauthorized")
        if number != DEMARCHE:
            raise _error("Demarche not found", "not_found")
        return _Demarche(self._platform)

    def dossier(self, _: Any, number: int) -> Any:
        row = self._platform.rows.get(number)
        if row is None:
            raise _error("Dossier not found", "not_found")
        return _dossier(row)

    def dossierModifierAnnotationText(self, _: Any, input: dict[str, str]) -> Any:
        if self._token == READ_ONLY:
            return {"errors": [{"message": "Le jeton utilisé est configuré seulement en lecture"}]}
        if input["instructeurId"] != INSTRUCTEUR:
            return {"errors": [{"message": "L’instructeur n’a pas les droits d’accès à ce dossier"}]}
        row = next(r for r in self._platform.rows.values() if typed("Dossier", r.number) == input["dossierId"])
        if input["annotationId"] != ANNOTATION:
            return {"errors": [{"message": f'L’annotation "{input["annotationId"]}" n’existe pas'}]}
        row.annotations[ANNOTATION] = input["value"]
        row.updated = time.time()
        return {"annotation": None, "errors": None}


class _Demarche:
    number, title, state = DEMARCHE, "Permis de végétaliser", "publiee"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def dossiers(
        self, _: Any, updatedSince: str | None = None, first: int | None = None, after: str | None = None
    ) -> Any:
        rows = [r for r in self._platform.rows.values() if r.hidden is None and r.updated >= _since(updatedSince)]
        by = "updated" if updatedSince else "deposited"
        return self._platform.page([(getattr(r, by), r.number, _dossier(r)) for r in rows], first, after)

    def pendingDeletedDossiers(
        self, _: Any, deletedSince: str = "", first: int | None = None, after: str | None = None
    ) -> Any:
        rows = [(r.hidden[0], r.number, r.state, r.hidden[1]) for r in self._platform.rows.values() if r.hidden]
        return self._gone(rows, deletedSince, first, after)

    def deletedDossiers(
        self, _: Any, deletedSince: str = "", first: int | None = None, after: str | None = None
    ) -> Any:
        return self._gone(self._platform.deleted, deletedSince, first, after)

    def _gone(self, rows: list[tuple[float, int, str, str]], since: str, first: int | None, after: str | None) -> Any:
        return self._platform.page(
            [
                (at, number, {"id": typed("DeletedDossier", number), "number": number, "state": state, "reason": reason,
                              "dateSupression": iso(at)})
                for at, number, state, reason in rows if at >= _since(since)
            ],
            first, after,
        )  # fmt: skip


def _dossier(row: Row) -> dict[str, Any]:
    def values(of: dict[str, str]) -> Callable[..., list[dict[str, Any]]]:
        return lambda _, id=None: [
            {"id": key, "label": "Champ", "stringValue": value} for key, value in of.items() if id in (None, key)
        ]

    ends = [
        t["dateTraitement"] for t in row.traitements if t["event"].partition("_")[0] in {"accepte", "refuse", "classe"}
    ]
    return {
        "id": typed("Dossier", row.number), "number": row.number, "state": row.state, "archived": row.archived,
        "demarche": {"number": DEMARCHE, "title": _Demarche.title}, "dateDepot": iso(row.deposited),
        "dateDerniereModification": iso(row.updated), "dateTraitement": ends[-1] if ends else None,
        "datePrevisionnelleDecisionSVASVR": row.due, "dateTraitementSVASVR": None, "traitements": list(row.traitements),
        "messages": [dict(m) for m in row.messages], "motivation": "Mme Untel a fourni ses revenus",
        "usager": {"id": "x", "email": "mme.untel@example.org"}, "champs": values(row.champs),
        "annotations": values({ANNOTATION: row.annotations.get(ANNOTATION, "")}),
    }  # fmt: skip
