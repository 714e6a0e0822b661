"""Documents in a bucket of a real S3-compatible server, which checks every signature."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.documents.s3 import S3, S3Store
from connectors.documents.shelf import Shelf, ShelfConfig
from connectors.documents.stores import CHUNK
from connectors.kit.contract import ConfigError
from tests.support import s3


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3.server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def bucket(address: str, **changed: Any) -> dict[str, Any]:
    return {
        "endpoint": address, "bucket": "documents", "access_key": s3.ACCESS, "secret_key": s3.SECRET, "prefix": "relais/",
        "outgoing": {"private": ["127.0.0.1"]},
    } | changed  # fmt: skip


async def test_documents_in_a_bucket(address: str) -> None:
    store = S3Store(S3.model_validate(bucket(address, prefix="")))
    answer = await store._request("PUT", "")  # the bucket itself
    assert answer.status in (200, 409)
    await store.close()
    shelf = Shelf(
        ShelfConfig.model_validate({"address": "https://bus.example.fr", "key": "k" * 32, "s3": bucket(address)})
    )
    content = bytes(range(256)) * (CHUNK // 128)  # more than two parts
    until = datetime.now(UTC).date() + timedelta(days=1)
    document = await shelf.put(content + b"end", "Plan", "application/pdf", "grand-bourg", until)
    assert document.sha256 == hashlib.sha256(content + b"end").hexdigest()
    path, _, query = document.location.partition("?")
    id_, shown = path.rpartition("/")[2], dict(part.split("=") for part in query.split("&"))
    given = await shelf.give(id_, shown)
    assert given is not None and given.size == len(content) + 3
    parts = [part async for part in given.parts]
    assert b"".join(parts) == content + b"end" and len(parts) == 3
    await shelf.remove(id_)
    assert await shelf.give(id_, shown) is None
    await shelf.close()


async def test_a_server_that_does_not_take_the_signature_is_told(address: str) -> None:
    store = S3Store(S3.model_validate(bucket(address, secret_key="wrong")))
    with pytest.raises(ConfigError, match="check the credentials") as told:
        await store.put("x", b"x")
    assert "wrong" not in str(told.value)
    await store.close()
