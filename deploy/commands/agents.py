"""`relais agents`: accounts of the people who use the pages of agents and operations."""

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.errors import DeployError, Exit

if TYPE_CHECKING:
    from connectors.pages.accounts import Account

group = typer.Typer(no_args_is_help=True, help="Give people accounts for the pages of agents and operations.")

DataDir = Annotated[Path | None, typer.Option(help="Folder of the data; otherwise RELAIS_DATA_DIR.")]
DirectoryFile = Annotated[
    Path | None, typer.Option("--directory", help="Directory of bodies (YAML); else the example.")
]
NAME = r"[a-z0-9][a-z0-9._-]{1,48}[a-z0-9]"
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the standard input.")]
Name = Annotated[str, typer.Argument(help="Name to sign in with: small letters, digits, dot, hyphen.")]


class AgentsError(DeployError):
    """An account that is not there, or cannot be made."""

    exit_code = Exit.USAGE


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="agents")


@group.command()
def add(
    body: Annotated[str, typer.Argument(help="Id of the body, as the directory has it.")],
    name: Name,
    reader: Annotated[bool, typer.Option("--reader", help="May see, and state nothing.")] = False,
    password_stdin: FromStdin = False,
    directory: DirectoryFile = None,
    data_dir: DataDir = None,
) -> None:
    """Let somebody work for a body. A new account gets a password, shown once; one that is there keeps its own."""
    from connectors.pages.accounts import Role, changing  # noqa: PLC0415
    from deploy.rules import directory as read_directory  # noqa: PLC0415

    if body not in read_directory(directory).by_id():
        raise AgentsError(f"the directory has no body {body!r}: add it there first, or name another --directory")
    with changing(_path(data_dir)) as people:
        made = _ensure(people, name, password_stdin)
        role = Role.READER if reader else Role.AGENT
        people[name] = made.model_copy(update={"roles": {**made.roles, body: role}})
    typer.echo(f"{name} is {role.value} of {body}", err=True)


@group.command()
def operator(name: Name, password_stdin: FromStdin = False, data_dir: DataDir = None) -> None:
    """Let somebody use the page of operations."""
    from connectors.pages.accounts import changing  # noqa: PLC0415

    with changing(_path(data_dir)) as people:
        people[name] = _ensure(people, name, password_stdin).model_copy(update={"operator": True})
    typer.echo(f"{name} is operator", err=True)


@group.command("list")
def list_(data_dir: DataDir = None) -> None:
    """List accounts with their roles; never a password or its hash."""
    from connectors.pages.accounts import read  # noqa: PLC0415

    for name, known in sorted(read(_path(data_dir)).people.items()):
        roles = [f"{role.value} of {body}" for body, role in sorted(known.roles.items())]
        typer.echo(f"{name}: {', '.join([*roles, *(['operator'] if known.operator else [])]) or 'nothing'}")


@group.command()
def password(name: Name, password_stdin: FromStdin = False, data_dir: DataDir = None) -> None:
    """Give an account another password; its sessions end."""
    from connectors.pages.accounts import changing, hashed  # noqa: PLC0415

    with changing(_path(data_dir)) as people:
        if name not in people:
            raise AgentsError(f"there is no account {name!r}: `relais agents list` shows them")
        people[name] = people[name].model_copy(update={"password": hashed(_password(password_stdin))})


@group.command()
def remove(name: Name, data_dir: DataDir = None) -> None:
    """Remove an account; its sessions end at once."""
    from connectors.pages.accounts import changing  # noqa: PLC0415

    with changing(_path(data_dir)) as people:
        if people.pop(name, None) is None:
            raise AgentsError(f"there is no account {name!r}: `relais agents list` shows them")
    typer.echo(f"{name} is removed", err=True)


def _ensure(people: "dict[str, Account]", name: str, password_stdin: bool) -> "Account":
    import re  # noqa: PLC0415

    from connectors.pages.accounts import account  # noqa: PLC0415

    if not re.fullmatch(NAME, name):
        raise AgentsError("a name has 3 to 50 characters: small letters, digits, and between them dots or hyphens")
    return people.get(name) or account(_password(password_stdin))


def _password(from_stdin: bool) -> str:
    """A password given, or a new one, shown once."""
    from connectors.pages.accounts import MAX_PASSWORD, MIN_PASSWORD  # noqa: PLC0415

    if not from_stdin:
        made = secrets.token_urlsafe(15)
        typer.echo(made)
        return made
    given = sys.stdin.readline().rstrip("\n")
    if not MIN_PASSWORD <= len(given) <= MAX_PASSWORD:
        raise AgentsError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    return given


def _path(data_dir: Path | None) -> Path:
    from deploy.settings import load  # noqa: PLC0415

    return (load() if data_dir is None else load(data_dir=data_dir)).agents_path
