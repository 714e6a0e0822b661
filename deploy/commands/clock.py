"""`relais clock`: compute one time limit and say why, or many from standard input."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deploy.errors import DeployError, Exit

if TYPE_CHECKING:
    from streams.engine.questions import Desk

group = typer.Typer(no_args_is_help=True, help="Compute legal time limits, and say why.")


class ClockError(DeployError):
    """A question about a clock that cannot be answered."""

    exit_code = Exit.USAGE


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="clock")


@group.command()
def explain(
    question: Annotated[Path, typer.Argument(help="JSON or YAML file; - reads standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one line of JSON, for programs.")] = False,
    language: Annotated[Literal["fr", "en"], typer.Option("--lang", help="Language of the answer.")] = "fr",
) -> None:
    """Compute one time limit and print its derivation, line by line."""
    from schemas.yamltext import parse  # noqa: PLC0415
    from streams.engine.questions import QuestionError  # noqa: PLC0415

    try:
        text = sys.stdin.read() if str(question) == "-" else question.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ClockError(f"{question.name} cannot be read: {type(error).__name__}") from None
    document, problems = parse(text, question.name)
    if document is None or problems:
        raise ClockError("\n".join(map(str, problems)))
    try:
        answer = _desk().answer(document.value)
    except QuestionError as error:
        raise ClockError("\n".join(error.problems)) from None
    typer.echo(_line(answer) if as_json else "\n".join(_told(answer, language)))


@group.command()
def compute(
    explained: Annotated[bool, typer.Option("--explain", help="Put the derivation into each answer.")] = False,
) -> None:
    """Read one question per line of standard input as JSON; write one answer per line, in the same order.

    A line that cannot be answered gives an object with `error`; the others go on, and the exit code is 1.
    """
    from streams.engine.questions import QuestionError  # noqa: PLC0415

    desk, failed = _desk(), False
    for text in sys.stdin:
        if not text.strip():
            continue
        try:
            question = json.loads(text)
            answer: dict[str, Any] = desk.answer(question, explain=explained)
            if isinstance(question.get("id"), str):
                answer = {"id": question["id"], **answer}
        except QuestionError as error:
            answer, failed = {"error": list(error.problems)}, True
        except (ValueError, RecursionError):
            answer, failed = {"error": ["the line is not JSON"]}, True
        typer.echo(_line(answer))
    if failed:
        raise typer.Exit(Exit.FAILED)


@group.command()
def rules(
    language: Annotated[Literal["fr", "en"], typer.Option("--lang", help="Language of the titles.")] = "fr",
) -> None:
    """List the named clocks with their length, effect and legal basis."""
    from schemas import library  # noqa: PLC0415

    for name, clock in library.load().items():
        basis = ", ".join(f"{a.ref}{'' if a.verified else ' (' + a.mark.value + ')'}" for a in clock.articles)
        typer.echo(f"{name}\t{clock.length}\t{clock.effect.value}\t{getattr(clock.title, language)}\t{basis}")


def _desk() -> "Desk":
    from schemas import definitions, holidays, library  # noqa: PLC0415
    from streams.engine.questions import Desk  # noqa: PLC0415

    return Desk(library.load(), definitions.load(), holidays.load())


def _line(answer: dict[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def _told(answer: dict[str, Any], language: Literal["fr", "en"]) -> list[str]:
    lines = [answer["summary"][language], ""]
    for line in answer["derivation"]:
        date = f"{line['date']}  " if line["date"] else " " * 12
        basis = f"  [{', '.join(line['articles'])}]" if line["articles"] else ""
        lines.append(f"{date}{line['words'][language]}{basis}")
    if answer["unverified"]:
        label = "À vérifier à la source" if language == "fr" else "To be checked at the source"
        lines += ["", f"{label} : {', '.join(answer['unverified'])}"]
    return lines
