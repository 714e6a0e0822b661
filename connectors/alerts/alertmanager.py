"""A sink to Alertmanager (HTTP API v2): what lasts is sent again and again, what is over is told to be over.

Every alert that is sent bears an end in the future, so that one of which nothing is heard any more ends by itself; an Alertmanager
that was restarted gets all of them again. Labels hold no case: the alert's id, an opaque digest, tells one from another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import DBAPIError

from connectors.alerts.ledger import Dispatch, Ledger
from connectors.status.model import NotReadyError, ReadModel
from streams.engine.book import Book
from streams.engine.counting import to_date

log = structlog.get_logger()

SENT = Counter("relais_alertmanager_posts_total", "Requests to Alertmanager.", ["outcome"])
FIRING = Gauge("relais_alerts_firing", "Alerts that last and are not silent.")
for _outcome in ("done", "failed"):
    SENT.labels(_outcome)

_SUMMARIES = {
    "not-delivered": "{other} a transmis un dossier que {body} n'a pas encore lu",
    "not-taken": "{body} a lu un dossier transmis par {other} et ne l'a pas pris en charge",
    "silent": "{body} a pris en charge un dossier transmis par {other} et n'a plus rien dit",
    "breached": "{body} a laissé passer une date limite",
    "about-to-breach": "{body} a une date limite proche",
    "ping-pong": "Un même dossier revient à {body} sans avancer",
    "conflict": "Une source de {body} a dit deux choses différentes d'un même fait",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerConfig:
    """Settings of the sink."""

    urls: tuple[str, ...]
    """Addresses of the Alertmanagers of one cluster; every one gets everything."""
    instance: str = "main"
    """Instance of the bus, as a label."""
    console: str = ""
    """Address of the operations page, for the link of each alert; empty: no link."""
    interval_s: float = 60.0
    """What lasts is sent again this often."""
    look_s: float = 2.0
    """The read model is looked at this often."""
    end_after: int = 4
    """An alert of which nothing is heard for so many intervals ends by itself."""
    tell_end_s: float = 900.0
    """The end of an alert is told for so long, in case an Alertmanager was down."""
    batch: int = 200
    """Alerts in one request."""
    timeout_s: float = 10.0
    """Wait for an answer."""


class AlertSink:
    """Sends alerts until it is stopped."""

    def __init__(
        self,
        model: ReadModel,
        ledger: Ledger,
        book: Book,
        config: AlertmanagerConfig,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        """`ready`: whether the read model has caught up; before that nothing is ended."""
        self._model = model
        self._ledger = ledger
        self._book = book
        self._config = config
        self._ready = ready
        self._told: dict[str, dict[tuple[bytes, int, bool], float]] = {url: {} for url in config.urls}
        """When each was last told to each Alertmanager, by a monotonic clock."""

    async def run(self) -> None:
        """Run until cancelled; failures are waited out."""
        async with httpx2.AsyncClient(timeout=self._config.timeout_s, trust_env=False) as http:
            while True:
                if self._ready():
                    await self._turn(http)
                await asyncio.sleep(self._config.look_s)

    async def _turn(self, http: httpx2.AsyncClient) -> None:
        try:
            entries = await asyncio.to_thread(self._entries)
        except (NotReadyError, DBAPIError) as error:
            log.warning("alerts cannot be read now", error=type(error).__name__)
            return
        FIRING.set(sum(e.resolved_at is None for e in entries))
        for url in self._config.urls:
            await self._tell(http, url, entries)

    def _entries(self) -> list[Dispatch]:
        now = time.time_ns() // 1_000_000
        today = now // 86_400_000
        with self._model.snapshot() as seen:
            found = seen.alerts(limit=None)
        lasting = [a for a in found if a["silent_until"] is None or a["silent_until"] < today]
        return self._ledger.turn(map(self._dispatch, lasting), now, now - int(self._config.tell_end_s * 1000))

    def _dispatch(self, alert: dict[str, Any]) -> Dispatch:
        labels = {
            "alertname": "Relais" + "".join(w.capitalize() for w in alert["reason"].split("-")),
            "instance": self._config.instance,
            "reason": alert["reason"],
            "severity": alert["severity"],
            "rule": alert["rule"],
            "body": alert["body"],
            "other": alert["other"] or "",
            "procedure": alert["procedure"] or "",
            "alert": alert["alert"].hex(),
        }
        raised_on: int = alert["episodes"][-1]["raised_on"]
        names = {"body": self._name(alert["body"]), "other": self._name(alert["other"] or "")}
        text = _SUMMARIES.get(alert["reason"], "{body} : à regarder").format(**names)
        annotations = {"summary": text[:1].upper() + text[1:], "raised_on": to_date(raised_on).isoformat()}
        if alert["due_on"] is not None:
            annotations["due_on"] = to_date(alert["due_on"]).isoformat()
        return Dispatch(alert["alert"], raised_on, labels, annotations)

    def _name(self, body: str) -> str:
        known = self._book.body(body)
        return known.name if known else body

    async def _tell(self, http: httpx2.AsyncClient, url: str, entries: Sequence[Dispatch]) -> None:
        now, told = time.monotonic(), self._told[url]
        lasting = {e.alert for e in entries if e.resolved_at is None}  # its former episodes bear the same labels
        names = {
            (*e.name, e.resolved_at is None): e for e in entries if e.resolved_at is None or e.alert not in lasting
        }
        self._told[url] = told = {name: at for name, at in told.items() if name in names}
        due = [name for name in names if now - told.get(name, -1e9) >= self._config.interval_s]
        for start in range(0, len(due), self._config.batch):
            some = due[start : start + self._config.batch]
            try:
                answer = await http.post(f"{url}/api/v2/alerts", json=[self._post(names[name]) for name in some])
                answer.raise_for_status()
            except httpx2.HTTPError as error:
                SENT.labels("failed").inc()
                log.warning("an Alertmanager does not take alerts", error=type(error).__name__)
                return
            SENT.labels("done").inc()
            told.update(dict.fromkeys(some, now))

    def _post(self, entry: Dispatch) -> dict[str, Any]:
        config = self._config
        started = datetime.combine(to_date(entry.raised_on), datetime.min.time(), UTC)
        if entry.resolved_at is None:
            ends = datetime.now(UTC) + timedelta(seconds=config.interval_s * config.end_after)
        else:
            ends = datetime.fromtimestamp(entry.resolved_at / 1000, UTC)
        told: dict[str, Any] = {
            "labels": {name: value for name, value in entry.labels.items() if value},
            "annotations": entry.annotations,
            "startsAt": started.isoformat(),
            "endsAt": max(ends, started + timedelta(seconds=1)).isoformat(),
        }
        if config.console:
            told["generatorURL"] = f"{config.console}/alerts/{entry.labels['alert']}"
        return told
