"""Where documents lie. A store keeps bytes under an id and knows nothing of rights."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from connectors.files.place import sync, told
from connectors.kit.contract import ConfigError

CHUNK = 4 * 1024 * 1024
"""Bytes in memory at once."""


class Store(Protocol):
    """Keeps documents. Everything raises `ConfigError` or `Unavailable`."""

    async def put(self, name: str, content: bytes) -> None:
        """Keep bytes under a name, whole or not at all."""
        ...

    async def size(self, name: str) -> int | None:
        """How many bytes there are; None if there is nothing of that name."""
        ...

    def read(self, name: str) -> AsyncIterator[bytes]:
        """The bytes, a part at a time."""
        ...

    async def remove(self, name: str) -> None:
        """Keep it no longer."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class FolderStore:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, name: str, content: bytes) -> None:
        """Write beside, make it durable, rename."""
        await asyncio.to_thread(self._put, name, content)

    def _put(self, name: str, content: bytes) -> None:
        draft = self._folder / f".{name}.{os.getpid()}.tmp"
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._folder / name)
            sync(self._folder)
        except OSError as error:
            raise told(error, str(self._folder)) from None

    async def size(self, name: str) -> int | None:
        """By its entry."""
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            if not self._folder.is_dir():
                raise ConfigError(
                    f"{self._folder} is not there: make the folder, or correct its name", "folder"
                ) from None
            return None
        except OSError as error:
            raise told(error, str(self._folder)) from None

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """From its file."""
        try:
            with await asyncio.to_thread((self._folder / name).open, "rb") as file:
                while part := await asyncio.to_thread(file.read, CHUNK):
                    yield part
        except OSError as error:
            raise told(error, str(self._folder)) from None

    async def remove(self, name: str) -> None:
        """Unlink."""
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise told(error, str(self._folder)) from None

    async def close(self) -> None:
        """Nothing is held."""
