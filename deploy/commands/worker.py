"""`relais worker`: run the stages of the bus on the partitions that the group gives."""

from pathlib import Path
from typing import Annotated

import typer

Slot = Annotated[
    str | None,
    typer.Option(help="Name of this worker among its peers, kept over restarts, so that a restart is quick."),
]
Speakers = Annotated[
    list[str] | None, typer.Option("--speaker", help="Body that writes to a topic of its own; repeat.")
]
DirectoryFile = Annotated[
    Path | None, typer.Option("--directory", help="Directory of bodies (YAML); else the example.")
]
Definition = Annotated[
    list[Path] | None, typer.Option("--definition", help="Further journey definition (YAML); repeat.")
]
Metrics = Annotated[int | None, typer.Option("--port", help="Port of probes and metrics; else RELAIS_WORKER_PORT.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(worker)


def worker(
    slot: Slot = None,
    speaker: Speakers = None,
    directory: DirectoryFile = None,
    definition: Definition = None,
    port: Metrics = None,
) -> None:
    """Run a worker until it is told to stop.

    Answers /livez, /readyz and /metrics on its port. Ends by itself, with a reason, when it can no longer do its work.
    """
    from deploy import worker as running  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415

    settings = load() if port is None else load(worker_port=port)
    running.run(settings, slot, tuple(speaker or ()), directory, tuple(definition or ()))
