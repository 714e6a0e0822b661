"""`relais journeys`: look at journey definitions, and check one's own before they are used."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deploy.errors import DeployError, Exit

if TYPE_CHECKING:
    from schemas.definitions import Journey

group = typer.Typer(no_args_is_help=True, help="Look at journey definitions, and check them.")

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
Lang = Annotated[Literal["fr", "en"], typer.Option("--lang", help="Language of titles.")]


class UnknownProcedureError(DeployError):
    """There is no definition of that procedure in force on that day."""

    exit_code = Exit.USAGE


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="journeys")


@group.command()
def check(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of *.yaml definitions; otherwise those built in.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every definition of a folder and tell all problems with file and line; exit code 1 if there is one."""
    from schemas import definitions, library  # noqa: PLC0415

    if folder is not None and not folder.is_dir():
        raise UnknownProcedureError(f"{folder.name} is not a folder")
    loaded, problems = definitions.load_checked(folder or definitions.JOURNEYS)
    if folder is None:
        problems = [*library.load_checked()[2], *problems]
    sound = [journey.procedure for journey in loaded]
    if as_json:
        typer.echo(
            json.dumps({"sound": sound, "problems": [problem._asdict() for problem in problems]}, ensure_ascii=False)
        )
    else:
        typer.echo("\n".join(map(str, problems)) or f"{len(sound)} definitions are sound.")
    if problems:
        raise typer.Exit(Exit.FAILED)


@group.command("list")
def list_(as_json: AsJson = False, lang: Lang = "fr") -> None:
    """List the built-in definitions."""
    from schemas import definitions  # noqa: PLC0415

    rows = [
        {
            "procedure": journey.procedure,
            "title": getattr(journey.title, lang),
            "valid_from": journey.valid_from.isoformat(),
            "valid_to": journey.valid_to.isoformat() if journey.valid_to else None,
            "steps": len(journey.steps),
            "handoffs": len(journey.handoffs),
            "clocks": len(journey.clocks),
        }
        for journey in definitions.load()
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{row['procedure']}\t{row['valid_from']}\t{row['title']}")


@group.command()
def show(
    procedure: Annotated[str, typer.Argument(help="Such as urbanisme.pc-maison.")],
    on: Annotated[str | None, typer.Option(help="Day (2026-03-02); otherwise the latest version.")] = None,
    lang: Lang = "fr",
    as_json: AsJson = False,
) -> None:
    """Show one definition: steps, handoffs, clocks with their articles, and what has to be checked at its source."""
    from schemas import definitions  # noqa: PLC0415

    try:
        day = date.fromisoformat(on) if on else date.max
    except ValueError:
        raise UnknownProcedureError("a day reads 2026-03-02") from None
    journey = definitions.load().find(procedure, day)
    if journey is None:
        raise UnknownProcedureError(
            f"there is no definition of {procedure!r} in force; relais journeys list tells which there are"
        )
    if as_json:
        typer.echo(journey.model_dump_json(by_alias=True))
        return
    typer.echo("\n".join(_told(journey, lambda text: getattr(text, lang))))


def _told(journey: "Journey", words: Callable[[Any], str]) -> list[str]:
    lines = [words(journey.title), words(journey.summary) if journey.summary else "", ""]
    for step in journey.steps:
        mark = "·" if step.kind == "real" else "?"
        why = f" ({words(step.trigger)})" if step.trigger else ""
        lines.append(f"{mark} {words(step.title)} [{step.role}]{why}")
    lines += ["", *(f"→ {words(h.title)}: {h.from_role or '*'} → {h.to_role or '*'}" for h in journey.handoffs), ""]
    for clock in journey.clocks:
        basis = ", ".join(f"{a.ref}{'' if a.verified else f' ({a.mark.value})'}" for a in clock.articles)
        lines.append(f"⏱ {words(clock.title)}: {clock.length}, {clock.effect.value} [{basis}]")
    return lines
