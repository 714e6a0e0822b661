"""Documents on a store: put with their manifest, given to whoever shows a right, checked while they are read."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import parse_qsl

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from connectors.documents.origin import AtHubee, Origin
from connectors.documents.rights import Right, granted
from connectors.documents.s3 import S3, S3Store
from connectors.documents.stores import FolderStore, Store
from connectors.hubee.config import HubeeConfig
from connectors.kit.contract import ConfigError, ConnectorConfig, Rejected
from connectors.kit.secret import Secret
from schemas.models.document import Document

PATH = "/v1/documents/"
"""Path of documents at the gateway."""
_ID = re.compile(r"[0-9a-f]{32}")


class ShelfConfig(ConnectorConfig):
    """The file that describes a store of documents."""

    address: str = Field(pattern=r"^https?://[^\s?#]+$")
    """Address of the gateway as the bodies reach it: `https://bus.exemple.fr`."""
    key: Secret
    """Key of the rights: 32 or more random characters, best by file: `{file: /run/secrets/documents-key}`. Another key ends all rights."""
    folder: Path | None = None
    """Folder in which documents lie; or `s3`."""
    s3: S3 | None = None
    """Bucket in which they lie; or `folder`."""
    hubee: HubeeConfig | None = None
    """By which credentials documents are fetched that stay at HubEE, where a source `hubee` gives them through this store."""
    max_bytes: int = Field(64 * 1024 * 1024, ge=1)
    """Bytes of one document, at most."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.folder is None) is (self.s3 is None):
            raise ValueError("give one of: folder, s3")
        return self


class _About(BaseModel):
    """What lies beside a document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    type: str
    size: int
    sha256: str
    origin: Origin | None = None
    """Where it is, if it is not kept here."""


class Given(NamedTuple):
    """A document that is given to somebody."""

    size: int
    parts: AsyncIterator[bytes]
    """Its bytes; they stop before the end with `Rejected` if they are not those that were put."""


class Shelf:
    """Documents on a store."""

    def __init__(self, config: ShelfConfig) -> None:
        """Raises `ConfigError` for a key that is missing or short."""
        self._config = config
        self._store: Store = FolderStore(config.folder) if config.folder is not None else S3Store(_given(config.s3))
        self._hubee = AtHubee(config.hubee) if config.hubee is not None else None
        try:
            self._key = config.key.get().encode()
        except ValueError as error:
            raise ConfigError(str(error), "key") from None
        if len(self._key) < 32:
            raise ConfigError("give a key of 32 random characters or more: openssl rand -hex 32", "key")

    async def put(self, content: bytes, label: str, type_: str, to: str, until: date) -> Document:
        """Keep a document for a body until a day, and return its line of the manifest. Raises `ConfigError`, `Rejected`."""
        if len(content) > self._config.max_bytes:
            raise Rejected(
                f"the document has more than {self._config.max_bytes} bytes: raise max_bytes if that is right"
            )
        id_ = secrets.token_hex(16)
        about = _About(label=label, type=type_, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        await self._store.put(id_, content)
        await self._store.put(f"{id_}.json", about.model_dump_json().encode())
        return self._line(about, Right(id_, to, until))

    async def knows(self, origin: Origin, to: str, until: date) -> Document | None:
        """The line of the manifest of a document that stays where it is; None if it was not told yet (`refer`)."""
        about = await self._about(origin.id)
        return None if about is None else self._line(about, Right(origin.id, to, until))

    async def refer(self, origin: Origin, content: bytes, label: str, type_: str) -> None:
        """Remember a document that stays where it is, by what was read of it."""
        sha256 = hashlib.sha256(content).hexdigest()
        about = _About(label=label, type=type_, size=len(content), sha256=sha256, origin=origin)
        await self._store.put(f"{origin.id}.json", about.model_dump_json().encode())

    async def give(self, id_: str, query: Mapping[str, str]) -> Given | None:
        """The document, for whoever shows the right to it; None without it, or if there is no such document."""
        if not _ID.fullmatch(id_) or granted(id_, query, self._key, datetime.now(UTC).date()) is None:
            return None
        about = await self._about(id_)
        if about is None:
            return None
        if about.origin is not None:
            if self._hubee is None:
                raise ConfigError("a document stays at HubEE: name the credentials by which it is fetched", "hubee")
            there, parts = await self._hubee.there(about.origin), self._hubee.read(about.origin)
        else:
            there, parts = await self._store.size(id_) == about.size, self._store.read(id_)
        return Given(about.size, checked(parts, about.size, about.sha256)) if there else None

    async def _about(self, id_: str) -> _About | None:
        if await self._store.size(f"{id_}.json") is None:
            return None
        return _About.model_validate_json(b"".join([part async for part in self._store.read(f"{id_}.json")]))

    def _line(self, about: _About, right: Right) -> Document:
        address = f"{self._config.address.rstrip('/')}{PATH}{right.document}?{right.query(self._key)}"
        return Document(**about.model_dump(exclude={"origin"}), location=address, until=right.until)

    def place(self, location: str) -> tuple[str, Mapping[str, str]] | None:
        """Id and right of an address that leads here; None for any other."""
        start = self._config.address.rstrip("/") + PATH
        if not location.startswith(start):
            return None
        id_, _, query = location.removeprefix(start).partition("?")
        return id_, dict(parse_qsl(query))

    async def remove(self, id_: str) -> None:
        """Keep a document no longer: every right to it leads nowhere."""
        await self._store.remove(id_)
        await self._store.remove(f"{id_}.json")

    async def close(self) -> None:
        """Let go of the store."""
        await self._store.close()
        if self._hubee is not None:
            await self._hubee.close()


async def checked(parts: AsyncIterator[bytes], size: int, sha256: str) -> AsyncIterator[bytes]:
    """The same bytes, the last part only once size and digest are right. Raises `Rejected` if they are not."""
    digest, seen, held = hashlib.sha256(), 0, b""
    async for part in parts:
        digest.update(part)
        seen += len(part)
        if seen > size:
            break
        if held:
            yield held
        held = part
    if seen != size or digest.hexdigest() != sha256:
        raise Rejected("these are not the bytes of the manifest: ask the sender for the document again")
    if held:
        yield held


def read(path: Path) -> Shelf:
    """The shelf that a file (YAML) describes. Raises `ConfigError`."""
    try:
        found = ShelfConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise ConfigError(f"{path} cannot be read as YAML: correct the path, or the file") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ConfigError(first["msg"].removeprefix("Value error, "), ".".join(map(str, first["loc"]))) from None
    return Shelf(found)


def _given(config: S3 | None) -> S3:
    assert config is not None  # the configuration has one of the two
    return config
