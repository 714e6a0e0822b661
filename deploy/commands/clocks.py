"""`relais clocks`: what a change of rules would do to cases under way."""

import json
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from deploy.errors import DeployError, Exit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.definitions import Journey
    from streams.engine.impact import Subject

group = typer.Typer(no_args_is_help=True, help="Look at a change of rules before it is applied.")


class NoReadModelError(DeployError):
    """There is nothing to compare yet."""

    exit_code = Exit.NOT_RUNNING


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="clocks")


@group.callback()
def clocks() -> None:
    """Look at a change of rules before it is applied."""


@group.command()
def impact(
    new: Annotated[Path, typer.Argument(help="New definitions: a YAML file, or a folder of them.")],
    before: Annotated[
        Path | None, typer.Option(help="Definitions that run now, on top of those built in: a file or a folder.")
    ] = None,
    cases: Annotated[
        str | None,
        typer.Option(help="JSON lines of cases (- reads standard input); otherwise the read model of this instance."),
    ] = None,
    directory: Annotated[Path | None, typer.Option(help="Directory of bodies (YAML); else the example.")] = None,
    on: Annotated[str | None, typer.Option(help="Day on which silence is looked at; otherwise today.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per difference.")] = False,
    language: Annotated[Literal["fr", "en"], typer.Option("--lang", help="Language of the answer.")] = "fr",
) -> None:
    """Show, case by case, which dates and effects of silence new rules would change, with the derivation of both.

    Nothing is written. A case keeps the rules of its start: a version that begins later changes no case under way.
    """
    from deploy import impact as comparing  # noqa: PLC0415
    from schemas import definitions  # noqa: PLC0415
    from streams.engine.counting import to_day  # noqa: PLC0415
    from streams.engine.impact import Rules, differences  # noqa: PLC0415

    try:
        today = to_day(date.fromisoformat(on) if on else datetime.now(ZoneInfo("Europe/Paris")).date())
    except ValueError:
        raise comparing.ImpactError("a day reads 2026-03-02") from None
    running = comparing.journeys(before) if before is not None else []
    added = comparing.journeys(new)
    old = definitions.load().changed_by(running)
    subjects = (
        _lines(cases) if cases is not None else _model(directory, running, {journey.procedure for journey in added})
    )
    found, seen = differences(subjects, Rules(old), Rules(old.changed_by(added)), today)
    if as_json:
        for one in found:
            typer.echo(json.dumps(comparing.as_data(one), ensure_ascii=False, separators=(",", ":")))
        return
    for one in found:
        typer.echo("\n".join([*comparing.told(one, language), ""]))
    touched = len({one.case for one in found})
    typer.echo(
        f"{touched} dossier(s) sur {seen} changeraient, {len(found)} délai(s)."
        if language == "fr"
        else f"{touched} of {seen} cases would change, {len(found)} time limits."
    )


def _lines(cases: str) -> "Iterator[Subject]":
    from deploy import impact as comparing  # noqa: PLC0415
    from schemas import definitions, holidays, library  # noqa: PLC0415
    from streams.engine.questions import Desk  # noqa: PLC0415

    try:
        lines = sys.stdin.readlines() if cases == "-" else Path(cases).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise comparing.ImpactError(f"{Path(cases).name} cannot be read: {type(error).__name__}") from None
    return comparing.of_lines(lines, Desk(library.load(), definitions.load(), holidays.load()))


def _model(directory: Path | None, running: "Sequence[Journey]", procedures: set[str]) -> "Iterator[Subject]":
    from connectors.status.database import Database  # noqa: PLC0415
    from connectors.status.model import NotReadyError, ReadModel  # noqa: PLC0415
    from deploy import impact as comparing  # noqa: PLC0415
    from deploy import rules, settings  # noqa: PLC0415
    from schemas import codec, definitions  # noqa: PLC0415
    from schemas.references import Keys  # noqa: PLC0415

    chosen = settings.load()
    database = Database(chosen.read_model_url())
    try:
        keys = Keys(chosen.reference_secret())
        book = rules.book(rules.directory(directory), running)
        wanted = None if definitions.GENERIC in procedures else procedures
        yield from comparing.of_model(ReadModel(database), keys, codec.events(), book, wanted)
    except NotReadyError:
        raise NoReadModelError("the read model is empty: run relais gateway first, or give --cases") from None
    finally:
        database.close()
