"""Load on an HTTP server: connections that each ask again as soon as they are answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from deploy.bench import bed
from deploy.errors import DeployError

Make = Callable[[int], bytes]
"""The request of a number, as it goes over the wire."""


def request(method: str, address: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request of HTTP/1.1 on a connection that stays open."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(address).netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def measured(address: str, make: Make, connections: int, seconds: float) -> dict[str, Any]:
    """Requests per second and how long they take. An answer that tells of a failure ends the measurement."""
    times: list[float] = []
    numbers = iter(range(1_000_000_000))
    begun = time.perf_counter()
    end = begun + seconds
    await asyncio.gather(*(_connection(address, make, numbers, end, times) for _ in range(connections)))
    spent = time.perf_counter() - begun
    return {"requests_per_second": round(len(times) / spent), **bed.spread(times)}


async def _connection(address: str, make: Make, numbers: Any, end: float, times: list[float]) -> None:
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        while (begun := time.perf_counter()) < end:
            writer.write(make(next(numbers)))
            head = await reader.readuntil(b"\r\n\r\n")
            status, size = int(head[9:12]), _length(head)
            await reader.readexactly(size)
            if status >= 400:
                raise DeployError(f"the server answered {status}: see its log")
            times.append(time.perf_counter() - begun)
    finally:
        writer.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":", 1)[1])
    return 0
