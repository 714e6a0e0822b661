"""Plays the living example through the gateway, as the software of the bodies would."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx2

from deploy import example
from deploy.example import Word

PARIS = ZoneInfo("Europe/Paris")
SHOWN_S = 60.0
REQUESTS = 60
"""Requests that come in during one run; then the example rests."""


class Player:
    """Speaks for the bodies of the example. What the gateway refuses is said, and the play goes on."""

    def __init__(self, base: str, tokens: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._base, self._tokens, self._say = base, tokens, say
        self._since = self._last = int(time.time() // example.SLOT_S)
        self._quiet_until = 0.0
        self.codes: dict[str, str] = {}
        """Secret code of the person, by case; the gateway derives it again at each start."""

    def first_act(self) -> None:
        """Tell the past, dated as at the first start, and wait until its alert shows."""
        day = self._first_day()
        if day is None:
            self._say("example: the gateway does not tell what it knows; not told again, lest it differ")
            return
        words = example.first_act(day)
        self._say(f"example: {len({w.body for w in words})} bodies state {len(words)} facts")
        if self._state(words, wait=30):
            self._wait_alert()

    def turn(self, now: float) -> None:
        """State what is due at this time, seconds since the epoch."""
        slot = int(now // example.SLOT_S)
        if slot <= self._last or now < self._quiet_until:
            return
        today = datetime.fromtimestamp(now, PARIS).date()
        words = [
            word
            for one in range(self._last + 1, slot + 1)
            for word in example.arrival(one, self._since + 1, self._since + REQUESTS, today)
        ]
        if self._state(words):
            self._last = slot
        else:
            self._quiet_until = now + 5

    def _first_day(self) -> date | None:
        """The day of the first start, which the bus itself remembers; today if this is it; None if nobody can say."""
        end = time.monotonic() + SHOWN_S
        while time.monotonic() < end:
            answer = self._ask("GET", example.TOWN, f"/v1/journeys/{example.GRANTED}")
            if answer is not None and answer.status_code == httpx2.codes.NOT_FOUND:
                return datetime.now(PARIS).date()
            if answer is not None and answer.is_success:
                cases = answer.json()["cases"]
                opened: str = next(c["opened_on"] for c in cases if c.get("case") == example.GRANTED)
                return date.fromisoformat(opened) + timedelta(example.OLDEST)
            time.sleep(0.5)
        return None

    def _state(self, words: Sequence[Word], wait: int = 0) -> bool:
        """State facts, a batch for each body; whether there is nothing to try again."""
        by_body: dict[str, list[dict[str, Any]]] = {}
        for word in words:
            by_body.setdefault(word.body, []).append(word.event)
        taken = True
        for body, events in by_body.items():
            prefer = f"wait={wait}, access-code" if wait else "access-code"
            answer = self._ask("POST", body, "/v1/events", events, {"prefer": prefer})
            if answer is None or not answer.is_success:
                why = "the gateway does not answer" if answer is None else f"{answer.status_code} {answer.text[:300]}"
                self._say(f"example: {body} could not state {len(events)} facts: {why}")
                later = answer is None or answer.is_server_error or answer.status_code == httpx2.codes.TOO_MANY_REQUESTS
                taken = taken and not later
                continue
            self.codes |= {a["subject"]: a["access_code"] for a in answer.json()["accepted"] if "access_code" in a}
        return taken

    def _wait_alert(self) -> None:
        end = time.monotonic() + SHOWN_S
        while time.monotonic() < end:
            answer = self._ask("GET", example.TOWN, f"/v1/journeys/{example.STALLED}")
            alerts = answer.json().get("alerts", []) if answer is not None and answer.is_success else []
            if alerts:
                found = next((a for a in alerts if a["handoff"]), alerts[0])
                about = f"{found['body']['name']}, {found['rule']}, due on {found['due_on']}"
                self._say(f"example: alert on {example.STALLED} ({about})")
                return
            time.sleep(0.2)
        self._say(f"example: no alert on {example.STALLED} yet; the workers' logs tell why time stands still")

    def _ask(
        self, method: str, body: str, path: str, said: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response | None:
        given = {"authorization": f"Bearer {self._tokens[body]}", **(headers or {})}
        try:
            return httpx2.request(method, self._base + path, json=said, headers=given, timeout=40)
        except httpx2.TransportError:
            return None  # it was stopped, or starts again
