"""`relais replay`: a town's own past, through the bus, and what it would have told."""

import asyncio
import json
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.errors import DeployError

if TYPE_CHECKING:
    from deploy.replay.bus import Replayed
    from deploy.replay.story import Story
    from deploy.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def _tell_schema(wanted: bool) -> None:
    if wanted:
        from connectors.eventlog.report import Report  # noqa: PLC0415

        typer.echo(json.dumps(Report.model_json_schema(by_alias=True), ensure_ascii=False, indent=2))
        raise typer.Exit


def replay(
    log: Annotated[Path, typer.Argument(help="Event log: XES or CSV, gzipped or not.")],
    map_: Annotated[Path, typer.Option("--map", help="What its rows mean (YAML).")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as one line of JSON, for programs.")
    ] = False,
    in_memory: Annotated[
        bool, typer.Option("--in-memory", help="Compute the same report with no bus, to try.")
    ] = False,
    by_date: Annotated[
        bool, typer.Option("--by-date", help="Send in the order of dates, so that the clock goes along.")
    ] = False,
    shuffle: Annotated[int | None, typer.Option(help="Send in an order drawn by this seed.")] = None,
    double: Annotated[bool, typer.Option("--double", help="Send every fact twice.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Worker processes.")] = 2,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the instance, to look at it.")] = False,
    instance: Annotated[str | None, typer.Option(help="Name of the instance; else one of its own.")] = None,
    schema: Annotated[
        bool,
        typer.Option(
            "--schema", is_eager=True, callback=_tell_schema, help="Print what the fields of --json mean (JSON schema)."
        ),
    ] = False,
) -> None:
    """Send the event log of a town through the bus, with its original dates, and report what it found.

    Runs in an instance of its own, which is deleted afterwards, on the brokers set or on the local one. The report counts journeys,
    handoffs by pair, pauses, days inside each body and between bodies, and the alerts of the limits that the mapping file sets. The
    same log gives the same report, whatever the order.
    """
    from deploy.replay import plain, story, words  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415

    settings = load()
    _say(f"reading {log.name}")
    told = story.read(log, map_, shuffle=shuffle, double=double, by_date=by_date)
    if in_memory:
        report = plain.run(told)
    else:
        name = instance or f"replay-{secrets.token_hex(4)}"
        report = _through_the_bus(told, settings, name, workers, keep).report
        if keep:
            _say(f"kept as instance {name}")
    if as_json:
        typer.echo(report.model_dump_json(by_alias=True))
        return
    for line in words.lines(report, told.mapping):
        typer.echo(line)


def _through_the_bus(told: "Story", settings: "Settings", name: str, workers: int, keep: bool) -> "Replayed":
    from deploy.replay import bus  # noqa: PLC0415

    own = bus.own_settings(settings, name)

    async def run(brokers: str) -> "Replayed":
        task = asyncio.current_task()
        assert task is not None
        # what was started has to be ended, whoever ends us
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await bus.run(told, own, brokers, workers=workers, keep=keep, say=_say)

    with bus.broker(settings, _say) as brokers:
        try:
            return asyncio.run(run(brokers))
        except asyncio.CancelledError:
            raise DeployError("stopped before its end") from None


def _say(text: str) -> None:
    typer.echo(text, err=True)
