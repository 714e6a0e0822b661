"""The process of `relais connector run`: some connectors side by side, none of which can hurt another, and their probes."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from connectors.gateway.access import Access
from connectors.kit.loop import Ground, Loop, RunnerConfig
from connectors.kit.metrics import State
from connectors.kit.outlet import Outlet
from connectors.kit.runner import Runner
from connectors.kit.spec import Spec
from connectors.kit.stating import Stating
from deploy import rules, topics, worker
from schemas.directory import Directory
from schemas.references import Keys
from streams.runtime import collector
from streams.runtime.config import RuntimeConfig
from streams.runtime.metrics import exposition

if TYPE_CHECKING:
    from deploy.settings import Settings

log = structlog.get_logger()
GRACE_S = 20.0
"""Wait for the transactions under way when it is told to stop."""
_ILL = {State.STARTING, State.FAILING, State.STOPPED}


def runtime_config(settings: Settings, brokers: str, count: int = 1) -> RuntimeConfig:
    """Settings as the runtime of one of so many connectors takes them."""
    return RuntimeConfig(
        brokers=tuple(brokers.split(",")),
        instance=settings.instance,
        group=f"{settings.instance}.connectors",
        data_dir=settings.data_dir / "connectors",
        retry_backoff_ms=settings.retry_backoff_ms,
        transaction_timeout_ms=settings.transaction_timeout_ms,
        store_cache_mb=max(8, settings.cache_mb // 4 // count),
        store_buffer_mb=max(8, settings.cache_mb // 8 // count),
    )


def stating(settings: Settings, spec: Spec, bodies: Collection[str]) -> Stating:
    """What states in the name of a connector's system."""
    keys = Keys(settings.reference_secret())
    file = spec.file
    may = partial(Access(settings.bodies_path).may_state, file.body)
    return Stating(file.body, file.system, worker.events_codec(settings), keys, settings.partitions, bodies, may)


def run(settings: Settings, specs: Sequence[Spec], directory: Path | None, *, once: bool = False) -> bool:
    """Run until told to stop, or until every connector has stopped; whether all is well. `once`: until all is read."""
    worker.logs(settings)
    brokers = worker.brokers(settings)
    bodies = rules.directory(directory)
    runtime = runtime_config(settings, brokers, len(specs))
    settings.reference_secret()

    async def serve() -> bool:
        loops = [make(settings, spec, runtime, bodies) for spec in specs]
        for loop in loops:
            loop.once = once
        collector.settled()
        return await _serve(settings, loops)

    return asyncio.run(serve())


def make(settings: Settings, spec: Spec, runtime: RuntimeConfig, directory: Directory) -> Loop:
    """What runs a connector."""

    async def prepare() -> Ground:
        await topics.ensure_connector(settings, ",".join(runtime.brokers), spec.file.name)
        return Ground(stating(settings, spec, frozenset(directory.by_id())), book)

    book = rules.book(directory) if spec.is_sink else None
    kind = Outlet if spec.is_sink else Runner
    return kind(spec, prepare, runtime, RunnerConfig(batch_records=settings.batch_records))


async def _serve(settings: Settings, loops: Sequence[Loop]) -> bool:
    stopping = asyncio.Event()
    for told in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(told, stopping.set)
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    probes = asyncio.create_task(_probes(settings, loops))
    signalled = asyncio.create_task(stopping.wait())
    everyone = asyncio.create_task(asyncio.wait(tasks))
    await asyncio.wait((everyone, signalled), return_when=asyncio.FIRST_COMPLETED)
    for loop in loops:
        loop.stop()
    _, left = await asyncio.wait(tasks, timeout=GRACE_S)
    rest: list[asyncio.Task[Any]] = [*left, probes, signalled, everyone]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    for loop in loops:
        log.info("a connector ended", connector=loop.name, records=dict(loop.counts))
    ill = {State.STOPPED} | ({State.FAILING, State.UNAVAILABLE} if loops[0].once else set())
    return not left and all(loop.state not in ill for loop in loops)


async def _probes(settings: Settings, loops: Sequence[Loop]) -> None:
    """/livez, /readyz and /metrics."""
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415
    from uvicorn import Config, Server  # noqa: PLC0415

    class Quiet(Server):
        """Leaves signals to the connectors."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    async def livez(_: Request) -> Response:
        return Response("{}", media_type="application/json")

    async def readyz(_: Request) -> Response:
        told = {one.name: {"state": one.state.value, "told": one.told, "records": dict(one.counts)} for one in loops}
        well = not any(one.state in _ILL and not one.listens for one in loops)  # it takes what comes without the bus
        return Response(json.dumps(told), 200 if well else 503, media_type="application/json")

    async def metrics(_: Request) -> Response:
        return Response(exposition(), media_type="text/plain; version=0.0.4")

    web = Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])
    server = Quiet(Config(web, settings.http_host, settings.connector_port, log_config=None, lifespan="off"))
    try:
        await server.serve()
    except SystemExit:  # uvicorn's word for a port that is taken
        log.error("the port of probes is taken: no probes", port=settings.connector_port)
