"""`relais bodies`: which bodies speak through the gateway, what they may state, and their tokens."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.errors import DeployError, Exit

if TYPE_CHECKING:
    from connectors.gateway.access import Member

group = typer.Typer(no_args_is_help=True, help="Say which bodies speak through the gateway, and give them tokens.")

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data; otherwise RELAIS_DATA_DIR.")]
DirectoryFile = Annotated[
    Path | None, typer.Option("--directory", help="Directory of bodies (YAML); else the example.")
]
BodyId = Annotated[str, typer.Argument(help="Id of the body, as the directory has it.")]
Procedures = Annotated[
    list[str] | None, typer.Option("--procedure", help="Procedure about which it may state; repeat. Default: all.")
]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Kind of fact: case.opened, handoff.*; repeat. Default: all.")
]


Subscribe = Annotated[
    bool | None, typer.Option("--subscribe/--no-subscribe", help="Write its inbox to the topic inbox.BODY too.")
]


class BodiesError(DeployError):
    """A body or token that is not there, or a policy that cannot be."""

    exit_code = Exit.USAGE


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="bodies")


@group.command()
def add(
    body: BodyId,
    procedure: Procedures = None,
    type_: Types = None,
    subscribe: Subscribe = None,
    directory: DirectoryFile = None,
    data_dir: DataDir = None,
) -> None:
    """Let a body of the directory speak, or change its policy; its tokens stay."""
    from connectors.gateway.access import Member, changing  # noqa: PLC0415
    from deploy.rules import directory as read_directory  # noqa: PLC0415
    from schemas.types import EventType  # noqa: PLC0415

    if body not in read_directory(directory).by_id():
        raise BodiesError(f"the directory has no body {body!r}: add it there first, or name another --directory")
    families = {f"{t.value.partition('.')[0]}.*" for t in EventType}
    if wrong := [t for t in type_ or () if t not in {*families, *(e.value for e in EventType), "*"}]:
        raise BodiesError(
            f"there is no kind of fact {', '.join(wrong)}; there are {', '.join(sorted(families))} and each type"
        )
    with changing(_path(data_dir)) as held:
        known = held[0].bodies.get(body)
        made = Member(
            procedures=tuple(procedure or ("*",)),
            types=tuple(type_ or ("*",)),
            subscribes=subscribe if subscribe is not None else known is not None and known.subscribes,
            tokens=known.tokens if known else (),
        )
        held[0] = held[0].model_copy(update={"bodies": {**held[0].bodies, body: made}})
    typer.echo(f"{body} may state {', '.join(made.types)} about {', '.join(made.procedures)}")


@group.command("subscribe")
def subscribe_(
    body: BodyId,
    end: Annotated[bool, typer.Option("--end", help="Feed the topic no more; what it holds stays.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Write what is handed to a body to its own topic, `inbox.BODY`, from all that is open now on."""
    from connectors.gateway.access import changing  # noqa: PLC0415

    with changing(_path(data_dir)) as held:
        known = held[0].bodies.get(body)
        if known is None:
            raise BodiesError(f"{body!r} does not speak yet: `relais bodies add {body}`")
        changed = known.model_copy(update={"subscribes": not end})
        held[0] = held[0].model_copy(update={"bodies": {**held[0].bodies, body: changed}})
    typer.echo(f"the inbox of {body} is {'no longer written' if end else 'written'} to the topic inbox.{body}")


@group.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the bodies with their policies and tokens (their first eight characters of hash; never a token)."""
    from connectors.gateway.access import read  # noqa: PLC0415

    register_ = read(_path(data_dir))
    if as_json:
        rows = [_row(body, member) for body, member in sorted(register_.bodies.items())]
        operators = [{"id": t.id, "label": t.label, "made_on": t.made_on} for t in register_.operators]
        typer.echo(json.dumps({"bodies": rows, "operators": operators}, ensure_ascii=False))
        return
    for body, member in sorted(register_.bodies.items()):
        subscribes = f"; reads inbox.{body}" if member.subscribes else ""
        typer.echo(f"{body}: {', '.join(member.types)} about {', '.join(member.procedures)}{subscribes}")
        for token in member.tokens:
            typer.echo(f"  token {token.id} of {token.made_on} {token.label}".rstrip())
    for token in register_.operators:
        typer.echo(f"operator token {token.id} of {token.made_on} {token.label}".rstrip())
    if not register_.bodies:
        typer.echo("no body speaks yet: `relais bodies add BODY`, then `relais bodies token BODY`", err=True)


@group.command()
def token(
    body: Annotated[str | None, typer.Argument(help="Id of the body; none with --operator.")] = None,
    label: Annotated[str, typer.Option(help="What it is for, such as the name of the software.")] = "",
    operator: Annotated[bool, typer.Option("--operator", help="A token that sees all and states nothing.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Make a token and show it, once: only its hash is kept."""
    from connectors.gateway.access import changing, new_token  # noqa: PLC0415

    if (body is None) is not operator:
        raise BodiesError("name a body, or give --operator")
    text, made = new_token(label)
    with changing(_path(data_dir)) as held:
        if body is None:
            held[0] = held[0].model_copy(update={"operators": (*held[0].operators, made)})
        else:
            known = held[0].bodies.get(body)
            if known is None:
                raise BodiesError(f"{body!r} does not speak yet: `relais bodies add {body}`")
            grown = known.model_copy(update={"tokens": (*known.tokens, made)})
            held[0] = held[0].model_copy(update={"bodies": {**held[0].bodies, body: grown}})
    typer.echo(text)


@group.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="First eight characters of its hash, as `list` shows them.")],
    data_dir: DataDir = None,
) -> None:
    """Revoke a token; it opens nothing within a second."""
    from connectors.gateway.access import changing  # noqa: PLC0415

    with changing(_path(data_dir)) as held:
        old = held[0]
        bodies = {
            body: member.model_copy(update={"tokens": tuple(t for t in member.tokens if t.id != token_id)})
            for body, member in old.bodies.items()
        }
        operators = tuple(t for t in old.operators if t.id != token_id)
        held[0] = old.model_copy(update={"bodies": bodies, "operators": operators})
        if held[0] == old:
            raise BodiesError(f"there is no token {token_id!r}: `relais bodies list` shows them")
    typer.echo(f"token {token_id} is revoked")


def _path(data_dir: Path | None) -> Path:
    from deploy.settings import load  # noqa: PLC0415

    return (load() if data_dir is None else load(data_dir=data_dir)).bodies_path


def _row(body: str, member: "Member") -> dict[str, object]:
    tokens = [{"id": t.id, "label": t.label, "made_on": t.made_on} for t in member.tokens]
    policy = {"types": list(member.types), "procedures": list(member.procedures), "subscribes": member.subscribes}
    return {"body": body, **policy, "tokens": tokens}
