"""The command `relais`.

Each module of `deploy.commands` is taken in by itself: it has a function `register(app)` that adds its commands. Such a
module imports at its top the standard library, Typer and `deploy.errors` alone, and the rest inside its functions,
so that `relais --help` is quick. Errors that are a `DeployError` are told in plain words; `Exit` lists the exit codes.
"""

import importlib
import pkgutil
import sys

import typer

from deploy import __version__, commands
from deploy.errors import DeployError

app = typer.Typer(name="relais", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def relais(
    version: bool = typer.Option(False, "--version", callback=_tell_version, is_eager=True, help="Tell the version."),
) -> None:
    """Run the case-handoff bus.

    Exit codes: 0 done, 1 failed, 2 wrong use or settings, 3 asked for the state of what does not run.
    """


for found in pkgutil.iter_modules(commands.__path__):
    importlib.import_module(f"{commands.__name__}.{found.name}").register(app)


def main() -> None:
    """Run `relais` with the arguments of this process."""
    try:
        app()
    except DeployError as error:
        typer.echo(f"relais: {error}", err=True)
        sys.exit(error.exit_code)
