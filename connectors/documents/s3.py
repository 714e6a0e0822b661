"""A bucket of an S3-compatible server. Requests are signed by AWS Signature Version 4, and read in parts, so that none is held whole."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from pydantic import Field

from connectors.documents.stores import CHUNK
from connectors.kit.contract import ConfigError, ConnectorConfig, Rejected
from connectors.kit.outgoing import Answer, Client, Outgoing
from connectors.kit.secret import Secret


class S3(ConnectorConfig):
    """A bucket."""

    endpoint: str = Field(pattern=r"^https?://[^\s/?#]+$")
    """Address of the server: `https://s3.fournisseur.fr`."""
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    """Name of the bucket. It has to be there."""
    region: str = "us-east-1"
    """Region, as the provider tells it."""
    prefix: str = Field("", pattern=r"^[A-Za-z0-9/_-]*$")
    """What stands before every name in the bucket: `relais/`."""
    access_key: str = Field(min_length=1)
    """Access key."""
    secret_key: Secret
    """Secret key, best by file: `{file: /run/secrets/s3}`."""
    outgoing: Outgoing = Outgoing()
    """How calls go out: `{private: [10.1.2.3]}` for a server of one's own network."""


class S3Store:
    """A bucket; addressed by path, as every compatible server understands."""

    def __init__(self, config: S3) -> None:
        self._config = config
        self._client = Client(config.outgoing)

    async def put(self, name: str, content: bytes) -> None:
        """PUT; the server checks the digest that is signed."""
        (await self._request("PUT", name, content)).good(self._config.endpoint)

    async def size(self, name: str) -> int | None:
        """HEAD."""
        answer = await self._request("HEAD", name)
        if answer.status == 404:
            return None
        return int(answer.good(self._config.endpoint).headers.get("content-length", "0"))

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """GET by ranges."""
        left, start = await self.size(name) or 0, 0
        while left:
            end = start + min(left, CHUNK) - 1
            answer = (await self._request("GET", name, span=(start, end))).good(self._config.endpoint)
            if len(answer.body) != end - start + 1:
                raise Rejected(f"{self._config.endpoint} does not answer with the part that was asked for")
            yield answer.body
            left, start = left - len(answer.body), end + 1

    async def remove(self, name: str) -> None:
        """DELETE."""
        answer = await self._request("DELETE", name)
        if answer.status != 404:
            answer.good(self._config.endpoint)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _request(
        self, method: str, name: str, content: bytes = b"", span: tuple[int, int] | None = None
    ) -> Answer:
        path = "/" + "/".join(
            quote(part, safe="-_.~") for part in f"{self._config.bucket}/{self._config.prefix}{name}".split("/")
        )
        try:
            secret = self._config.secret_key.get()
        except ValueError as error:
            raise ConfigError(str(error), "secret_key") from None
        headers = signed(
            method, urlsplit(self._config.endpoint).netloc, path, content, datetime.now(UTC), self._config.region,
            self._config.access_key, secret,
        )  # fmt: skip
        if span is not None:
            headers["range"] = f"bytes={span[0]}-{span[1]}"
        headers["accept-encoding"] = "identity"
        return await self._client.request(
            method, self._config.endpoint + path, headers=headers, content=content or None
        )


def signed(
    method: str, host: str, path: str, content: bytes, at: datetime, region: str, access_key: str, secret_key: str
) -> dict[str, str]:
    """The headers that sign a request without a query (AWS Signature Version 4, "Authenticating Requests: Authorization Header")."""
    digest, instant = hashlib.sha256(content).hexdigest(), at.strftime("%Y%m%dT%H%M%SZ")
    said = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": instant}
    names = ";".join(said)
    request = "\n".join((method, path, "", *(f"{n}:{v}" for n, v in said.items()), "", names, digest))
    scope = f"{instant[:8]}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", instant, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**said, "authorization": authorization}
