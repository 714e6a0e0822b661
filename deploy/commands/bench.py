"""`relais bench`: measure, on a broker of its own; prints figures and ratios."""

import json
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.errors import DeployError

group = typer.Typer(no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one line of JSON, for programs.")]
Folder = Annotated[Path | None, typer.Option(help="Folder for the broker and the stores; otherwise a temporary one.")]

Workers = Annotated[int, typer.Option(min=1, max=8, help="Worker processes.")]
Requests = Annotated[int, typer.Option(min=1, help="Requests of persons that are open.")]
Connections = Annotated[int, typer.Option(min=1, help="Connections that ask at once.")]
Seconds = Annotated[float, typer.Option(min=0.1, help="Seconds for each kind of request.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="bench")


_within = 240


class LateError(DeployError):
    """A benchmark took longer than it was allowed to."""


@group.callback()
def limits(
    within: Annotated[
        int, typer.Option(min=1, help="Seconds that a benchmark may take, its preparation counted.")
    ] = 240,
) -> None:
    """Measure relais on this machine, on a broker of its own."""
    global _within  # noqa: PLW0603 - one command runs in a process
    _within = within


@group.command()
def pipeline(
    shape: Annotated[str, typer.Option(help="alone, single, chain or messy.")] = "chain",
    open_: Annotated[int, typer.Option("--open", min=1, help="Open journeys, evenly interleaved.")] = 100_000,
    facts: Annotated[int, typer.Option(min=1, help="Facts to measure.")] = 200_000,
    workers: Workers = 1,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """From facts already in case-events to everything committed, beside two floors that do no work."""
    from deploy.bench import pipeline as measuring  # noqa: PLC0415
    from deploy.bench.traffic import Shape  # noqa: PLC0415

    with _place(folder) as place:
        _tell(measuring.run(Shape(shape), open_, facts, workers, place, _say), as_json)


@group.command()
def engine(
    shape: Annotated[str, typer.Option(help="alone, single, chain or messy.")] = "chain",
    open_: Annotated[int, typer.Option("--open", min=1, help="Open journeys, evenly interleaved.")] = 3_000,
    facts: Annotated[int, typer.Option(min=1, help="Facts to measure.")] = 40_000,
    as_json: AsJson = False,
) -> None:
    """Processor time of correlate alone, without Kafka: what a busy machine disturbs least."""
    from deploy.bench import engine as measuring  # noqa: PLC0415
    from deploy.bench.traffic import Shape  # noqa: PLC0415

    _tell(measuring.run(Shape(shape), open_, facts, _say), as_json)


@group.command()
def latency(
    rate: Annotated[int, typer.Option(min=1, help="Facts a second.")] = 500,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds to publish for.")] = 20,
    workers: Workers = 1,
    asked: Annotated[int, typer.Option(min=0, help="Facts that are followed through the API.")] = 40,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """From publishing a fact to reading it in statuses, and to the answer of the API."""
    from deploy.bench import latency as measuring  # noqa: PLC0415

    with _place(folder) as place:
        _tell(measuring.run(rate, seconds, workers, asked, place, _say), as_json)


@group.command()
def timers(
    open_: Annotated[int, typer.Option("--open", min=1, help="Open journeys.")] = 100_000,
    facts: Annotated[int, typer.Option(min=1, help="Facts for each throughput.")] = 20_000,
    ticks: Annotated[int, typer.Option(min=1, help="Ticks with nothing due.")] = 10,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """What a tick costs, how long due deadlines take to fire, and throughput with many open journeys against 10 000."""
    from deploy.bench import timers as measuring  # noqa: PLC0415

    with _place(folder) as place:
        _tell(measuring.run(open_, facts, ticks, place, _say), as_json)


@group.command()
def restore(
    open_: Annotated[int, typer.Option("--open", min=1, help="Open journeys.")] = 50_000,
    facts: Annotated[int, typer.Option(min=1, max=9, help="Facts of each journey.")] = 9,
    session: Annotated[int, typer.Option(min=6, help="Seconds after which a silent worker is given up.")] = 10,
    more: Annotated[
        int, typer.Option(min=0, help="Facts that then follow, at most one of each journey, for the throughput.")
    ] = 0,
    cache_mb: Annotated[int, typer.Option(min=64, help="Memory setting of a worker (RELAIS_CACHE_MB).")] = 256,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """How long state takes to be there again: cold, warm, and after kill -9 of one of two workers; what so many open journeys cost."""
    from deploy.bench import restore as measuring  # noqa: PLC0415

    with _place(folder) as place:
        _tell(measuring.run(open_, facts, session, place, _say, more=more, cache_mb=cache_mb), as_json)


@group.command()
def gateway(
    requests: Requests = 500,
    connections: Connections = 8,
    seconds: Seconds = 5.0,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Requests per second of the API beside a static answer by the same server."""
    from deploy.bench import web  # noqa: PLC0415

    with _place(folder) as place:
        _tell(web.gateway(requests, connections, seconds, place, _say), as_json)


@group.command()
def pages(
    requests: Requests = 500,
    connections: Connections = 8,
    seconds: Seconds = 5.0,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Requests per second of the pages beside a static file by the same server."""
    from deploy.bench import web  # noqa: PLC0415

    with _place(folder) as place:
        _tell(web.pages(requests, connections, seconds, place, _say), as_json)


@group.command()
def compare(
    events: Annotated[int, typer.Option(min=1, help="Events.")] = 100_000,
    journeys: Annotated[int, typer.Option(min=1, help="Keys.")] = 10_000,
    only: Annotated[list[str] | None, typer.Option(help="relais, faust or quix; repeat.")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """The same keyed work by relais' runtime, by a plain Faust agent with a table, and by Quix Streams."""
    from deploy.bench import compare as measuring  # noqa: PLC0415

    with _place(folder) as place:
        _tell(measuring.run(events, journeys, tuple(only or measuring.NAMES), place, _say), as_json)


def _say(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    """The folder that was named, or one that is gone in the end. A signal ends the benchmark in order, and so does time."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(_within)
    try:
        if folder is not None:
            yield folder
            return
        with tempfile.TemporaryDirectory(prefix="relais-bench-", ignore_cleanup_errors=True) as made:
            yield Path(made)
    finally:
        signal.alarm(0)


def _late(_number: int, _frame: object) -> None:
    raise LateError(f"not through after {_within} s: ask for less, or allow more with `relais bench --within SECONDS`")


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


@group.command("files")
def files_(
    records: Annotated[int, typer.Option(min=1, help="Records of the year.")] = 100_000,
    files: Annotated[int, typer.Option(min=1, help="CSV files that hold them.")] = 12,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """A year of records in CSV files through a connector: read, mapped, checked, published with their state, files put away."""
    from deploy.bench import database as measuring  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="relais-bench-") as made:
        found = measuring.run(records, None, None, folder or Path(made), lambda t: typer.echo(t, err=True), files=files)
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
