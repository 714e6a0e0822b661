"""Chaos on a real broker, in short and at length; and its checker, which must see what was broken on purpose."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.chaos import run as running
from deploy.chaos.bus import Bus, Seen
from deploy.chaos.checker import Published, check
from deploy.chaos.faults import Fault, damage
from deploy.chaos.run import Plan
from deploy.cli import app
from schemas.codec import bus
from schemas.references import Keys

SHORT = (Fault.KILL, Fault.FREEZE, Fault.CUT, Fault.COMMIT, Fault.DAMAGE)


def said(text: str) -> None:
    print(text)


@pytest.mark.system
def test_in_short_and_the_checker_sees_what_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[tuple[Bus, Published, int, int, Keys]] = []

    def spy(*args: object) -> object:
        checked.append(args)  # type: ignore[arg-type]
        return check(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "check", spy)
    found = running.play(Plan(seed=11, facts=430, faults=6, kinds=SHORT, days=30), tmp_path, said)
    assert not found["violated"], found
    assert found["by fault"]["kill"] >= 1 and found["aborted records"] > 0 and found["merged"] > 0
    seen, *rest = checked[0]
    assert not check(seen, *rest).violations
    for name, spoil in CONTROLS.items():
        broken = copy.copy(seen)
        broken.topics = {topic: list(records) for topic, records in seen.topics.items()}
        spoil(broken, random.Random(name))
        assert check(broken, *rest).violations, f"the checker is blind to: {name}"


def _drop_output(seen: Bus, rnd: random.Random) -> None:
    last = {r.key: i for i, r in enumerate(seen.topics["statuses"]) if r.value is not None}
    live = seen.latest("statuses")
    del seen.topics["statuses"][last[rnd.choice(sorted(live))]]


def _double_alert(seen: Bus, rnd: random.Random) -> None:
    alerts = seen.topics["alerts"]
    at = rnd.randrange(len(alerts))
    alerts.insert(at + 1, alerts[at])


def _early_alert(seen: Bus, rnd: random.Random) -> None:
    """An alert that was raised, withdrawn and raised again: right in the end, and false on the way."""
    alerts = seen.topics["alerts"]
    at = rnd.randrange(len(alerts))
    alerts[at + 1 : at + 1] = [alerts[at]._replace(value=None), alerts[at]]


def _skip_fact(seen: Bus, rnd: random.Random) -> None:
    facts = [i for i, r in enumerate(seen.topics["journeys"]) if (r.key or b"")[:1] == b"f" and r.value is not None]
    live = seen.latest("journeys")
    key = seen.topics["journeys"][rnd.choice([i for i in facts if seen.topics["journeys"][i].key in live])].key
    seen.topics["journeys"].append(Seen(0, 0, key, None, {}))


def _lose_input(seen: Bus, rnd: random.Random) -> None:
    events = seen.topics["case-events"]
    del events[
        rnd.choice(
            [i for i, r in enumerate(events) if r.key and r.headers == {} and r.key[:1] == b"\x01" and not _ours(r)]
        )
    ]


def _ours(record: Seen) -> bool:
    return bus().frame(record.value or b"") is not None


def _double_letter(seen: Bus, rnd: random.Random) -> None:
    seen.topics["dead-letters"].append(seen.topics["dead-letters"][0])


def _stale_handoff(seen: Bus, rnd: random.Random) -> None:
    """The last word on a handoff is missing: an earlier one stands."""
    handoffs = seen.topics["handoffs"]
    first: set[bytes | None] = set()
    again = [i for i, r in enumerate(handoffs) if r.key in first or first.add(r.key)]  # type: ignore[func-returns-value]
    del handoffs[again[-1]]


def _wrong_other(seen: Bus, rnd: random.Random) -> None:
    """The alert of a file that was passed on does not name who has it."""
    at, datum = next(
        (i, d)
        for i, r in reversed(list(enumerate(seen.topics["alerts"])))
        if r.value is not None and (d := bus().decode(r.value)[1])["rule"] == "answer" and d["other"] is not None
    )
    told = bus().encode("alert", datum | {"other": None})
    seen.topics["alerts"][at] = seen.topics["alerts"][at]._replace(value=told)


CONTROLS = {
    "an output dropped": _drop_output, "an alert doubled": _double_alert, "an alert that came and went": _early_alert,
    "a fact skipped": _skip_fact, "an input lost": _lose_input, "a dead letter doubled": _double_letter,
    "a handoff that is not up to date": _stale_handoff, "an alert that does not name the other body": _wrong_other,
}  # fmt: skip


def test_damage_changes_a_file(tmp_path: Path) -> None:
    assert damage(tmp_path, random.Random(1)) == "nothing to damage"
    for n in range(20):
        file = tmp_path / "store" / "000001.sst"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(1000))
        assert "000001.sst" in damage(tmp_path, random.Random(n))
        assert not file.exists() or file.read_bytes() != bytes(1000)


def test_an_unknown_fault_is_refused() -> None:
    told = CliRunner().invoke(app, ["chaos", "--fault", "flood"])
    assert told.exit_code != 0
    assert "there are kill, freeze" in str(told.exception)


@pytest.mark.long
@pytest.mark.system
def test_a_rolling_restart_loses_nothing(tmp_path: Path) -> None:
    """Two workers are stopped as told and started again, in turn, while facts come in."""
    found = running.play(Plan(seed=12, facts=1_000, faults=6, kinds=(Fault.LEAVE,), days=30), tmp_path, said)
    assert not found["violated"] and found["by fault"] == {"leave": 6} and not found["ended by themselves"], found


@pytest.mark.long
@pytest.mark.system
@pytest.mark.parametrize(("seed", "clock"), [(1, "led"), (2, "led"), (3, "wall")])
def test_at_length(seed: int, clock: str, tmp_path: Path) -> None:
    """Every kind of fault several times; the command itself, as anybody runs it."""
    order = [
        "chaos",
        "--facts",
        "10000",
        "--faults",
        "30",
        "--seed",
        str(seed),
        "--clock",
        clock,
        "--folder",
        str(tmp_path),
        "--json",
    ]
    told = CliRunner().invoke(app, order)
    found = json.loads(told.stdout.splitlines()[-1])
    assert told.exit_code == 0 and not found["violated"], found
    assert found["faults"] >= 30 and found["aborted records"] > 0
