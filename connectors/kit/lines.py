"""The lines on which outgoing calls travel: connections to addresses that were checked, TLS, and a proxy where one is named."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

import httpcore2
import httpx2

from connectors.kit.addresses import PinnedBackend
from connectors.kit.contract import ConfigError

MOST = 20
"""Connections of one line at once."""
IDLE_S = 15.0
"""An idle connection is closed after so long."""


class Line(httpx2.AsyncHTTPTransport):
    """A transport of httpx2 with connections of ours; it offers no other way to them."""

    def __init__(self, context: ssl.SSLContext, pool: httpcore2.AsyncConnectionPool) -> None:
        super().__init__(verify=context, trust_env=False)
        assert isinstance(self._pool, httpcore2.AsyncConnectionPool)
        self._pool = pool


def direct(context: ssl.SSLContext, backend: PinnedBackend) -> Line:
    """To the server itself, at an address that was checked."""
    pool = httpcore2.AsyncConnectionPool(
        ssl_context=context, network_backend=backend, max_connections=MOST, keepalive_expiry=IDLE_S
    )
    return Line(context, pool)


def through(proxy: str, login: tuple[str, str] | None, context: ssl.SSLContext) -> Line:
    """Through a proxy, as a tunnel: TLS is with the server, and the proxy reads nothing of it."""
    secure = context if proxy.startswith("https:") else None
    pool = httpcore2.AsyncHTTPProxy(
        proxy, login, ssl_context=context, proxy_ssl_context=secure, max_connections=MOST, keepalive_expiry=IDLE_S
    )
    return Line(context, pool)


def context(ca_file: Path | None, certificate: Path | None) -> ssl.SSLContext:
    """TLS by these files as they are now, or by the system's authorities: made once, since it takes long, and shared.

    Raises `ConfigError` if a file cannot be used.
    """
    return _context(ca_file, certificate, _stamp(ca_file), _stamp(certificate))


def _stamp(file: Path | None) -> tuple[int, int] | None:
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=64)
def _context(ca_file: Path | None, certificate: Path | None, *_: tuple[int, int] | None) -> ssl.SSLContext:
    try:
        made = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise ConfigError(f"{ca_file} is no readable PEM file of certificates", "ca_file") from None
    if certificate is not None:
        try:
            made.load_cert_chain(certificate)
        except (OSError, ssl.SSLError):
            mend = f"{certificate} is no readable PEM file with a certificate and its key"
            raise ConfigError(mend, "client_certificate") from None
    return made
