"""Everything on one machine: broker, topics, tokens, workers, gateway, example; started in order, watched, stopped in order."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deploy import __version__, example, topics
from deploy.errors import DeployError
from deploy.local_kafka import LocalKafka
from deploy.player import Player
from deploy.ports import free_port
from deploy.processes import Child
from deploy.tokens import PERSON, ensure_person, ensure_tokens

if TYPE_CHECKING:
    from deploy.settings import Settings

READY_S = 120.0
LOOK_S = 0.2


class AlreadyUpError(DeployError):
    """Another `relais up` runs on the same data."""


def say(text: str) -> None:
    """Tell the person at the terminal, at once."""
    typer.echo(text)


def run(settings: Settings, workers: int, with_example: bool, files: Sequence[str]) -> None:
    """Start all, watch it until told to stop (SIGINT, SIGTERM), stop all."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    say(f"relais {__version__}: data in {settings.data_dir.absolute()}")
    with ExitStack() as parts:
        parts.enter_context(_alone(settings.data_dir))
        try:
            _run(settings, workers, with_example, files, parts)
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            say("\nstopping")
    say("stopped; `relais up` goes on from here")


def _run(settings: Settings, workers: int, with_example: bool, files: Sequence[str], parts: ExitStack) -> None:
    settings.ensure_reference_secret()
    http, *ports = _ports(settings, workers)
    brokers = settings.brokers or parts.enter_context(_broker(settings.data_dir))
    made = asyncio.run(topics.ensure_instance(settings, brokers))
    say(f"topics: {len(made)} created" if made else "topics: found")
    tokens = _entrust(settings) if with_example else {}
    shared = {"RELAIS_BROKERS": brokers, "RELAIS_DATA_DIR": str(settings.data_dir.absolute())}
    base = f"http://{_reachable(settings.http_host)}:{http}"
    logs = settings.data_dir.absolute() / "logs"
    running: list[Child] = []
    team = [
        Child(
            f"worker {i + 1}",
            ["worker", "--slot", f"w{i + 1}", *files],
            # the gateway's port is not the worker's, and settings refuse equal ones
            shared | {"RELAIS_WORKER_PORT": str(port), "RELAIS_HTTP_PORT": str(http)},
            f"http://{_reachable(settings.http_host)}:{port}/readyz",
            logs / f"worker-{i + 1}.log",
            say,
        )
        for i, port in enumerate(ports)
    ]
    door = Child(
        "gateway",
        ["gateway", *files],
        shared
        | {"RELAIS_HTTP_PORT": str(http), "RELAIS_WORKER_PORT": str(ports[0])}
        | {"RELAIS_WORKER_ADDRESSES": ",".join(f"http://{_reachable(settings.http_host)}:{p}" for p in ports)},
        f"{base}/readyz",
        logs / "gateway.log",
        say,
    )
    parts.callback(_stop, "workers", team)
    parts.callback(_stop, "gateway", [door])
    say(f"workers: starting {workers}")
    for child in (*team, door):
        child.start()
        running.append(child)
    for child in team:
        child.wait_ready(READY_S)
    say(f"workers: ready, probes and metrics on port {', '.join(map(str, ports))}")
    door.wait_ready(READY_S)
    say(f"gateway: ready at {base}")
    player = Player(base, tokens, say) if with_example else None
    if player is not None:
        player.first_act()
    say(farewell(base, settings.data_dir, player.codes.get(example.ONGOING, "") if player is not None else None))
    while True:
        for child in running:
            child.watch()
        if player is not None:
            player.turn(time.time())
        time.sleep(LOOK_S)


def _entrust(settings: Settings) -> dict[str, str]:
    tokens, fresh = ensure_tokens(settings, example.BODIES)
    ensure_person(settings, example.BODIES)
    folder = settings.data_dir / "tokens"
    say(f"tokens: {fresh} made, in {folder}" if fresh else f"tokens: found, in {folder}")
    return tokens


def farewell(base: str, data_dir: Path, code: str | None) -> str:
    """What there is to open and to try. `code`: the secret code of the person of the example; None without it."""
    lines = ["", f"open    {base}/suivi          the page of the person who asks"]
    if code is not None:
        ask = f'curl -s -H "Authorization: Bearer $(cat {data_dir}/tokens/%s)" {base}%s'
        reference = example.ONGOING.removeprefix("case:")
        lines += [
            f"        reference {reference}, code {code}",
            f"        {base}/entrer         the pages of agents and operations",
            f"        name {PERSON}, password in {data_dir}/tokens/{PERSON}",
            f"        {base}/openapi.json   what programs can say and ask",
            "try     " + ask % (example.TOWN, f"/v1/journeys/{example.ONGOING}"),
            "        " + ask % (example.TOWN, f"/v1/journeys/{example.STALLED}") + "   # an alert: nobody took it over",
            "        " + ask % (example.EPCI, "/v1/inbox"),
            f"tokens  {data_dir}/tokens, one file for each body",
        ]
    else:
        lines += [
            f"        {base}/openapi.json   what programs can say and ask",
            "next    relais bodies add BODY, then relais bodies token BODY",
        ]
    return "\n".join([*lines, "stop    Ctrl-C", ""])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the data for this process alone."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyUpError(
                f"`relais up` runs already on {folder}: stop it, or choose another RELAIS_DATA_DIR"
            ) from None
        yield


@contextmanager
def _broker(folder: Path) -> Iterator[str]:
    """The local broker: one that somebody else started is taken as it is, and left running."""
    broker = LocalKafka(folder / "kafka", say=say)
    ours = folder / "kafka" / "started-by-up"
    if broker.running() and not ours.exists():
        yield broker.start().bootstrap
        return
    say("broker: found, left by a start that did not stop" if broker.running() else "broker: starting")
    ours.parent.mkdir(parents=True, exist_ok=True)
    ours.touch()
    try:
        broker.start()
        say(f"broker: answers at {broker.bootstrap}")
        yield broker.bootstrap
    finally:
        broker.stop()
        ours.unlink(missing_ok=True)
        say("broker: stopped")


def _stop(name: str, children: Sequence[Child]) -> None:
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.stop()
    say(f"{name}: stopped")


def _ports(settings: Settings, workers: int) -> list[int]:
    """A port for the gateway, which must be the one chosen, and one for each worker, a free one where its own is taken."""
    with ExitStack() as held:

        def take(port: int, must: bool = False) -> int:
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.http_host, port or free_port(settings.http_host)))
            except OSError:
                if must:
                    raise DeployError(f"port {port} is taken: name another with --port or RELAIS_HTTP_PORT") from None
                probe.bind((settings.http_host, free_port(settings.http_host)))
            found: int = probe.getsockname()[1]
            return found

        first = settings.worker_port
        return [take(settings.http_port, True), *(take(first + i if first else 0) for i in range(workers))]


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - where to ask, not where to listen
