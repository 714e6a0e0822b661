"""`relais kafka`: start, stop and look at the local broker."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.errors import Exit

if TYPE_CHECKING:
    from deploy.local_kafka import LocalKafka

group = typer.Typer(no_args_is_help=True, help="Start, stop and look at the local broker.")

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one line of JSON, for programs.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data; otherwise RELAIS_DATA_DIR.")]
Port = Annotated[int, typer.Option(help="Port on loopback; 0: the one it had, or a free one.", min=0, max=65_535)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="kafka")


@group.command()
def start(data_dir: DataDir = None, port: Port = 0, as_json: AsJson = False) -> None:
    """Start the local broker and wait until it answers; one that runs is left as it is."""
    broker = _broker(data_dir, port)
    broker.start()
    _tell(broker, as_json)


@group.command()
def stop(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Stop the local broker; what it holds is kept."""
    broker = _broker(data_dir)
    broker.stop()
    _tell(broker, as_json)


@group.command()
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say whether the local broker runs; exit code 3 when it does not answer."""
    broker = _broker(data_dir)
    if not _tell(broker, as_json):
        raise typer.Exit(Exit.NOT_RUNNING)


def _broker(data_dir: Path | None, port: int = 0) -> "LocalKafka":
    from deploy.local_kafka import LocalKafka  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415

    settings = load() if data_dir is None else load(data_dir=data_dir)
    return LocalKafka(settings.data_dir / "kafka", port=port, say=lambda text: typer.echo(text, err=True))


def _tell(broker: "LocalKafka", as_json: bool) -> bool:
    ready = broker.ready()
    facts = {
        "running": broker.running(),
        "ready": ready,
        "bootstrap": broker.bootstrap if ready else None,
        "pid": broker.pid if broker.running() else None,
        "log": str(broker.log),
    }
    if as_json:
        typer.echo(json.dumps(facts))
    elif ready:
        typer.echo(f"the local broker answers at {broker.bootstrap} (process {broker.pid}, log {broker.log})")
    else:
        typer.echo("the local broker does not run" if not facts["running"] else f"it does not answer, see {broker.log}")
    return ready
