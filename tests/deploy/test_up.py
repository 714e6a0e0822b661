"""`relais up`: everything starts, the example shows, what dies comes back, all of it stops, and a second start goes on."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from connectors.gateway.access import read
from connectors.pages.accounts import check
from connectors.pages.accounts import read as accounts
from deploy import example
from deploy.tokens import PERSON
from schemas.cloudevents import parse
from tests.support.town import PATIENCE_S, Town


def test_the_example_is_sound_and_does_not_change() -> None:
    day = date(2026, 3, 2)
    words = example.first_act(day)
    for slot in range(100, 140):
        words += example.arrival(slot, 101, 130, day)
    assert words == [*example.first_act(day), *(w for s in range(100, 140) for w in example.arrival(s, 101, 130, day))]
    events = [parse(word.event) for word in words]
    names = [(e.header.source, e.header.subject, e.header.id) for e in events]
    assert len(set(names)) == len(names)
    assert {w.body for w in words} == {w.event["source"].split("/")[0] for w in words} <= set(example.BODIES)
    assert max(e.header.occurred_on for e in events) == day
    assert {e.type for e in events} >= {"handoff.sent", "handoff.received", "handoff.refused", "handoff.completed"}


def _settled(town: Town, body: str, case: str, handoffs: list[str]) -> Any:
    """A journey, once all that its bodies have stated is there: until then it may have an alert that its last facts take back."""
    end = time.monotonic() + PATIENCE_S
    while True:
        journey = town.ask(body, f"/v1/journeys/{case}").json()
        if sorted(h["state"] for h in journey.get("handoffs", ())) == handoffs and not journey["alerts"]:
            return journey
        assert time.monotonic() < end, journey
        time.sleep(0.2)


@pytest.mark.system
def test_everything_starts_lives_stops_and_goes_on(town: Town) -> None:
    town.start()
    stalled = town.ask(example.TOWN, f"/v1/journeys/{example.STALLED}").json()
    assert [(a["rule"], a["reason"], a["body"]["id"]) for a in stalled["alerts"]] == [
        ("handoff.to-instructor.received", "not-delivered", example.EPCI)
    ]
    ongoing = _settled(town, example.EPCI, example.ONGOING, ["accepted", "completed"])
    assert {c["body"]["id"] for c in ongoing["cases"]} == {example.TOWN, example.EPCI, example.DEPARTMENT}
    granted = _settled(town, example.PREFECTURE, example.GRANTED, ["received"])
    assert town.ask("peronnas", f"/v1/journeys/{example.STALLED}").status_code == 404
    tokens = town.data / "tokens"
    assert all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in tokens.iterdir())
    assert (tokens / example.TOWN).read_text().strip() not in town.said()
    password = (tokens / PERSON).read_text().strip()
    person = check(accounts(town.data / "agents.json"), PERSON, password)
    assert person is not None and person.operator and set(person.roles) == set(example.BODIES)
    again = subprocess.run(
        [sys.executable, "-m", "deploy", "up"],
        cwd=town.folder,
        env=town.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (again.returncode, "runs already" in again.stderr) == (1, True), again.stderr

    running = town.children()
    assert running.keys() == {"java", "worker w1", "worker w2", "gateway"}
    os.kill(running["worker w1"], signal.SIGKILL)
    end = time.monotonic() + 60
    while town.children().get("worker w1", running["worker w1"]) == running["worker w1"]:
        assert time.monotonic() < end, town.said()
        time.sleep(0.1)
    assert "worker 1 ended (signal SIGKILL)" in town.said()

    assert town.stop() == 0, town.said()
    told = [line for line in town.said().splitlines() if line.endswith(": stopped")]
    assert told == ["gateway: stopped", "workers: stopped", "broker: stopped"]
    assert not [pid for pid in running.values() if Path(f"/proc/{pid}").exists()]

    before = read(town.data / "bodies.json"), accounts(town.data / "agents.json")
    town.start()
    assert "topics: found" in town.said() and "tokens: found" in town.said()
    assert (read(town.data / "bodies.json"), accounts(town.data / "agents.json")) == before
    for body, case, was in (
        (example.TOWN, example.STALLED, stalled),
        (example.EPCI, example.ONGOING, ongoing),
        (example.PREFECTURE, example.GRANTED, granted),
    ):
        end = time.monotonic() + 30
        while (now := town.ask(body, f"/v1/journeys/{case}").json()) != was and time.monotonic() < end:
            time.sleep(0.2)  # what the topics say is read again after the first answers are given
        assert now == was
    assert all(c["conflicts"] == 0 for c in stalled["cases"] if not c["neutral"])
