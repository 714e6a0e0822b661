"""`relais chaos`: hurt a bus of its own in every way there is, and hold what it says to an oracle."""

import json
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.errors import Exit

BRIEF = 20
"""Violations told on the screen; `--json` has more."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(chaos)


def chaos(
    facts: Annotated[
        int, typer.Option(min=1, help="Facts to publish, at least; more records, since some come twice.")
    ] = 20_000,
    faults: Annotated[int, typer.Option(min=0, help="Faults to let happen, of all kinds in turn.")] = 30,
    fault: Annotated[
        list[str] | None, typer.Option(help="Only this kind of fault; may be given several times.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Workers that always run; one more comes and goes.")] = 2,
    clock: Annotated[str, typer.Option(help="led: by ticks, day by day; wall: by the broker's clock.")] = "led",
    seed: Annotated[int | None, typer.Option(help="Repeat the run of this seed; otherwise a new one.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder for the run, which is kept; otherwise a temporary one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one line of JSON, for programs.")] = False,
) -> None:
    """Publish realistic traffic while workers, broker, network, disks and clocks fail; then check all that the bus says.

    Everything is read from outside and compared with an oracle that shares no code with the engine: nothing lost, nothing double, nothing
    wrong, alerts once. Ends with 1 if anything was violated, and then keeps its folder. The full run: --faults 200 --facts 300000.
    """
    from deploy.chaos import run as running  # noqa: PLC0415

    kinds = running.parse_kinds(fault or [])
    plan = running.Plan(
        secrets.randbelow(10**9) if seed is None else seed, facts, faults, workers, clock != "wall", kinds
    )
    place = folder or Path(tempfile.mkdtemp(prefix="relais-chaos-"))
    found = running.play(plan, place, _say)
    bad = running.failed(found)
    if bad:
        found["folder"] = str(place)
    elif folder is None:
        shutil.rmtree(place, ignore_errors=True)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _tell(found)
    if bad:
        raise typer.Exit(Exit.FAILED)


def _say(text: str) -> None:
    typer.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


def _tell(found: dict[str, Any]) -> None:
    width = max(map(len, found))
    for name, value in found.items():
        if name != "violated":
            typer.echo(f"{name:<{width}}  {value}")
    for text in found["violated"][:BRIEF]:
        typer.echo(f"VIOLATED  {text}")
    if not found["violated"]:
        typer.echo("nothing lost, nothing double, nothing wrong")
