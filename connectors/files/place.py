"""Where files lie: a folder of this machine, or one behind SFTP (`connectors.files.sftp`). Paths are relative, with `/`."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from pydantic import Field, model_validator

from connectors.kit.contract import ConfigError, ConnectorConfig, ConnectorError, Unavailable
from connectors.kit.secret import Secret


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular file. Links, pipes and folders are never entries: what they lead to is not ours to read."""

    name: str
    size: int
    """Bytes."""
    changed: float
    """Time of its last change, in seconds, by the clock of the place."""


class Place(Protocol):
    """A folder, wherever it is. Everything raises `ConfigError` or `Unavailable`, in words that say what to do."""

    name: str
    """Where it is, for people."""

    async def entries(self, folder: str) -> list[Entry]:
        """The files in a folder, without those in folders below."""
        ...

    async def find(self, path: str) -> Entry | None:
        """The file at a path; None if there is none."""
        ...

    async def fetch(self, path: str) -> BinaryIO | None:
        """The file as it is, to be read here and closed; None if there is none. Large files go to disk, not to memory."""
        ...

    async def move(self, old: str, new: str) -> bool:
        """Give a file another path, in the place of what is there; whether there was a file."""
        ...

    async def put(self, path: str, content: bytes) -> None:
        """Write a file so that nobody ever sees half of it, in the place of what is there."""
        ...

    async def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        ...

    async def make(self, folder: str) -> None:
        """Make a folder, if it is not there. The root is never made: that it is missing is a fault to be told."""
        ...

    async def writable(self, folder: str) -> bool:
        """Whether files may be made and renamed there, tried by rights alone."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class Folder(ConnectorConfig):
    """A folder of this machine, or one that is mounted."""

    folder: Path
    """The folder. It has to be there."""


class Sftp(ConnectorConfig):
    """A folder behind SFTP."""

    sftp: str = Field(min_length=1)
    """Name or address of the server."""
    port: int = Field(22, ge=1, le=65_535)
    """Its port."""
    user: str = Field(min_length=1)
    """Account there."""
    folder: str = "."
    """The folder there; it has to be there. `.` is the one in which the account begins."""
    password: Secret | None = None
    """Password of the account; or `key`."""
    key: Secret | None = None
    """Private key (OpenSSH or PEM), best by file: `{file: /run/secrets/sftp-key}`; or `password`."""
    passphrase: Secret | None = None
    """Passphrase of the private key, if it has one."""
    host_key: str = Field("", pattern=r"^(SHA256:[A-Za-z0-9+/]{43})?$")
    """Fingerprint of the server's key, as whoever runs it tells: `ssh-keygen -lf ssh_host_ed25519_key.pub`. Or `known_hosts`."""
    known_hosts: Path | None = None
    """File of known servers, as OpenSSH has it. Or `host_key`."""
    timeout_s: float = Field(30.0, gt=0, le=600)
    """Wait for the server at each step."""
    spool: Path | None = None
    """Folder of this machine for the copy of the file that is read; none: that of temporary files."""

    @model_validator(mode="after")
    def _complete(self) -> Sftp:
        if (self.password is None) is (self.key is None):
            raise ValueError("give one of: password, key")
        if bool(self.host_key) is (self.known_hosts is not None):
            raise ValueError(
                "give one of: host_key, known_hosts; ask whoever runs the server for the fingerprint of its key"
            )
        return self


class LocalPlace:
    """A folder of this machine."""

    def __init__(self, config: Folder) -> None:
        self._root = config.folder
        self.name = str(config.folder)

    async def entries(self, folder: str) -> list[Entry]:
        """The files in a folder."""
        return await asyncio.to_thread(self._entries, folder)

    def _entries(self, folder: str) -> list[Entry]:
        found = []
        with self._told(), os.scandir(self._root / folder) as listed:
            for one in listed:
                try:
                    seen = one.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(seen.st_mode):
                    found.append(Entry(one.name, seen.st_size, seen.st_mtime))
        return found

    async def find(self, path: str) -> Entry | None:
        """The file at a path."""
        with self._told():
            try:
                seen = (self._root / path).lstat()
            except FileNotFoundError:
                return None
        return Entry(Path(path).name, seen.st_size, seen.st_mtime) if stat.S_ISREG(seen.st_mode) else None

    async def fetch(self, path: str) -> BinaryIO | None:
        """The file itself."""
        with self._told():
            try:
                opened = os.open(self._root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:
                return None
            file = os.fdopen(opened, "rb", buffering=1 << 18)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            file.close()
            return None
        return file

    async def move(self, old: str, new: str) -> bool:
        """Rename."""
        with self._told():
            try:
                (self._root / old).replace(self._root / new)
            except FileNotFoundError:
                if not (self._root / new).parent.is_dir():
                    raise
                return False
        return True

    async def put(self, path: str, content: bytes) -> None:
        """Write beside, make it durable, rename."""
        await asyncio.to_thread(self._put, path, content)

    def _put(self, path: str, content: bytes) -> None:
        target = self._root / path
        draft = target.with_name(f".{target.name}.tmp")
        with self._told():
            draft.unlink(
                missing_ok=True
            )  # of a write that was cut; never written through, it may be a link of somebody else
            try:
                with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                draft.unlink(missing_ok=True)
                raise
            draft.replace(target)
            sync(target.parent)

    async def remove(self, path: str) -> None:
        """Unlink."""
        with self._told():
            (self._root / path).unlink(missing_ok=True)

    async def make(self, folder: str) -> None:
        """Make one folder in the root."""
        with self._told():
            (self._root / folder).mkdir(exist_ok=True)

    async def writable(self, folder: str) -> bool:
        """Whether the process has the rights."""
        return os.access(self._root / folder, os.W_OK | os.X_OK)

    async def close(self) -> None:
        """Nothing is held."""

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise told(error, self.name) from None


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def place_of(config: Folder | Sftp) -> Place:
    """The place that a configuration means; it does no I/O. Raises `ConfigError` where SFTP is not installed."""
    if isinstance(config, Folder):
        return LocalPlace(config)
    try:
        from connectors.files.sftp import SftpPlace  # noqa: PLC0415 - a library that only those with SFTP need
    except ImportError:
        raise ConfigError("SFTP needs one more library: pip install 'relais[files]'", "place.sftp") from None
    return SftpPlace(config)


def told(error: OSError, place: str) -> ConnectorError:
    """What a fault of the file system means for whoever runs the connector."""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return ConfigError(f"permission denied in {place}: let this account read and write there", "place")
        case errno.ENOENT | errno.ENOTDIR:
            return ConfigError(f"{place} is not there: make the folder, or correct its name", "place")
        case errno.EROFS:
            return ConfigError(f"{place} can only be read: write after: keep, or mount it for writing", "place")
        case errno.ENOSPC | errno.EDQUOT:
            return Unavailable(f"the disk of {place} is full: make room")
        case _:
            return Unavailable(f"{place} does not answer ({errno.errorcode.get(error.errno or 0, 'unknown')})")
