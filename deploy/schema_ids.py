"""Schema ids for the worker: from a file, or from a registry whose last answer is kept in case it does not answer at a start."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from connectors.kit.authentication import Basic
from connectors.kit.contract import ConnectorError, Unavailable
from connectors.kit.secret import Secret
from connectors.registry.client import Registry, ids
from deploy.errors import DeployError
from deploy.settings import Settings
from schemas import catalog, registry

log = structlog.get_logger()

KEPT = "schema-ids.json"
T = TypeVar("T")


def opened(settings: Settings, url: str = "") -> Registry:
    """The registry that the settings name, or the one at `url` with the same credentials."""
    way = None
    if settings.schema_registry_user:
        given = settings.schema_registry_password
        password = Secret.model_validate(given.get_secret_value() if given else "")
        way = Basic(kind="basic", user=settings.schema_registry_user, password=password)
    return Registry(url or settings.schema_registry, way)


def found(settings: Settings) -> registry.Ids | None:
    """The ids to read the Confluent framing by, or None if neither a file nor a registry is named. Raises `DeployError`."""
    try:
        if settings.schema_ids_file is not None:
            return registry.load(settings.schema_ids_file)
        return _from_registry(settings) if settings.schema_registry else None
    except registry.UnsoundIdsError as error:
        raise DeployError(f"schema_ids_file: {error}") from None


def _from_registry(settings: Settings) -> registry.Ids:
    kept = settings.data_dir / KEPT
    try:
        now, _ = run(_asked(settings))
    except Unavailable as error:
        if not kept.exists():
            raise DeployError(f"schema_registry: {error}; it has to answer once") from None
        log.warning("the schema registry does not answer: its ids of the last start are used", why=str(error))
        return registry.load(kept)
    except ConnectorError as error:
        raise DeployError(f"schema_registry: {error}") from None
    kept.parent.mkdir(parents=True, exist_ok=True)
    beside = kept.with_suffix(".new")
    beside.write_text(json.dumps({str(id_): name for id_, name in now.items()}, indent=2) + "\n", encoding="utf-8")
    beside.replace(kept)
    return registry.Ids(now)


async def _asked(settings: Settings) -> tuple[dict[int, str], list[str]]:
    client = opened(settings)
    try:
        return await ids(client, catalog.events())
    finally:
        await client.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end, whether or not this thread has a loop already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
