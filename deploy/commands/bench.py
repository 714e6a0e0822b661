"""`relais bench`: measure, on a broker of its own; prints figures and ratios."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

group = typer.Typer(no_args_is_help=True, help="Measure relais on this machine, on a broker of its own.")

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one line of JSON, for programs.")]
Folder = Annotated[Path | None, typer.Option(help="Folder for the broker and the stores; otherwise a temporary one.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="bench")


@group.command()
def pipeline(
    shape: Annotated[str, typer.Option(help="single, chain or messy.")] = "chain",
    open_: Annotated[int, typer.Option("--open", min=1, help="Open journeys, evenly interleaved.")] = 100_000,
    facts: Annotated[int, typer.Option(min=1, help="Facts to measure.")] = 200_000,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Worker processes.")] = 1,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """From facts already in case-events to everything committed, beside two floors that do no work."""
    from deploy.bench import pipeline as measuring  # noqa: PLC0415
    from deploy.bench.traffic import Shape  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="relais-bench-") as made:
        found = measuring.run(
            Shape(shape), open_, facts, workers, folder or Path(made), lambda t: typer.echo(t, err=True)
        )
    _tell(found, as_json)


@group.command()
def database(
    records: Annotated[int, typer.Option(min=1, help="Records of the year.")] = 100_000,
    url: Annotated[
        str | None, typer.Option(help="An empty database, in SQLAlchemy's form, without password; else SQLite.")
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="File that holds the password of that database.")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """A year of records of a database through a connector: read, mapped, checked, published with their state."""
    from deploy.bench import database as measuring  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="relais-bench-") as made:
        found = measuring.run(records, url, password_file, folder or Path(made), lambda t: typer.echo(t, err=True))
    _tell(found, as_json)


@group.command()
def connector(
    records: Annotated[int, typer.Option(min=1, help="Records to bring onto the bus.")] = 100_000,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """From records in the same process to facts and checkpoint committed, each record one fact by a mapping of JSONata."""
    from deploy.bench import connector as measuring  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="relais-bench-") as made:
        found = measuring.run(records, folder or Path(made))
    _tell(found, as_json)


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    width = max(map(len, found))
    for name, value in found.items():
        typer.echo(f"{name:<{width}}  {value}")
