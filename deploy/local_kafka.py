"""A real Kafka of one node, on loopback, with nothing but Python packages: for a first run, for tests, for a desk."""

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.kafka_jars import LocalKafkaError, LocalKafkaReason, jars, java
from deploy.ports import free_port

HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.05

SETTINGS: dict[str, str | int] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    "default.replication.factor": 1,
    "min.insync.replicas": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "broker.heartbeat.interval.ms": 500,
    "broker.session.timeout.ms": 3000,  # after a crash the node waits this long for its former self to be given up
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,  # the default, 128 MB, is a quarter of the heap
    "log.index.size.max.bytes": 1024 * 1024,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "num.recovery.threads.per.data.dir": 2,
}
"""Settings of the one node; ports and folders come on top."""

FRUGAL = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""A broker beside its workers on few cores: the optimising compiler took as much of them as the broker itself. With these it
starts in two thirds of the time, and a transaction costs it 3 ms of processor time rather than 5 (60 in its first seconds)."""

LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


class LocalKafka:
    """One broker on one data folder.

    The folder holds everything: the data, the log (`broker.log`), who runs it (`broker.json`). Whoever names the same
    folder speaks of the same broker, from whatever process. A lock that the broker itself holds says whether it lives,
    so a number of a process that was used again is never taken for it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        heap_mb: int = 512,
        doors: Mapping[str, int] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Name the broker of `data_dir`, start nothing; `port` 0: the one it had, or a free one.

        `doors`: further listeners by name (capitals and digits), each with the loopback port of the proxy that stands before it:
        who comes in there is sent there again.
        """
        self.data_dir = data_dir.absolute()
        self._wish = port
        self._heap_mb = heap_mb
        self._doors = dict(doors or {})
        self._say = say
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients, of the broker that runs or ran last."""
        return f"{HOST}:{self._facts()['port']}"

    def door(self, name: str) -> int:
        """Port on which the broker itself listens for those who come by this door."""
        return self._facts()[name]

    @property
    def pid(self) -> int:
        """Process id of the broker that runs or ran last; 0: it never ran."""
        return self._facts()["pid"]

    @property
    def log(self) -> Path:
        """What the broker wrote: warnings and errors."""
        return self.data_dir / "broker.log"

    def running(self) -> bool:
        """Whether the broker's process lives."""
        if not self._lock_path.exists():
            return False
        with self._lock_path.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        if self._child is not None:
            self._child.wait()  # its files are closed: it has ended, or does so now
            self._child = None
        return False

    def ready(self) -> bool:
        """Whether the broker answers clients: it lists itself in an answer to a metadata request."""
        return self.running() and _lists_a_broker(self._facts()["port"])

    def start(self) -> Self:
        """Start the broker and wait until it answers; one that already runs on this folder is taken as it is.

        Raise `LocalKafkaError` when it cannot be had.
        """
        if not self.running():
            self._spawn()
        self._wait_ready()
        return self

    def stop(self) -> None:
        """End the broker: politely, and after `STOP_TIMEOUT_S` by force."""
        self._signal(signal.SIGTERM)
        if not self._wait_gone(STOP_TIMEOUT_S):
            self.kill()

    def kill(self) -> None:
        """End the broker at once (kill -9), as a crash would."""
        self._signal(signal.SIGKILL)
        if not self._wait_gone(STOP_TIMEOUT_S):
            raise LocalKafkaError(LocalKafkaReason.STOP_FAILED, f"the local broker of {self.data_dir} cannot be ended")

    def restart(self) -> Self:
        """Stop, then start on the same data and port."""
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _lock_path(self) -> Path:
        return self.data_dir / "broker.lock"

    def _facts(self) -> dict[str, int]:
        path = self.data_dir / "broker.json"
        if not path.exists():
            return {"pid": 0, "port": self._wish, "controller": 0}
        facts: dict[str, int] = json.loads(path.read_text())
        return facts

    def _spawn(self) -> None:
        command = self._java()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self._lock_path.open("w") as lock, self.log.open("ab") as log:
            if not _lock(lock.fileno()):
                return  # somebody else starts it at this moment
            before = self._facts()
            doors = [before.get(name, 0) for name in self._doors]
            ports = _free_ports(self._wish or before["port"], before["controller"], *doors)
            if self._wish not in {0, ports[0]}:
                text = f"port {self._wish} is taken: name another, or none"
                raise LocalKafkaError(LocalKafkaReason.START_FAILED, text)
            config = self._configure(*ports)
            if not (self.data_dir / "data" / "meta.properties").exists():
                self._format(command, config)
            self._child = subprocess.Popen(  # noqa: S603
                [*command, "kafka.Kafka", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock.fileno()],  # the broker goes on holding what we let go
                env=_environment(),
            )
            facts = {
                "pid": self._child.pid,
                "port": ports[0],
                "controller": ports[1],
                **dict(zip(self._doors, ports[2:], strict=True)),
            }
            draft = self.data_dir / "broker.json.new"
            draft.write_text(json.dumps(facts))
            draft.replace(self.data_dir / "broker.json")

    def _java(self) -> list[str]:
        classpath = os.pathsep.join(str(path) for path in jars(self._say))
        return [
            str(java()),
            f"-Xmx{self._heap_mb}m",
            *FRUGAL,
            "-Xlog:disable",
            "--sun-misc-unsafe-memory-access=allow",
            "--enable-native-access=ALL-UNNAMED",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={self.data_dir / 'log4j2.properties'}",
            "-cp",
            classpath,
        ]

    def _configure(self, port: int, controller: int, *doors: int) -> Path:
        inside = "".join(f",{name}://{HOST}:{own}" for name, own in zip(self._doors, doors, strict=True))
        outside = "".join(f",{name}://{HOST}:{proxy}" for name, proxy in self._doors.items())
        protocols = "".join(f",{name}:PLAINTEXT" for name in self._doors)
        settings = SETTINGS | {
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}{inside}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}{outside}",
            "listener.security.protocol.map": f"{SETTINGS['listener.security.protocol.map']}{protocols}",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "log.dirs": str(self.data_dir / "data"),
        }
        path = self.data_dir / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        (self.data_dir / "log4j2.properties").write_text(LOGGING)
        return path

    def _format(self, command: list[str], config: Path) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if cluster.startswith("-"):
            cluster = f"A{cluster[1:]}"  # would be read as an option
        tool = [*command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)]
        done = subprocess.run(tool, capture_output=True, text=True, check=False, env=_environment())  # noqa: S603
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            text = f"the folder {self.data_dir} cannot be made ready for the local broker: {said[-500:]}"
            raise LocalKafkaError(LocalKafkaReason.FORMAT_FAILED, text)

    def _wait_ready(self) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        while not _lists_a_broker(self._facts()["port"]):
            if not self.running() or time.monotonic() > end:
                raise LocalKafkaError(
                    LocalKafkaReason.START_FAILED, f"the local broker does not answer, see {self.log}"
                )
            time.sleep(POLL_S)

    def _wait_gone(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > end:
                return False
            time.sleep(POLL_S)
        return True

    def _signal(self, number: signal.Signals) -> None:
        if not self.running():
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return


def _lock(descriptor: int) -> bool:
    """Take the lock of a folder; those who only look hold it for an instant, a broker for good."""
    for _ in range(20):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(POLL_S / 10)
        else:
            return True
    return False


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in {"JAVA_TOOL_OPTIONS", "CLASSPATH"}}


def _free_ports(*wishes: int) -> tuple[int, ...]:
    """Return one free port for each wish, the wished one where it is free."""
    held: list[socket.socket] = []
    try:
        for wish in wishes:
            one = socket.socket()
            held.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((HOST, wish or free_port(HOST)))
            except OSError:
                one.bind((HOST, free_port(HOST)))
        return tuple(one.getsockname()[1] for one in held)
    finally:
        for one in held:
            one.close()


def _lists_a_broker(port: int) -> bool:
    """Ask for metadata of no topic (Kafka protocol, key 3, version 1): a node that is up lists itself."""
    request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    try:
        with socket.create_connection((HOST, port), timeout=1) as peer, peer.makefile("rwb") as stream:
            stream.write(struct.pack(">i", len(request)) + request)
            stream.flush()
            answer = stream.read(12)
    except OSError:
        return False
    return len(answer) == 12 and struct.unpack(">iii", answer)[2] > 0
