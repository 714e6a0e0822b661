"""`relais schemas`: what is said on the bus, and whether it still is what was released."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.errors import DeployError, Exit

if TYPE_CHECKING:
    from schemas.catalog import Schema
    from schemas.evolution import Finding

group = typer.Typer(no_args_is_help=True, help="Look at the event schemas, and check that they evolve as they may.")

RegistryUrl = Annotated[str, typer.Option("--registry", metavar="URL", help="Registry; else RELAIS_SCHEMA_REGISTRY.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]


class UnknownSchemaError(DeployError):
    """There is no schema of that name."""

    exit_code = Exit.USAGE


class NoRegistryError(DeployError):
    """Nobody said which registry is meant."""

    exit_code = Exit.USAGE


class ChangedSchemaError(DeployError):
    """A released schema would be locked again with another content."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="schemas")


@group.command("list")
def list_(as_json: AsJson = False) -> None:
    """List every event with its versions, its Avro fingerprint and what it says."""
    rows = [_row(s) for s in _events()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{row['name']:<24} {row['version']}  {row['fingerprint']}  {row['doc']}")


@group.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the event, such as case.opened; .2 behind it for version 2.")],
) -> None:
    """Print one schema in full: it stands alone, as another Avro library needs it."""
    base, _, version = name.rpartition(".")
    found = [s for s in _events() if s.name == name or (s.name == base and str(s.version) == version)]
    if not found:
        raise UnknownSchemaError(f"there is no event {name}: `relais schemas list` tells their names")
    typer.echo(json.dumps(found[-1].json, indent=2, ensure_ascii=False))


@group.command()
def check(as_json: AsJson = False) -> None:
    """Check that no released schema changed, and that all versions of an event read each other; exit code 1 if not."""
    from schemas import evolution  # noqa: PLC0415

    schemas = _events()
    findings = evolution.check(schemas, evolution.locked())
    if as_json:
        typer.echo(json.dumps([_told(f) for f in findings], indent=2))
    else:
        for f in findings:
            against = f" against {f.against}" if f.against else ""
            where = f", {f.path}" if f.path else ""
            typer.echo(f"{f.schema}.{f.version}{against}{where}: {f.fault.value}: {f.mend}", err=True)
        typer.echo(f"{len(schemas)} schemas, {len(findings)} findings")
    if findings:
        raise typer.Exit(Exit.FAILED)


@group.command()
def lock() -> None:
    """Release the schemas that are not yet in the lock file: from then on they never change."""
    from schemas import evolution  # noqa: PLC0415

    was, now = evolution.locked(), evolution.lock_of(_events())
    for name, versions in was.items():
        for version, fingerprint in versions.items():
            if now.setdefault(name, {}).setdefault(version, fingerprint) != fingerprint:
                raise ChangedSchemaError(
                    f"{name}.{version} is released and has changed: restore it and write a new version"
                )
    file = Path(evolution.__file__).parent / evolution.LOCK
    file.write_text(json.dumps(now, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    added = sum(len(v) for v in now.values()) - sum(len(v) for v in was.values())
    typer.echo(f"{added} released, {file.name} holds {sum(len(v) for v in now.values())}")


@group.command()
def push(registry: RegistryUrl = "") -> None:
    """Register every schema at a schema registry, and print the file of ids that it gives.

    What is registered already keeps its id; the registry is told to refuse schemas that other versions could not read.
    """
    found, _ = _at_registry(registry, pushing=True)
    typer.echo(json.dumps(found, indent=2))


@group.command()
def ids(registry: RegistryUrl = "") -> None:
    """Print the ids that a schema registry has given to our schemas, for RELAIS_SCHEMA_IDS_FILE; exit code 1 if some are missing."""
    found, missing = _at_registry(registry, pushing=False)
    typer.echo(json.dumps(found, indent=2))
    if missing:
        typer.echo(f"not registered: {', '.join(missing)}; `relais schemas push` registers them", err=True)
        raise typer.Exit(Exit.FAILED)


def _at_registry(url: str, *, pushing: bool) -> tuple[dict[int, str], list[str]]:
    """Ids that a registry gives, and what it lacks."""
    from connectors.kit.contract import ConnectorError  # noqa: PLC0415
    from connectors.registry import client  # noqa: PLC0415
    from deploy import schema_ids  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415

    settings = load()
    if not (url or settings.schema_registry):
        raise NoRegistryError("name a registry: --registry URL, or RELAIS_SCHEMA_REGISTRY")

    async def work() -> tuple[dict[int, str], list[str]]:
        opened = schema_ids.opened(settings, url)
        try:
            return (await client.push(opened, _events()), []) if pushing else await client.ids(opened, _events())
        finally:
            await opened.close()

    try:
        return schema_ids.run(work())
    except ConnectorError as error:
        raise DeployError(f"{error.code}: {error}") from None


def _events() -> "tuple[Schema, ...]":
    from schemas import catalog  # noqa: PLC0415

    return catalog.events()


def _row(schema: "Schema") -> dict[str, object]:
    fingerprint = schema.fingerprint.hex()
    return {"name": schema.name, "version": schema.version, "fingerprint": fingerprint, "doc": schema.json["doc"]}


def _told(finding: "Finding") -> dict[str, object]:
    return {**asdict(finding), "mend": finding.mend}
