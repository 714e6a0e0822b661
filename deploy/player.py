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

    def _first_day(self) -> date:
        """The day of the first start, which the bus itself remembers; today if this is it."""
        today = datetime.now(PARIS).date()
        try:
            answer = self._ask("GET", example.TOWN, f"/v1/journeys/{example.GRANTED}")
        except httpx2.TransportError:
            return today
        if answer.status_code != httpx2.codes.OK:
            return today
        opened: str = next(c["opened_on"] for c in answer.json()["cases"] if c.get("case") == example.GRANTED)
        return date.fromisoformat(opened) + timedelta(example.OLDEST)

    def _state(self, words: Sequence[Word], wait: int = 0) -> bool:
        """State facts, a batch for each body; whether all were taken."""
        by_body: dict[str, list[dict[str, Any]]] = {}
        for word in words:
            by_body.setdefault(word.body, []).append(word.event)
        taken = True
        for body, events in by_body.items():
            try:
                prefer = f"wait={wait}, access-code" if wait else "access-code"
                answer = self._ask("POST", body, "/v1/events", events, {"prefer": prefer})
            except httpx2.TransportError as error:
                self._say(f"example: the gateway does not answer ({type(error).__name__})")
                return False
            if not answer.is_success:
                self._say(f"example: {body} was refused: {answer.status_code} {answer.json().get('detail', '')}")
                taken = False
                continue
            self.codes |= {a["subject"]: a["access_code"] for a in answer.json()["accepted"] if "access_code" in a}
        return taken

    def _wait_alert(self) -> None:
        end = time.monotonic() + SHOWN_S
        while time.monotonic() < end:
            answer = self._ask("GET", example.TOWN, f"/v1/journeys/{example.STALLED}")
            alerts = answer.json().get("alerts", []) if answer.is_success else []
            if alerts:
                found = next((a for a in alerts if a["handoff"]), alerts[0])
                about = f"{found['body']['name']}, {found['rule']}, due on {found['due_on']}"
                self._say(f"example: alert on {example.STALLED} ({about})")
                return
            time.sleep(0.2)
        self._say(f"example: no alert on {example.STALLED} yet; the workers' logs tell why time stands still")

    def _ask(
        self, method: str, body: str, path: str, said: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        given = {"authorization": f"Bearer {self._tokens[body]}", **(headers or {})}
        return httpx2.request(method, self._base + path, json=said, headers=given, timeout=40)
