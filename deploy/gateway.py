"""The gateway's process: settings made into its parts, served by uvicorn."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.alerts.alertmanager import AlertmanagerConfig, AlertSink
from connectors.alerts.ledger import Ledger
from connectors.documents.shelf import Shelf
from connectors.documents.shelf import read as read_shelf
from connectors.gateway.access import Access
from connectors.gateway.app import Gateway
from connectors.gateway.asking import Asking
from connectors.gateway.bus import Bus, BusConfig
from connectors.gateway.codes import Minter
from connectors.gateway.door import Door
from connectors.gateway.inbox import Inbox
from connectors.gateway.pulse import Pulse
from connectors.inbox.feed import FeedConfig
from connectors.inbox.forwarder import Forwarder
from connectors.kit.contract import ConfigError
from connectors.pages.routes import routes
from connectors.pages.site import Site
from connectors.status.database import Database
from connectors.status.model import ReadModel
from connectors.status.sink import Sink, SinkConfig
from connectors.status.sources import Sources
from connectors.status.writing import Writer
from deploy import topics
from deploy.settings import SettingsError
from schemas import codec
from schemas.references import Keys

Task = Callable[[], Coroutine[Any, Any, None]]
"""What runs beside the gateway until it stops."""

if TYPE_CHECKING:
    from deploy.settings import Settings
    from streams.engine.book import Book


def assemble(settings: Settings, book: Book, brokers: str, *, sink: bool = True) -> tuple[Gateway, Database]:
    """The gateway of these settings, not started, and its database, to be closed after it."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    secret = settings.reference_secret()
    keys, events = Keys(secret), codec.events()
    database = Database(settings.read_model_url())
    model = ReadModel(database)
    reading = SinkConfig(brokers=brokers, instance=settings.instance)
    filling = Sink(Writer(database, keys, events), reading) if sink else None
    sources = Sources(reading, events)
    access = Access(settings.bodies_path)
    gateway = Gateway(
        access=access,
        door=Door(keys, events, book, Minter(secret), settings.partitions),
        bus=Bus(BusConfig(brokers=brokers, instance=settings.instance)),
        asking=Asking(model, keys, events, book),
        inbox=Inbox(model, keys, book),
        pulse=Pulse(model),
        sink=filling,
        documents=shelf(settings),
        tasks=(
            *alert_tasks(settings, book, model, database, filling),
            *mail_tasks(settings, book, model, database, filling),
            *(inbox_tasks(settings, access, brokers) if sink else ()),
            sources.run,
        ),
    )
    site = Site(
        gateway=gateway,
        model=model,
        keys=keys,
        events=events,
        secret=secret,
        agents_file=settings.agents_path,
        bodies_file=settings.bodies_path,
        workers=tuple(filter(None, settings.worker_addresses.split(","))),
        sources=sources,
        secure_cookies=settings.secure_cookies,
    )
    gateway.routes = routes(site)
    return gateway, database


def shelf(settings: Settings) -> Shelf | None:
    """The store of documents, if there is one."""
    if settings.documents_file is None:
        return None
    try:
        return read_shelf(settings.documents_file)
    except ConfigError as error:
        raise SettingsError(f"documents_file: {error}") from None


def alert_tasks(
    settings: Settings, book: Book, model: ReadModel, database: Database, filling: Sink | None
) -> tuple[Task, ...]:
    """What sends alerts to Alertmanager, if there is one."""
    urls = tuple(url.strip().rstrip("/") for url in settings.alertmanager.split(",") if url.strip())
    if not urls:
        return ()
    config = AlertmanagerConfig(urls=urls, instance=settings.instance)
    ready = (lambda: True) if filling is None else filling.ready.is_set
    return (AlertSink(model, Ledger(database), book, config, ready).run,)


def mail_tasks(
    settings: Settings, book: Book, model: ReadModel, database: Database, filling: Sink | None
) -> tuple[Task, ...]:
    """What mails bodies without software, if there is a server for it."""
    if settings.mail_server is None:
        return ()
    try:
        from connectors.mail.ledger import Ledger as Mails  # noqa: PLC0415
        from connectors.mail.sink import MailConfig, MailSink  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError("mail_server: mail needs one more library: pip install 'relais[mail]'") from error
    link = f"{settings.public_url.rstrip('/')}/entrer" if settings.public_url else ""
    config = MailConfig(server=settings.mail_server.get_secret_value(), sender=settings.mail_from, link=link)
    ready = (lambda: True) if filling is None else filling.ready.is_set
    try:
        return (MailSink(model, Mails(database), book, Keys(settings.reference_secret()), config, ready).run,)
    except ValueError as error:
        raise SettingsError(f"mail_server: {error}") from None


def inbox_tasks(settings: Settings, access: Access, brokers: str) -> tuple[Task, ...]:
    """What feeds the inbox topics of bodies that subscribe."""
    config = FeedConfig(brokers=brokers, instance=settings.instance)
    return (Forwarder(access, config, partial(topics.ensure_inbox, settings, brokers)).run,)


def run(
    settings: Settings, directory: Path | None, extra: Sequence[Path], sink: bool, *, rebuild: bool = False
) -> None:
    """Serve until told to stop. `rebuild`: build the read model again while the old one is read."""
    import uvicorn  # noqa: PLC0415

    from connectors.gateway.app import application  # noqa: PLC0415
    from deploy import rules, worker  # noqa: PLC0415

    worker.logs(settings)
    book = rules.book(rules.directory(directory), worker.extra_definitions(extra))
    gateway, database = assemble(settings, book, worker.brokers(settings), sink=sink)
    if rebuild and gateway.sink is not None:
        gateway.sink.rebuild()
    try:
        uvicorn.run(
            application(gateway),
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
    finally:
        database.close()
