"""`relais bridge`: carry the facts of another bus to this one."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bridge)


def bridge(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of the bridge (YAML).")],
    check: Annotated[bool, typer.Option("--check", help="Read the file and say whether it can be used.")] = False,
) -> None:
    """Carry the facts of another bus to this one until told to stop: as they are, once, and never in a circle."""
    import asyncio  # noqa: PLC0415

    from deploy import bridge as running  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415
    from deploy.worker import brokers  # noqa: PLC0415

    read, settings = running.load(file), load()
    if check:
        typer.echo(f"{file.name}: facts of {', '.join(read.bodies)} are carried from {read.origin} to {read.here}")
        return
    asyncio.run(running.run(read, settings, brokers(settings)))
