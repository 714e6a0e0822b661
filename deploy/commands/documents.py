"""`relais documents`: keep the documents of handoffs, fetch them, and see whether what was sent can be fetched."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from deploy.errors import DeployError, Exit

if TYPE_CHECKING:
    from connectors.documents.links import Dead
    from connectors.kit.outgoing import Outgoing

T = TypeVar("T")
group = typer.Typer(
    no_args_is_help=True, help="Documents of handoffs: keep them, fetch them, see whether they are there."
)

Private = Annotated[
    list[str] | None,
    typer.Option("--private", help="Address or network that may be called though it is private; repeat."),
]
Store = Annotated[Path | None, typer.Option("--store", help="The store's file (YAML); else RELAIS_DOCUMENTS_FILE.")]
OPEN = ("sent", "received", "accepted")
PAGE = 500
_ANYWHERE = ["0.0.0.0/0", "::/0"]
"""Where an Alertmanager may be: whoever runs the bus named it, no sender did."""


class DocumentsError(DeployError):
    """A document that cannot be put or fetched; the text says what to mend."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="documents")


@group.command()
def put(
    file: Annotated[Path, typer.Argument(help="The document.")],
    label: Annotated[str, typer.Option(help="What it is, in the words of the procedure; no personal data.")],
    to: Annotated[str, typer.Option(help="Id of the body for which it is.")],
    type_: Annotated[str, typer.Option("--type", help="Its media type.")] = "application/octet-stream",
    days: Annotated[int, typer.Option(min=1, max=3660, help="For how many days it can be fetched.")] = 90,
    store: Store = None,
) -> None:
    """Keep a document and print its line of a handoff's manifest (`documents`), with the right of that body to fetch it."""
    from connectors.documents.shelf import read  # noqa: PLC0415

    async def run() -> dict[str, Any]:
        shelf = read(_store(store))
        try:
            content = await asyncio.to_thread(file.read_bytes)
            until = datetime.now(UTC).date() + timedelta(days=days)
            return (await shelf.put(content, label, type_, to, until)).model_dump(mode="json", exclude_none=True)
        finally:
            await shelf.close()

    typer.echo(json.dumps(_run(run()), ensure_ascii=False))


@group.command()
def fetch(
    manifest: Annotated[Path, typer.Argument(help="File with one document of a manifest, as JSON.")],
    out: Annotated[Path, typer.Option(help="Where to write it; the folder has to be there.")],
    private: Private = None,
) -> None:
    """Fetch a document of a manifest; it is written only if size and digest are those of the manifest."""
    from connectors.documents.links import fetch as fetch_  # noqa: PLC0415
    from schemas.models.document import Document  # noqa: PLC0415

    async def run() -> bytes:
        document = Document.model_validate_json(await asyncio.to_thread(manifest.read_bytes))
        return await fetch_(document.model_dump(), _outgoing(private, document.size))

    content = _run(run())
    draft = out.with_name(f".{out.name}.tmp")
    draft.write_bytes(content)
    draft.replace(out)
    typer.echo(f"{out}: {len(content)} bytes, as announced")


@group.command()
def check(
    alertmanager: Annotated[
        str | None,
        typer.Option(help="Address of an Alertmanager, which tells the senders; else RELAIS_ALERTMANAGER's first."),
    ] = None,
    lasts: Annotated[int, typer.Option(min=1, help="An alert ends by itself after so many hours.")] = 3,
    private: Private = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")] = False,
) -> None:
    """Ask for every document of every open handoff, and tell the sender of each that cannot be fetched. Run it every hour.

    Exit code 1 if a document is dead. Reads the read model of this deployment, and leaves there what the pages tell of it.
    """
    from connectors.documents import links  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415

    settings = load()
    where = alertmanager or settings.alertmanager.partition(",")[0].strip()

    async def run() -> list[links.Dead]:
        found = await links.dead(await asyncio.to_thread(_open_handoffs), _outgoing(private, 0))
        if found and where:
            await links.tell(found, where, _outgoing(_ANYWHERE, 1 << 20), timedelta(hours=lasts))
        return found

    found = _run(run())
    _keep(found)
    for one in found:
        told = {
            "handoff": one.handoff,
            "sender": one.sender,
            "to": one.to,
            "sha256": one.sha256,
            "fault": one.fault.value,
        }
        typer.echo(
            json.dumps(told) if as_json else f"{one.sender} -> {one.to}: {one.handoff}: {one.sha256[:16]} {one.fault}"
        )
    if found:
        raise typer.Exit(Exit.FAILED)


def _open_handoffs() -> list[dict[str, Any]]:
    from connectors.status.database import Database  # noqa: PLC0415
    from connectors.status.model import ReadModel  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415

    found: list[dict[str, Any]] = []
    database = Database(load().read_model_url())
    try:
        with ReadModel(database).snapshot() as now:
            while page := now.open_handoffs(states=OPEN, offset=len(found), limit=PAGE):
                found += page
    finally:
        database.close()
    return found


def _keep(found: "list[Dead]") -> None:
    """Let the pages tell it too."""
    from connectors.status.database import Database  # noqa: PLC0415
    from connectors.status.documents import DeadDocument, keep  # noqa: PLC0415
    from deploy.settings import load  # noqa: PLC0415

    database = Database(load().read_model_url())
    try:
        told = [DeadDocument(one.handoff, one.sha256, one.sender, one.fault.value) for one in found]
        keep(database, told, datetime.now(UTC).date())
    finally:
        database.close()


def _store(given: Path | None) -> Path:
    from deploy.settings import load  # noqa: PLC0415

    found = given or load().documents_file
    if found is None:
        raise DocumentsError("name the store: --store FILE, or set RELAIS_DOCUMENTS_FILE")
    return found


def _outgoing(private: list[str] | None, size: int) -> "Outgoing":
    from connectors.kit.outgoing import Outgoing  # noqa: PLC0415

    return Outgoing(private=tuple(private or ()), max_body=size + 1, timeout_s=300.0)


def _run(work: Coroutine[Any, Any, T]) -> T:
    from pydantic import ValidationError  # noqa: PLC0415

    from connectors.kit.contract import ConnectorError  # noqa: PLC0415
    from connectors.status.model import NotReadyError  # noqa: PLC0415

    try:
        return asyncio.run(work)
    except ConnectorError as error:
        raise DocumentsError(str(error)) from None
    except NotReadyError:
        raise DocumentsError("the read model is not filled: start the gateway first") from None
    except ValidationError:
        raise DocumentsError("this is no document of a manifest: label, type, size, sha256, location, until") from None
    except OSError as error:
        raise DocumentsError(f"{error.filename}: {error.strerror}") from None
