"""/pilotage: who runs the bus sees where work stalls, and acts: takes care of alerts, puts dead letters back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from connectors.gateway.access import Grant
from connectors.gateway.bus import Order
from connectors.gateway.problems import ProblemError, Trouble
from connectors.pages import labels
from connectors.pages.rendering import render
from connectors.pages.sending import send
from connectors.pages.sessions import Sessions, Worker
from connectors.pages.site import Pages, Site, go
from connectors.pages.watching import STALLED, Filter, Watching, sources, whole, workers
from connectors.status.model import Snapshot
from schemas.cloudevents import PREFIX
from schemas.models import Attestation
from schemas.references import parse

_T = TypeVar("_T")
_TOPICS = ("case-events",)
"""Only facts are put back, where they came from."""
_SAID = {
    "prise": "L'alerte est prise en charge.",
    "remis": "Le message est remis sur le bus ; s'il échoue encore, il reviendra ici.",
}


class Operations:
    """The pages of operators."""

    def __init__(self, site: Site, sessions: Sessions) -> None:
        self._site = site
        self._sessions = sessions

    def add_to(self, pages: Pages) -> None:
        """Add the routes."""
        for name, path, get in (
            ("operations", "/pilotage", self.handoffs),
            ("operations-limits", "/pilotage/delais", self.limits),
            ("operations-alerts", "/pilotage/alertes", self.alerts),
            ("operations-letters", "/pilotage/rejets", self.letters),
            ("operations-claims", "/pilotage/liens", self.claims),
            ("operations-workers", "/pilotage/marche", self.workers),
            ("operations-journey", "/pilotage/demande", self.journey),
        ):
            pages.add(name, path, get)
        pages.add("operations-acknowledge", "/pilotage/alertes/prendre", post=self.acknowledge)
        pages.add("operations-replay", "/pilotage/rejets/remettre", post=self.replay)

    def _operator(self, request: Request) -> Worker | None:
        worker = self._sessions.who(request)
        if worker is not None and not worker.account.operator:
            raise ProblemError(Trouble.NOT_ALLOWED, "operators only")
        return worker

    async def _look(self, look: Callable[[Snapshot, Watching], _T]) -> _T:
        site = self._site
        watching = Watching(site.book, site.keys, site.today())

        def inside() -> _T:
            with site.model.snapshot() as now:
                return look(now, watching)

        return await run_in_threadpool(inside)

    async def _page(
        self, request: Request, template: str, look: Callable[[Snapshot, Watching, Filter], dict[str, Any]], **more: Any
    ) -> Response:
        worker = self._operator(request)
        if worker is None:
            return go("/entrer?vers=/pilotage")
        wanted = _filter(request)
        values = await self._look(lambda now, watching: look(now, watching, wanted))
        base = {
            "worker": worker, "wanted": wanted, "bodies": sorted(self._site.book.directory, key=lambda b: b.name),
            "reasons": labels.ALERTS, "letter_reasons": labels.LETTERS, "stalled_reasons": sorted(STALLED),
            "stalled_words": {r: labels.ALERTS[r] for r in sorted(STALLED)},
            "said": _SAID.get(request.query_params.get("dit", "")), "today": self._site.today().isoformat(),
        }  # fmt: skip
        return render(request, template, base | values | more)

    async def handoffs(self, request: Request) -> Response:
        """Handoffs that stall, by pair of bodies and one by one."""

        def look(now: Snapshot, watching: Watching, wanted: Filter) -> dict[str, Any]:
            everywhere = watching.alerts(now, Filter(procedure=wanted.procedure), handoffs=True)
            chosen = watching.alerts(now, wanted, handoffs=True)
            pairs = [
                p
                for p in watching.pairs(now, everywhere)
                if wanted.sender in ("", p["sender"]) and wanted.to in ("", p["to"])
            ]
            some = chosen[wanted.offset : wanted.offset + wanted.size]
            more = len(chosen) > wanted.offset + wanted.size
            return {"pairs": pairs, "rows": [watching.alert(a) for a in some], "count": len(chosen), "more": more}

        return await self._page(request, "operations-handoffs.html", look)

    async def limits(self, request: Request) -> Response:
        """Limits that are about to end, or have."""

        def look(now: Snapshot, watching: Watching, wanted: Filter) -> dict[str, Any]:
            rows = watching.ending(now, wanted)
            return {
                "rows": rows[wanted.offset : wanted.offset + wanted.size],
                "more": len(rows) > wanted.offset + wanted.size,
                "late": sum(1 for r in rows if r["left"] < 0),
            }

        return await self._page(request, "operations-limits.html", look)

    async def alerts(self, request: Request) -> Response:
        """Alerts, with a form to take care of each."""

        def look(now: Snapshot, watching: Watching, wanted: Filter) -> dict[str, Any]:
            found = watching.alerts(now, wanted)
            some = found[wanted.offset : wanted.offset + wanted.size]
            waiting = sum(1 for a in found if a["acknowledged_on"] is None)
            more = len(found) > wanted.offset + wanted.size
            return {"rows": [watching.alert(a) for a in some], "count": len(found), "waiting": waiting, "more": more}

        return await self._page(request, "operations-alerts.html", look)

    async def acknowledge(self, request: Request) -> Response:
        """State, in the place of the body whose case it is, that somebody looks after an alert; attested by the operator."""
        worker, said = await self._sessions.checked(request)
        if not worker.account.operator:
            raise ProblemError(Trouble.NOT_ALLOWED, "operators only")
        form = dict(said)
        key, until = _hexadecimal(form.get("alert", "")), form.get("until", "").strip()
        record = await self._look(lambda now, _: now.alert(key))
        if record is None:
            raise ProblemError(Trouble.CONFLICT, "the alert is no more")
        owner = parse(record["case"]).issuer or ""
        today = self._site.today(owner).isoformat()
        data = {"occurred_on": today, "alert": key.hex(), **({"until": _day(until)} if until else {})}
        message: dict[str, object] = {
            "specversion": "1.0", "id": f"alert:{key.hex()}:{today}:{until or 'open'}", "source": f"{owner}/operations",
            "type": f"{PREFIX}alert.acknowledged", "subject": record["case"], "data": data,
        }  # fmt: skip
        grant = Grant(body=owner, procedures=("*",), types=("alert.acknowledged",))
        await send(self._site, message, grant, attested_by=Attestation.OPERATOR)
        return go("/pilotage/alertes?dit=prise")

    async def letters(self, request: Request) -> Response:
        """Records that could not be taken."""

        def look(now: Snapshot, _watching: Watching, wanted: Filter) -> dict[str, Any]:
            rows = now.letters(
                reason=wanted.reason or None, topic=wanted.topic or None, offset=wanted.offset, limit=wanted.size + 1
            )
            shown = [
                {
                    "part": part, "place": place, "label": labels.LETTERS.get(datum["reason"], datum["reason"]),
                    "detail": datum["detail"], "field": datum["field"], "digest": datum["digest"][:12], "size": datum["size"],
                    "where": f"{datum['topic']}/{datum['partition']}/{datum['offset']}",
                    "on": datum["timestamp"] // 86_400_000, "retriable": _can_replay(datum), "kept": datum["value"] is not None,
                }
                for part, place, datum in rows[: wanted.size]
            ]  # fmt: skip
            return {"rows": shown, "more": len(rows) > wanted.size}

        return await self._page(request, "operations-letters.html", look)

    async def replay(self, request: Request) -> Response:
        """Put one record back where it came from, as it was."""
        worker, said = await self._sessions.checked(request)
        if not worker.account.operator:
            raise ProblemError(Trouble.NOT_ALLOWED, "operators only")
        form = dict(said)
        part, place = _whole(form.get("part", "")), _whole(form.get("place", ""))
        found = await self._look(lambda now, _: now.letter(part, place))
        if found is None or not _can_replay(found):
            raise ProblemError(Trouble.CONFLICT, "this record cannot be put back")
        headers = tuple((h["name"], h["value"]) for h in found["headers"])
        topic = found["topic"][found["topic"].index(_TOPICS[0]) :]
        await self._site.gateway.bus.write(
            [Order(topic, found["partition"], found["key"] or b"", found["value"], headers)]
        )
        return go("/pilotage/rejets?dit=remis")

    async def claims(self, request: Request) -> Response:
        """Links that wait for their owner's word."""
        return await self._page(
            request, "operations-claims.html", lambda now, watching, wanted: {"rows": watching.claims(now, wanted)}
        )

    async def journey(self, request: Request) -> Response:
        """One request from end to end: every file, every handoff, every limit with its derivation."""
        case = request.query_params.get("dossier", "")

        def look(_now: Snapshot, _watching: Watching, _wanted: Filter) -> dict[str, Any]:
            return whole(self._site, case)

        return await self._page(request, "operations-journey.html", look, wanted_case=case)

    async def workers(self, request: Request) -> Response:
        """Workers, partitions, lag; the software of bodies, and whether it is heard."""
        if self._operator(request) is None:
            return go("/entrer?vers=/pilotage")
        found = await workers(self._site.workers)
        heard = sources(self._site)
        return await self._page(request, "operations-workers.html", lambda *_: {"rows": found, "sources": heard})


def _can_replay(letter: dict[str, Any]) -> bool:
    """Whether a letter holds a fact of a body whose cause may have been mended."""
    return letter["retriable"] and letter["value"] is not None and any(name in letter["topic"] for name in _TOPICS)


def _filter(request: Request) -> Filter:
    """The filter of an address; what makes no sense is left aside."""
    query = request.query_params

    def text(name: str) -> str:
        return query.get(name, "")[:100]

    def number(name: str, default: int, most: int) -> int:
        value = query.get(name, "")
        return min(int(value), most) if value.isascii() and value.isdecimal() and len(value) < 7 else default

    return Filter(
        sender=text("de"), to=text("vers"), body=text("organisme"), reason=text("motif"), procedure=text("demarche"),
        topic=text("sujet"), days=number("jours", 15, 366), page=max(1, number("page", 1, 10_000)),
    )  # fmt: skip


def _hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ProblemError(Trouble.MALFORMED_REQUEST, "not an alert") from None


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise ProblemError(Trouble.MALFORMED_REQUEST, "not a place")
    return int(text)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ProblemError(Trouble.MALFORMED_REQUEST, "not a day") from None
