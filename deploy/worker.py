"""One worker process: settings made into the Faust app, its probes, its logs."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from deploy import rules, schema_ids
from deploy.errors import DeployError
from schemas import catalog, codec, definitions, yamltext
from schemas.references import Keys
from streams.correlate import Plan
from streams.runtime.config import RuntimeConfig

if TYPE_CHECKING:
    from deploy.settings import Settings
    from streams.runtime.service import Runtime

FACT_BYTES = 4_096
"""Memory that a decoded fact takes with its share of the fold, about (measured by `relais bench pipeline`)."""

SWITCH_S = 0.0005
"""The consumer's thread waits for the interpreter so long, each of the several times that a heartbeat or a fetch needs it. Beside a busy
thread it had 150 turns a second with Python's own 5 ms, and 550 with this."""

QUIETER = {
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "uvicorn": logging.WARNING,
    "httpx2": logging.WARNING,
    "asyncssh": logging.WARNING,
    "aiokafka": logging.CRITICAL,
}
"""Libraries that say much of no use to an operator, or addresses with rights and names in them (httpx2, asyncssh); what fails there is
told again by the runtime, with a reason."""


def brokers(settings: Settings) -> str:
    """Addresses of the brokers: those set, or the local broker of the data folder, which must run."""
    if settings.brokers:
        return settings.brokers
    from deploy.local_kafka import LocalKafka  # noqa: PLC0415

    local = LocalKafka(settings.data_dir / "kafka")
    if not local.running():
        raise DeployError("no broker: set RELAIS_BROKERS, or start the local one with `relais kafka start`")
    return local.bootstrap


def runtime_config(settings: Settings, slot: str | None) -> RuntimeConfig:
    """Settings as the runtime takes them. The slot names the folder of the local stores."""
    cache = settings.cache_mb
    return RuntimeConfig(
        brokers=tuple(brokers(settings).split(",")),
        instance=settings.instance,
        group=f"{settings.instance}.relais",
        data_dir=settings.data_dir / "workers" / (slot or "single"),
        slot=slot,
        bundles=settings.bundles,
        max_batch_records=settings.batch_records,
        max_queue_records=3 * settings.batch_records,
        retry_backoff_ms=settings.retry_backoff_ms,
        transaction_timeout_ms=settings.transaction_timeout_ms,
        session_timeout_s=settings.session_timeout_ms / 1000,
        heartbeat_s=settings.heartbeat_ms / 1000,
        revoke_budget_s=min(4.0, settings.session_timeout_ms / 3000),
        store_cache_mb=max(8, cache // 4),
        store_buffer_mb=max(8, cache // 8),
        clock=settings.clock,
        time_margin_ms=settings.clock_skew_ms,
        accept_lost_state=settings.accept_lost_state,
    )


def plan(settings: Settings) -> Plan:
    """What all partitions of the instance share."""
    return Plan(
        instance=settings.instance,
        partitions=settings.partitions,
        output_partitions=settings.output_partitions,
        led=settings.clock == "led",
        room=max(100, settings.cache_mb * 1_048_576 // FACT_BYTES // settings.partitions),
        keys=Keys(settings.reference_secret()),
        events=events_codec(settings),
    )


def events_codec(settings: Settings) -> codec.Codec:
    """The codec of events; with a registry's ids if a file or a registry gives them."""
    ids = schema_ids.found(settings)
    return codec.events() if ids is None else codec.Codec(catalog.events(), ids)


def extra_definitions(paths: Sequence[Path]) -> list[definitions.Journey]:
    """Journey definitions of single files; all problems at once."""
    found: list[definitions.Journey] = []
    for path in paths:
        document, problems = yamltext.read(path)
        if document is not None:
            journey, more = definitions.check(document)
            problems = problems + more
            if journey is not None:
                found.append(journey)
        if problems:
            raise DeployError("\n".join(map(str, problems)))
    return found


def logs(settings: Settings) -> None:
    """Logs as JSON lines on standard error, those of libraries too."""
    level = logging.getLevelName(settings.log_level.value.upper())
    shared: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render = structlog.processors.JSONRenderer(ensure_ascii=False)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            render,
        ],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, least in QUIETER.items():
        logging.getLogger(name).setLevel(max(level, least))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )


def run(
    settings: Settings, slot: str | None, speakers: Sequence[str], directory: Path | None, extra: Sequence[Path]
) -> None:
    """Run until told to stop, or until the worker can no longer do its work."""
    import uvloop  # noqa: PLC0415

    from streams.app import build  # noqa: PLC0415
    from streams.runtime.process import Process  # noqa: PLC0415

    logs(settings)
    book = rules.book(rules.directory(directory), extra_definitions(extra))
    config = runtime_config(settings, slot)
    (config.data_dir / "faust").mkdir(parents=True, exist_ok=True)
    sys.setswitchinterval(SWITCH_S)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # for the consumer's thread as well
    asyncio.set_event_loop(asyncio.new_event_loop())
    app, runtime = build(config, plan(settings), book, speakers)
    app.conf.web_enabled = False
    _probes(app, runtime, settings)
    Process(app, config, loglevel="WARNING", override_logging=False, quiet=True).execute_from_commandline()


def _probes(app: object, runtime: Runtime, settings: Settings) -> None:
    """/livez, /readyz and /metrics on the worker's port, served by the worker's own loop."""
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415
    from uvicorn import Config, Server  # noqa: PLC0415

    class Quiet(Server):
        """Leaves signals to the worker."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    def answer(found: tuple[bool, dict[str, object]]) -> Response:
        good, detail = found
        return Response(json.dumps(detail), 200 if good else 503, media_type="application/json")

    async def livez(_: Request) -> Response:
        return answer(runtime.livez())

    async def readyz(_: Request) -> Response:
        return answer(runtime.readyz())

    async def metrics(_: Request) -> Response:
        return Response(runtime.metrics(), media_type="text/plain; version=0.0.4")

    web = Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])
    server = Quiet(Config(web, settings.http_host, settings.worker_port, log_config=None, lifespan="off"))

    async def serve() -> None:
        await server.serve()

    app.task(serve)  # type: ignore[attr-defined]
