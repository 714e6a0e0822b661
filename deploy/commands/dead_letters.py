"""`relais dead-letters`: what the bus could not take, why, and putting it back once the cause is mended."""

import asyncio
import base64
import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.errors import DeployError, Exit

if TYPE_CHECKING:
    from deploy.letters import Choice

group = typer.Typer(no_args_is_help=True, help="List what the bus could not take, look at it, put it back.")

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one line of JSON for each, for programs.")]
Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only for this reason; repeat.")]
Topics = Annotated[list[str] | None, typer.Option("--topic", help="Only from this topic; repeat.")]
Since = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only of this day or later (UTC).")]


class ChoiceError(DeployError):
    """A reason that there is not, or a letter that there is not."""

    exit_code = Exit.USAGE


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="dead-letters")


@group.command("list")
def list_(reason: Reasons = None, topic: Topics = None, since: Since = None, as_json: AsJson = False) -> None:
    """List dead letters, oldest first, without their content."""
    from deploy.letters import letters  # noqa: PLC0415

    choice = _choice((), reason, topic, since)
    brokers, instance = _where()

    async def run() -> None:
        found: Counter[str] = Counter()
        async for letter in letters(brokers, instance, choice):
            told = letter.told()
            found[told["reason"]] += 1
            if as_json:
                typer.echo(_line(told))
                continue
            typer.echo(f"{told['written_at']}  {told['id']}  {told['reason']}{' (retriable)' * told['retriable']}")
            if told["detail"]:
                typer.echo(f"    {told['detail']}")
        counts = ", ".join(f"{n} {name}" for name, n in found.most_common())
        typer.echo(f"{found.total()} dead letters{': ' if counts else ''}{counts}", err=True)

    asyncio.run(run())


@group.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="topic/partition/offset, as `list` shows it.")],
    value: Annotated[bool, typer.Option("--value", help="Show the content too: it may hold personal data.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is known of a dead letter; its content only with --value."""
    from deploy.letters import Choice, letters  # noqa: PLC0415

    brokers, instance = _where()

    async def run() -> int:
        count = 0
        async for letter in letters(brokers, instance, Choice(ids=(id_,))):
            told = letter.told() | (letter.content() if value else {})
            count += 1
            if as_json:
                typer.echo(_line(told))
                continue
            for name, known in told.items():
                plain = known if isinstance(known, str) else _line(known)
                typer.echo(f"{name:<13}{plain}")
        return count

    if not asyncio.run(run()):
        raise ChoiceError(f"there is no dead letter {id_}: `relais dead-letters list` shows them")


@group.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Which; none: all that fit.")] = None,
    reason: Reasons = None,
    topic: Topics = None,
    since: Since = None,
    force: Annotated[bool, typer.Option("--force", help="Even those whose record itself is wrong.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put records back into the topics from which they came, unchanged, once the cause is mended.

    Only those whose cause lies outside of the record, unless --force is given. Doing it twice is harmless: the bus knows a fact that it
    has. A record that is refused again is a new dead letter.
    """
    from deploy.letters import Fate  # noqa: PLC0415
    from deploy.letters import replay as put_back  # noqa: PLC0415

    choice = _choice(ids or (), reason, topic, since)
    brokers, instance = _where()
    words = {
        Fate.REPLAYED: "replayed",
        Fate.NOT_RETRIABLE: "left: the record itself is wrong (--force replays it all the same)",
        Fate.NOT_KEPT: "left: its bytes were not kept",
        Fate.SAME: "left: the same record as one above",
        Fate.NO_TOPIC: "left: its topic is no more, or takes no facts",
    }

    async def run() -> tuple[set[str], Counter[Fate]]:
        met: set[str] = set()
        fates: Counter[Fate] = Counter()
        async for letter, fate in put_back(brokers, instance, choice, force):
            met.add(letter.id)
            fates[fate] += 1
            told = {"id": letter.id, "reason": letter.datum["reason"], "fate": fate.value}
            typer.echo(_line(told) if as_json else f"{letter.id}  {letter.datum['reason']}  {words[fate]}")
        return met, fates

    met, fates = asyncio.run(run())
    typer.echo(f"{fates[Fate.REPLAYED]} replayed, {fates.total() - fates[Fate.REPLAYED]} left", err=True)
    if absent := sorted(set(ids or ()) - met):
        raise ChoiceError(f"there is no dead letter {', '.join(absent)}: `relais dead-letters list` shows them")


def _choice(
    ids: list[str] | tuple[str, ...], reasons: list[str] | None, topics: list[str] | None, since: datetime | None
) -> "Choice":
    from deploy.letters import Choice  # noqa: PLC0415
    from streams.reasons import Reason  # noqa: PLC0415

    known = [reason.value for reason in Reason]
    if wrong := [reason for reason in reasons or () if reason not in known]:
        raise ChoiceError(f"there is no reason {', '.join(wrong)}; there are {', '.join(known)}")
    return Choice(
        ids=frozenset(ids),
        reasons=frozenset(Reason(reason) for reason in reasons or ()),
        topics=frozenset(topics or ()),
        since=since.date() if since else None,
    )


def _where() -> tuple[str, str]:
    """Brokers and instance."""
    from deploy.settings import load  # noqa: PLC0415
    from deploy.worker import brokers  # noqa: PLC0415

    settings = load()
    return brokers(settings), settings.instance


def _line(told: object) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=_bytes)


def _bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()
