"""Where outgoing calls may go: every address is checked after its name is resolved, and the very address that was checked is called."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import httpcore2

from connectors.kit.contract import ConfigError

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to addresses as text. Raises `OSError` where there is no such name."""

_NAT64 = IPv6Network("64:ff9b::/96")


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, by the machine's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def reached(address: Address) -> Address:
    """The IPv4 address behind an IPv6 one that only wraps it (mapped, 6to4, Teredo, NAT64), else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


class Reach:
    """Which addresses may be called: public ones, and private ones that the configuration lists."""

    def __init__(self, private: Iterable[str], *, listed_only: bool = False) -> None:
        """`private`: addresses and networks that may be called though they are not public. `listed_only`: those alone."""
        self._listed = [ip_network(one) for one in private]
        self._listed_only = listed_only

    def allows(self, address: str) -> bool:
        """Whether this address may be called."""
        real = reached(ip_address(address.partition("%")[0]))
        if any(real in network for network in self._listed):
            return True
        return not self._listed_only and real.is_global and not real.is_multicast


class PinnedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves a name once for each connection, and connects to an address that passed the check; TLS still proves the name."""

    def __init__(self, reach: Reach, names: Resolve, refusal: str) -> None:
        """`refusal`: what to do where no address of a host may be called; `{host}` is the host."""
        self._reach = reach
        self._names = names
        self._refusal = refusal
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first allowed address that answers.

        Raises:
            ConfigError: every address of this host is one that must not be called.
        """
        try:
            async with asyncio.timeout(timeout):
                found = await self._names(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("the name was not resolved in time") from None
        except OSError:
            raise httpcore2.ConnectError("the name is not known") from None
        allowed = [address for address in found if self._reach.allows(address)]
        if not allowed:
            raise ConfigError(self._refusal.format(host=host))
        failed: Exception | None = None
        for address in allowed:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        assert failed is not None
        raise failed
