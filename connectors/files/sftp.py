"""A folder behind SFTP. The server's key is checked against one that a person gave: nothing is trusted because it answered first."""

from __future__ import annotations

import asyncio
import posixpath
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import BinaryIO

import asyncssh

from connectors.files.place import Entry, Sftp, told
from connectors.kit.contract import ConfigError, ConnectorError, Unavailable


class _Client(asyncssh.SSHClient):
    """Trusts the one key of which a person gave the fingerprint."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        self.seen = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.seen = key.get_fingerprint()
        return bool(self._fingerprint) and self.seen == self._fingerprint


class SftpPlace:
    """A folder behind SFTP, connected when it is first needed."""

    def __init__(self, config: Sftp) -> None:
        self._config = config
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._connecting = asyncio.Lock()
        self.name = f"{config.sftp}:{config.folder}"

    async def entries(self, folder: str) -> list[Entry]:
        """The files in a folder."""
        found = []
        async with self._told() as client:
            async for one in client.scandir(self._at(folder)):
                entry = _entry(str(one.filename), one.attrs)
                if entry is not None:
                    found.append(entry)
        return found

    async def find(self, path: str) -> Entry | None:
        """The file at a path."""
        async with self._told() as client:
            try:
                return _entry(posixpath.basename(path), await client.lstat(self._at(path)))
            except asyncssh.SFTPNoSuchFile:
                return None

    async def fetch(self, path: str) -> BinaryIO | None:
        """A copy, on the disk of this machine; gone when it is closed."""
        if await self.find(path) is None:
            return None
        copy = tempfile.NamedTemporaryFile(prefix="relais-", dir=self._config.spool)  # noqa: SIM115 - the caller closes it
        try:
            async with self._told() as client:
                try:
                    await client.get(self._at(path), copy.name)
                except asyncssh.SFTPNoSuchFile:
                    copy.close()
                    return None
        except BaseException:
            copy.close()
            raise
        copy.seek(0)
        return copy  # type: ignore[return-value]  # a binary file but for its type

    async def move(self, old: str, new: str) -> bool:
        """Rename, in the place of what is there."""
        async with self._told() as client:
            try:
                await client.posix_rename(self._at(old), self._at(new))
            except asyncssh.SFTPOpUnsupported:
                return await self._plain_move(client, old, new)
            except asyncssh.SFTPNoSuchFile:
                if not await client.isdir(self._at(posixpath.dirname(new))):
                    raise
                return False
        return True

    async def _plain_move(self, client: asyncssh.SFTPClient, old: str, new: str) -> bool:
        """Rename at a server that knows no rename over a file: the file that it replaces has to go first."""
        if not await client.exists(self._at(old)):
            return False
        if await client.exists(self._at(new)):
            await client.remove(self._at(new))
        await client.rename(self._at(old), self._at(new))
        return True

    async def put(self, path: str, content: bytes) -> None:
        """Write beside, rename."""
        folder, name = posixpath.split(path)
        draft = posixpath.join(folder, f".{name}.tmp")
        await self.remove(draft)  # of a write that was cut; never written through, it may be a link of somebody else
        try:
            async with self._told() as client, client.open(self._at(draft), "xb") as file:
                await file.write(content)
                with suppress(asyncssh.SFTPOpUnsupported):
                    await file.fsync()
        except Unavailable:
            with suppress(ConnectorError):
                await self.remove(draft)
            raise
        await self.move(draft, path)

    async def remove(self, path: str) -> None:
        """Remove."""
        async with self._told() as client:
            with suppress(asyncssh.SFTPNoSuchFile):
                await client.remove(self._at(path))

    async def make(self, folder: str) -> None:
        """Make one folder in the root."""
        async with self._told() as client:
            if not await client.isdir(self._at(folder)):
                await client.mkdir(self._at(folder))

    async def writable(self, folder: str) -> bool:
        """Whether the rights of the folder allow it to anybody; the server alone knows to whom."""
        async with self._told() as client:
            attributes = await client.stat(self._at(folder))
        return attributes.permissions is None or bool(attributes.permissions & 0o222)

    async def close(self) -> None:
        """Disconnect."""
        client, connection = self._client, self._connection
        self._client = self._connection = None
        if client is not None:
            client.exit()
        if connection is not None:
            connection.close()
            await connection.wait_closed()

    def _at(self, path: str) -> str:
        return posixpath.join(self._config.folder, path)

    async def _connected(self) -> asyncssh.SFTPClient:
        async with self._connecting:
            if self._client is None:
                self._connection = await self._connect()
                self._client = await self._connection.start_sftp_client()
            return self._client

    async def _connect(self) -> asyncssh.SSHClientConnection:
        config = self._config
        client = _Client(config.host_key)
        try:
            key = (
                asyncssh.import_private_key(config.key.get(), config.passphrase.get() if config.passphrase else None)
                if config.key
                else None
            )
        except asyncssh.KeyEncryptionError:
            raise ConfigError("the private key has a passphrase that is not this one: give passphrase", "key") from None
        except asyncssh.KeyImportError:
            raise ConfigError("this is no private key in the form of OpenSSH or PEM", "key") from None
        known: object = ([], [], []) if config.known_hosts is None else str(config.known_hosts)
        try:
            return await asyncssh.connect(
                config.sftp,
                config.port,
                username=config.user,
                password=config.password.get() if config.password else None,
                client_keys=[key] if key else None,
                client_factory=lambda: client,
                known_hosts=known,
                config=None,
                agent_path=None,
                gss_host=None,
                connect_timeout=config.timeout_s,
                login_timeout=config.timeout_s,
                keepalive_interval=15,
            )
        except asyncssh.HostKeyNotVerifiable:
            seen = f"it showed {client.seen}" if client.seen else "it showed another"
            raise ConfigError(
                f"{config.sftp} does not show the key that was given ({seen}): ask whoever runs it, and give that one only "
                "if they say so; somebody may stand in between",
                "host_key" if config.host_key else "known_hosts",
            ) from None
        except asyncssh.PermissionDenied:
            which = "password" if config.password else "key"
            raise ConfigError(
                f"{config.sftp} does not take this account with this {which}: correct them", which
            ) from None

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[asyncssh.SFTPClient]:
        """The client, with faults told in our words; a lost connection is made again the next time."""
        try:
            yield await self._connected()
        except ConnectorError:
            raise
        except asyncssh.SFTPError as error:
            if isinstance(error, (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)):
                await self._drop()
                raise Unavailable(f"{self._config.sftp} does not answer ({type(error).__name__})") from None
            raise self._meaning(error) from None
        except (asyncssh.Error, ConnectionError, TimeoutError) as error:
            await self._drop()
            raise Unavailable(f"{self._config.sftp} does not answer ({type(error).__name__})") from None
        except (
            OSError
        ) as error:  # of this machine: the file of known servers, the disk of copies, the name of the server
            if error.filename is not None and str(error.filename) == str(self._config.known_hosts):
                raise ConfigError(f"{error.filename} cannot be read", "known_hosts") from None
            if error.errno is None or error.filename is None:
                await self._drop()
                raise Unavailable(f"{self._config.sftp} does not answer ({type(error).__name__})") from None
            raise told(error, str(self._config.spool or tempfile.gettempdir())) from None

    async def _drop(self) -> None:
        connection, self._client, self._connection = self._connection, None, None
        if connection is not None:
            connection.abort()
            with suppress(asyncssh.Error, OSError):
                await connection.wait_closed()

    def _meaning(self, error: asyncssh.SFTPError) -> ConnectorError:
        match error:
            case asyncssh.SFTPPermissionDenied() | asyncssh.SFTPWriteProtect():
                return ConfigError(f"permission denied in {self.name}: let this account read and write there", "place")
            case asyncssh.SFTPNoSuchFile() | asyncssh.SFTPNoSuchPath() | asyncssh.SFTPNotADirectory():
                return ConfigError(f"{self.name} is not there: make the folder, or correct its name", "place")
            case asyncssh.SFTPNoSpaceOnFilesystem() | asyncssh.SFTPQuotaExceeded():
                return Unavailable(f"the disk of {self.name} is full: make room")
            case _:
                # OpenSSH says no more than "failure" of a full disk.
                return Unavailable(f"{self.name} fails ({type(error).__name__}): is its disk full?")


def _entry(name: str, attributes: asyncssh.SFTPAttrs) -> Entry | None:
    permissions = attributes.permissions
    regular = permissions is None or stat.S_ISREG(permissions)
    return (
        Entry(name, attributes.size or 0, float(attributes.mtime or 0)) if regular and name not in (".", "..") else None
    )
