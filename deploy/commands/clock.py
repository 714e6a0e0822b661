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

    A line that cannot be answered gives an object with `error`; the others go on, and the exit code is 1. An `id` comes back.
    """
    desk, failed = _desk(), False
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        answer = _answered(desk, line, explained)
        failed = failed or "error" in answer
        typer.echo(_line(answer))
    if failed:
        raise typer.Exit(Exit.FAILED)


def _answered(desk: "Desk", line: bytes, explained: bool) -> dict[str, Any]:
    """The answer to one line, or what is wrong with it; with the `id` of the question, if it has one."""
    from streams.engine.questions import QuestionError  # noqa: PLC0415

    try:
        question = json.loads(line.decode(), object_pairs_hook=_each_once)
    except KeyError as error:
        return {"error": [f"the key {error.args[0]!r} is there twice"]}
    except (ValueError, RecursionError):
        return {"error": ["the line is not JSON in UTF-8"]}
    name = question.get("id") if isinstance(question, dict) else None
    given = {"id": name} if isinstance(name, str | int) else {}
    try:
        return {**given, **desk.answer(question, explain=explained)}
    except QuestionError as error:
        return {**given, "error": list(error.problems)}


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise KeyError(name)
        found[name] = value
    return found


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
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return text.encode(
        "utf-8", "backslashreplace"
    ).decode()  # half of a pair of surrogates goes out as it came: \\ud800


def _marked(article: dict[str, str | None], language: Literal["fr", "en"]) -> str:
    """How surely an article was read, in words."""
    from streams.engine.words import mark_in_words  # noqa: PLC0415

    return mark_in_words(str(article["mark"]), article["version"], language)


def _told(answer: dict[str, Any], language: Literal["fr", "en"]) -> list[str]:
    lines = [answer["summary"][language], ""]
    for line in answer["derivation"]:
        date = f"{line['date']}  " if line["date"] else " " * 12
        basis = f"  [{', '.join(line['articles'])}]" if line["articles"] else ""
        lines.append(f"{date}{line['words'][language]}{basis}")
    if "started_by" in answer:
        label = "Ce délai part de :" if language == "fr" else "This time is started by:"
        lines += [f"{label} {', '.join(answer['started_by'])}"]
    if answer["unverified"]:
        label = "À vérifier à la source :" if language == "fr" else "To be checked at the source:"
        lines += ["", label, *(f"  {one['article']} ({_marked(one, language)})" for one in answer["unverified"])]
    return lines
