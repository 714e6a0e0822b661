"""`relais up`: everything on this machine, with a living example."""

from pathlib import Path
from typing import Annotated

import typer

Workers = Annotated[int, typer.Option("--workers", help="Worker processes.", min=1, max=16)]
Example = Annotated[bool, typer.Option("--example/--no-example", help="Play the living example.")]
Port = Annotated[
    int | None, typer.Option("--port", help="Port of the gateway; else RELAIS_HTTP_PORT.", min=0, max=65_535)
]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data; otherwise RELAIS_DATA_DIR.")]
DirectoryFile = Annotated[
    Path | None, typer.Option("--directory", help="Directory of bodies (YAML), without the example; else the example.")
]
Definition = Annotated[
    list[Path] | None, typer.Option("--definition", help="Further journey definition (YAML); repeat.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def up(
    workers: Workers = 2,
    example: Example = True,
    port: Port = None,
    data_dir: DataDir = None,
    directory: DirectoryFile = None,
    definition: Definition = None,
) -> None:
    """Run everything on this machine: a local broker, topics, workers, the gateway, and a small living example.

    Ctrl-C stops all of it in order; what it holds is kept, and found again at the next start.
    """
    from deploy import up as running  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415

    chosen = {"http_port": port, "data_dir": data_dir}
    settings = load(**{name: value for name, value in chosen.items() if value is not None})
    files = (
        *(("--directory", directory) if directory else ()),
        *(x for d in definition or () for x in ("--definition", d)),
    )
    running.run(settings, workers, example and directory is None, [str(x) for x in files])
