"""`relais gateway`: take facts and answer questions by HTTP, with the read model filled in the same process."""

from pathlib import Path
from typing import Annotated

import typer

DirectoryFile = Annotated[
    Path | None, typer.Option("--directory", help="Directory of bodies (YAML); else the example.")
]
Definition = Annotated[
    list[Path] | None, typer.Option("--definition", help="Further journey definition (YAML); repeat.")
]
Port = Annotated[int | None, typer.Option("--port", help="Port; else RELAIS_HTTP_PORT.", min=0, max=65_535)]
Sink = Annotated[
    bool, typer.Option("--sink/--no-sink", help="Fill the read model here; not where another process does.")
]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Build the read model again from Kafka; the old one is shown meanwhile.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(gateway)


def gateway(
    directory: DirectoryFile = None,
    definition: Definition = None,
    port: Port = None,
    sink: Sink = True,
    rebuild: Rebuild = False,
) -> None:
    """Run the gateway until it is told to stop.

    POST /v1/events, GET /v1/journeys/{reference}, GET /v1/inbox; /openapi.json tells the rest.
    """
    from deploy import gateway as running  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415

    if rebuild and not sink:
        raise typer.BadParameter("--rebuild is for the process that fills the read model: leave --no-sink out")
    settings = load() if port is None else load(http_port=port)
    running.run(settings, directory, tuple(definition or ()), sink, rebuild=rebuild)
