"""Running a bridge from another bus to this one until it is told to stop."""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Annotated

import structlog
from aiokafka.errors import KafkaError
from pydantic import Field, ValidationError

from connectors.kit.contract import ConnectorConfig
from connectors.kit.mapping import told
from connectors.relais.bridge import Bridge, BridgeConfig
from connectors.relais.carrying import Carrying, Ends
from deploy import topics
from deploy.errors import DeployError, Exit
from deploy.settings import Settings
from schemas.codec import events
from schemas.references import BODY, Keys
from schemas.yamltext import read
from streams.runtime.config import RuntimeConfig
from streams.runtime.errors import TransactionFailed, WorkerEnd

log = structlog.get_logger()

RETRY_S = 2.0


class BridgeFileError(DeployError):
    """A bridge's file that cannot be used; the text names line, field and mend."""

    exit_code = Exit.USAGE


class BridgeFile(ConnectorConfig):
    """What the file of a bridge says."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Name of this bridge: of its state topic, in logs and metrics. It never changes."""
    origin: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Name of the bus that is read, the same in every bridge that knows it."""
    here: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Name of this bus, the same in every bridge that knows it."""
    brokers: str
    """Kafka's addresses of the other bus, `host:port` with commas between."""
    instance: str = "main"
    """Instance of the other bus."""
    bodies: tuple[Annotated[str, Field(pattern=f"^{BODY.pattern}$")], ...] = Field(min_length=1)
    """Bodies that are at home on the other bus: their facts are carried, and nobody else's."""


def load(path: Path) -> BridgeFile:
    """Read the file of a bridge. Raises `BridgeFileError` with all problems."""
    document, problems = read(path)
    if document is not None and not problems:
        try:
            return BridgeFile.model_validate(document.value)
        except ValidationError as error:
            problems = told(document, error)
    raise BridgeFileError("\n".join(map(str, problems)))


def made(file: BridgeFile, settings: Settings, brokers: str) -> Bridge:
    """A bridge that is ready to run once."""
    here = RuntimeConfig(
        brokers=tuple(brokers.split(",")),
        instance=settings.instance,
        group=f"{settings.instance}.bridge.{file.name}",
        data_dir=settings.data_dir,
    )
    ends = Ends(
        origin=file.origin,
        here=file.here,
        instance=settings.instance,
        partitions=settings.partitions,
        bodies=frozenset(file.bodies),
    )
    config = BridgeConfig(name=file.name, brokers=tuple(file.brokers.split(",")), instance=file.instance)
    return Bridge(config, here, Carrying(ends, Keys(settings.reference_secret()), events()))


async def run(file: BridgeFile, settings: Settings, brokers: str) -> None:
    """Run bridge after bridge until cancelled, or told by SIGTERM or SIGINT to stop."""
    task = asyncio.current_task()
    assert task is not None
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await topics.ensure_connector(settings, brokers, file.name)
        while True:
            try:
                await made(file, settings, brokers).run()
            except (TransactionFailed, WorkerEnd, KafkaError, OSError) as error:
                log.warning("a bridge does not carry now", bridge=file.name, error=type(error).__name__, why=str(error))
            await asyncio.sleep(RETRY_S)
