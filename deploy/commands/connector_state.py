"""`relais connector offsets | labels | dead-letters`: what a connector remembers."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.connector import AsJson, ConnectorFileError, DirectoryFile, File, _line, _source, _spec
from deploy.commands.connector import group as connector

if TYPE_CHECKING:
    from deploy.settings import Settings

offsets = typer.Typer(no_args_is_help=True, help="See and change where a connector reads on.")
labels = typer.Typer(no_args_is_help=True, help="See the local labels that nobody has mapped, and map them.")
letters = typer.Typer(no_args_is_help=True, help="See what a connector could not take, and try it again.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")]


def register(_: typer.Typer) -> None:
    """Add the commands to those of `relais connector`."""
    connector.add_typer(offsets, name="offsets")
    connector.add_typer(labels, name="labels")
    connector.add_typer(letters, name="dead-letters")


@offsets.command("show")
def show(file: File, as_json: AsJson = False) -> None:
    """Show where a connector reads on, and what it has counted."""
    from connectors.kit import state  # noqa: PLC0415
    from deploy.connectors import keeping  # noqa: PLC0415

    spec, (settings, brokers) = _spec(file), _where()
    kept = asyncio.run(keeping.remembered(brokers, settings.instance, spec.file.name))
    found = state.read_checkpoint(kept.get(state.CHECKPOINT))
    waits = sum(key.startswith((state.HELD, b"q")) for key in kept)
    told = {"cursor": found.cursor, "facts": found.sequence, "waiting": waits, "dead_letters": found.letters}
    typer.echo(_line(told) if as_json else "\n".join(f"{name:<14}{_line(value)}" for name, value in told.items()))


@offsets.command("set")
def set_(
    file: File, cursor: Annotated[str, typer.Argument(help="As `show` tells it (JSON).")], dry_run: DryRun = False
) -> None:
    """Let a connector read on from another place. What it has published already stays one fact."""
    try:
        wanted = json.loads(cursor)
    except ValueError:
        raise ConnectorFileError("the cursor is not JSON: write it as `relais connector offsets show` does") from None
    _move(file, wanted, dry_run)


@offsets.command()
def reset(file: File, dry_run: DryRun = False) -> None:
    """Let a connector read from the beginning. What it has published already stays one fact.

    But where the source gives a record in every state that it went through, and no version: those states are stated again.
    `--dry-run` counts the records that have come in several states.
    """
    _move(file, None, dry_run)


@labels.command("list")
def list_labels(file: File, as_json: AsJson = False) -> None:
    """List the labels that nobody has mapped, with how many records wait for each, and where some of them stand."""
    from dataclasses import asdict  # noqa: PLC0415

    from deploy.connectors import keeping  # noqa: PLC0415

    spec, (settings, brokers) = _source(file), _where()
    for one in asyncio.run(keeping.labels(brokers, settings.instance, spec.file.name)):
        if as_json:
            typer.echo(_line(asdict(one)))
            continue
        where = f" ({', '.join(one.examples)})" if one.examples else ""
        typer.echo(f"{one.table}: {one.label!r}: {one.count} wait{where}, {one.behind} behind them")


@labels.command("map")
def map_label(
    file: File,
    table: Annotated[str, typer.Argument(help="Table of the label.")],
    label: Annotated[str, typer.Argument(help="The label, as `list` shows it.")],
    value: Annotated[str, typer.Argument(help="What it is here; null: it says nothing.")],
) -> None:
    """Map a label. A connector at work takes it up by itself, and publishes what waited, in order."""
    from deploy.connectors import keeping  # noqa: PLC0415

    meant: Any = None if value == "null" else value
    path = keeping.map_label(_source(file), table, label, meant)
    typer.echo(f"{table}: {label!r} is {value} now (in {path.name})")


@letters.command("list")
def list_letters(file: File, as_json: AsJson = False) -> None:
    """List what a connector could not take, oldest first, without its content."""
    from connectors.kit.session import topic_of  # noqa: PLC0415
    from deploy.letters import Choice  # noqa: PLC0415
    from deploy.letters import letters as read  # noqa: PLC0415

    spec, (settings, brokers) = _spec(file), _where()

    async def run() -> None:
        choice = Choice(topics={topic_of(settings.instance, spec.file.name)})
        async for letter in read(brokers, settings.instance, choice):
            told = letter.told() | {"place": _place(letter.datum)}
            if as_json:
                typer.echo(_line(told))
            else:
                typer.echo(f"{told['id']}  {told['reason']}  {told['place']}\n    {told['detail']}")

    asyncio.run(run())


@letters.command("show")
def show_letter(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    value: Annotated[bool, typer.Option("--value", help="The content too: it may hold personal data.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is known of a dead letter; its content only with --value."""
    from deploy.commands.dead_letters import show as show_any  # noqa: PLC0415

    show_any(id_, value, as_json)


@letters.command()
def replay(
    file: File,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Which; none: all that fit.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Even those whose record itself is wrong.")] = False,
    directory: DirectoryFile = None,
) -> None:
    """Try dead letters again, once the mapping, the directory or the receiver is mended."""
    from deploy.connectors import keeping  # noqa: PLC0415
    from deploy.rules import directory as read_directory  # noqa: PLC0415

    spec, (settings, brokers) = _spec(file), _where()
    bodies = read_directory(directory)
    for letter, fate in asyncio.run(keeping.replay(settings, brokers, spec, bodies, set(ids or ()), force)):
        typer.echo(f"{letter.id}  {letter.datum['reason']}  {fate.value}")


def _move(file: Path, cursor: Any, dry_run: bool) -> None:
    from connectors.kit import state  # noqa: PLC0415
    from deploy.connectors import keeping  # noqa: PLC0415

    spec, (settings, brokers) = _spec(file), _where()
    if dry_run:
        kept = asyncio.run(keeping.remembered(brokers, settings.instance, spec.file.name))
        before = state.read_checkpoint(kept.get(state.CHECKPOINT)).cursor
        typer.echo(f"would go from {_line(before)} to {_line(cursor)}")
        states = (state.read_entry(value).number for key, value in kept.items() if key.startswith(state.RECORD))
        if cursor is None and (changed := sum(number > 1 for number in states)):
            typer.echo(
                f"{changed} records have come in several states: if the source gives each state again, they are stated again"
            )
        return
    before = asyncio.run(keeping.move(settings, brokers, spec, cursor))
    typer.echo(f"from {_line(before)} to {_line(cursor)}")


def _place(datum: dict[str, Any]) -> str:
    return next((h["value"].decode() for h in datum["headers"] if h["name"] == "place"), "")


def _where() -> tuple["Settings", str]:
    from deploy.settings import load  # noqa: PLC0415
    from deploy.worker import brokers  # noqa: PLC0415

    settings = load()
    return settings, brokers(settings)
