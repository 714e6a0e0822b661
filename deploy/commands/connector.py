"""`relais connector`: bring a system onto the bus: look, try, check, run."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.errors import DeployError, Exit

if TYPE_CHECKING:
    from connectors.gateway.access import Access
    from connectors.kit.intake import Told
    from connectors.kit.spec import Spec

group = typer.Typer(no_args_is_help=True, help="Bring a body's software onto the bus, and handoffs back to it.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The connector's file (YAML).")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
DirectoryFile = Annotated[
    Path | None, typer.Option("--directory", help="Directory of bodies (YAML); else the example.")
]


class ConnectorFileError(DeployError):
    """A file that cannot be used; the text names each file, line, field and mend."""

    exit_code = Exit.USAGE


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="connector")


@group.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the connectors that are installed, those of other packages too."""
    from connectors.kit.spec import installed, is_sink  # noqa: PLC0415

    for name, point in installed().items():
        try:
            kind = point.load()
        except ImportError as error:
            told = {"name": name, "kind": "unusable", "about": f"needs a library that is not installed: {error.name}"}
        else:
            about = (kind.__doc__ or "").strip().partition("\n")[0]
            told = {"name": name, "kind": "sink" if is_sink(kind) else "source", "about": about}
        typer.echo(_line(told) if as_json else f"{told['name']:<22}{told['kind']:<10}{told['about']}")


@group.command()
def describe(
    name: Annotated[str, typer.Argument(help="A connector of the list, or file.py:Class.")], as_json: AsJson = False
) -> None:
    """Tell what a connector does and what can be set; --json gives the JSON schema of its configuration."""
    from inspect import cleandoc, getmodule  # noqa: PLC0415

    from connectors.kit.spec import is_sink  # noqa: PLC0415
    from deploy.connectors import describing  # noqa: PLC0415

    kind = _kind(name)
    if as_json:
        typer.echo(_line(kind.Config.model_json_schema()))
        return
    typer.echo(f"{name}: a {'sink' if is_sink(kind) else 'source'}\n\n{cleandoc(kind.__doc__ or '')}\n")
    module = cleandoc(getattr(getmodule(kind), "__doc__", None) or "")
    typer.echo(f"{module}\n" if module else "")
    for field in describing.fields(kind.Config):
        typer.echo(f"  {field.name} ({field.need})\n      {field.about}")


@group.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the connector to write files for: permits.")],
    connector: Annotated[
        str | None, typer.Option("--connector", help="One of the list; absent: a class of your own to begin with.")
    ] = None,
    body: Annotated[str, typer.Option(help="Id of the body whose system it is.")] = "viriat",
    zone: Annotated[str, typer.Option(help="Time zone of the system.")] = "Europe/Paris",
    folder: Annotated[Path, typer.Option(help="Where to write.")] = Path(),
) -> None:
    """Write the files with which a connector begins; nothing that is there is overwritten."""
    from deploy.connectors import starting  # noqa: PLC0415

    kind = None if connector is None else _kind(connector)
    named = connector or f"{name.replace('-', '_')}.py:Source"
    try:
        written = starting.write(folder, starting.files(name, named, kind, body, zone))
    except FileExistsError as error:
        raise ConnectorFileError(f"{error} is there already: choose another name or folder") from None
    for path in written:
        typer.echo(f"wrote {path}")
    typer.echo(f"then: relais connector check {written[0]}", err=True)


@group.command()
def check(files: Annotated[list[Path], typer.Argument(metavar="FILE...")], directory: DirectoryFile = None) -> None:
    """Check files, mappings and the systems themselves, without changing anything."""
    from connectors.kit.contract import ConnectorError  # noqa: PLC0415
    from deploy.connectors import trial  # noqa: PLC0415

    bodies, good = _bodies(directory), True
    for file in files:
        spec = _spec(file)
        try:
            report = asyncio.run(trial.check(spec, bodies, _access()))
        except ConnectorError as error:
            typer.echo(f"{file.name}: {error.code}: {error}")
            good = False
            continue
        for finding in report.findings:
            more = finding.advice if finding.ok else finding.mend
            typer.echo(
                f"{file.name}: {'ok  ' if finding.ok else 'NOT '}{finding.what}" + (f"\n      {more}" if more else "")
            )
        good &= report.ok
    if not good:
        raise typer.Exit(Exit.FAILED)


@group.command("dry-run")
def dry_run(
    file: File,
    limit: Annotated[int, typer.Option(min=1, help="Records to read, from the beginning.")] = 20,
    as_json: AsJson = False,
    directory: DirectoryFile = None,
) -> None:
    """Read records and show what would be published, and why what is refused is refused. Needs no Kafka.

    Exit code 1 if a record is refused. What is shown may hold personal data.
    """
    from deploy.connectors import trial  # noqa: PLC0415

    spec, bodies = _source(file), _bodies(directory)
    suspects, refused = (trial.Shared(), trial.Changing()), 0

    async def run() -> None:
        nonlocal refused
        number = 0
        async for told in trial.dry_run(spec, bodies, limit, _access()):
            number += 1
            refused += told.refusal is not None
            for one in suspects:
                one.add(told)
            if as_json:
                typer.echo(_line(trial.told_json(told, number)))
            else:
                _show(told, number)

    _running(run())
    for suspicion in filter(None, (one.suspicion() for one in suspects)):
        typer.echo(f"look at this: {suspicion.where}: {suspicion.mend}", err=True)
    if refused:
        raise typer.Exit(Exit.FAILED)


@group.command()
def test(file: File, directory: DirectoryFile = None) -> None:
    """Run the tests that stand in the mapping."""
    from connectors.kit.runner import mapper_of  # noqa: PLC0415
    from deploy.connectors import trial  # noqa: PLC0415

    spec = _source(file)
    made = mapper_of(spec)
    results = list(trial.test(made, trial.stating(spec, _bodies(directory))))
    for name, wrong in results:
        typer.echo(f"{'NOT ' if wrong else 'ok  '}{name}{': ' if wrong else ''}{wrong}")
    if not results:
        raise ConnectorFileError(f"{spec.mapping.name} has no tests: add some under tests")
    if any(wrong for _, wrong in results):
        raise typer.Exit(Exit.FAILED)


@group.command()
def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Connectors to run in this process.")],
    directory: DirectoryFile = None,
    once: Annotated[
        bool, typer.Option("--once", help="Read to the end that there is now, and stop: for cron.")
    ] = False,
    port: Annotated[int | None, typer.Option(help="Port of probes and metrics; else RELAIS_CONNECTOR_PORT.")] = None,
) -> None:
    """Run connectors until told to stop. One that fails does not disturb another.

    Answers /livez, /readyz and /metrics. Run a connector in one process only: a second one takes it over from the first.
    """
    from deploy.connectors import running  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415

    settings = load() if port is None else load(connector_port=port)
    specs, wrong = [], []
    for file in files:
        try:
            specs.append(_spec(file))
        except ConnectorFileError as error:
            wrong.append(str(error))
            typer.echo(f"relais: left out: {error}", err=True)
    names = [spec.file.name for spec in specs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConnectorFileError(f"two files have the name {twice[0]}: names tell connectors apart")
    if not specs:
        raise ConnectorFileError("none of the files can be used: see above")
    if not running.run(settings, specs, directory, once=once) or wrong:
        raise typer.Exit(Exit.FAILED)


def _show(told: "Told", number: int) -> None:
    from connectors.kit.contract import Record  # noqa: PLC0415
    from schemas import cloudevents  # noqa: PLC0415

    typer.echo(f"{told.record.place or f'record {number}'}: {told.outcome.value}")
    for fact in told.facts:
        event = cloudevents.render(fact.event)
        typer.echo(f"    {fact.type}  {fact.subject}  {_line(event['data'])}")
    if told.refusal is not None:
        where = (
            f"{told.refusal.field}: " if told.refusal.field and told.refusal.field not in told.refusal.detail else ""
        )
        typer.echo(f"    {told.refusal.reason.value}: {where}{told.refusal.detail}")
        if isinstance(told.record, Record):
            typer.echo(f"    its fields: {', '.join(told.record.content)}")
    if told.label is not None:
        typer.echo(f"    waits for a label of {told.label[0]} that is not mapped: {told.label[1]}")


def _running(work: Any) -> None:
    from connectors.kit.contract import ConnectorError  # noqa: PLC0415
    from schemas.yamltext import InvalidFilesError  # noqa: PLC0415

    try:
        asyncio.run(work)
    except ConnectorError as error:
        raise DeployError(f"{error.code}: {error}") from None
    except InvalidFilesError as error:
        raise ConnectorFileError(str(error)) from None


def _spec(file: Path) -> "Spec":
    from connectors.kit import spec as specs  # noqa: PLC0415
    from connectors.kit.runner import mapper_of  # noqa: PLC0415
    from schemas.yamltext import InvalidFilesError  # noqa: PLC0415

    try:
        spec = specs.load(file)
        if not spec.is_sink:
            mapper_of(spec)
    except InvalidFilesError as error:
        raise ConnectorFileError(str(error)) from None
    return spec


def _source(file: Path) -> "Spec":
    spec = _spec(file)
    if spec.is_sink:
        raise ConnectorFileError(f"{file.name} is a sink: this is for sources")
    return spec


def _kind(name: str) -> type[Any]:
    from connectors.kit.spec import installed, kind_of  # noqa: PLC0415

    try:
        return kind_of(name)
    except KeyError:
        text = f"there is no connector {name}; there are {', '.join(installed()) or 'none'}"
    except (ImportError, AttributeError, OSError) as error:
        text = f"{name} cannot be loaded: {error}"
    raise ConnectorFileError(text)


def _bodies(directory: Path | None) -> frozenset[str]:
    from deploy.rules import directory as read_directory  # noqa: PLC0415

    return frozenset(read_directory(directory).by_id())


def _access() -> "Access":
    """What bodies may state, by the register that the gateway goes by."""
    from connectors.gateway.access import Access  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415

    return Access(load().bodies_path)


def _line(told: object) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=str)
