"""Whose word about a request counts: the proxies that are trusted (docs/wire.md, Behind a proxy)."""

import functools
import ipaddress
from collections.abc import Sequence

from lambda_kit.core.errors import ConfigurationError

__all__ = ["TrustedProxies", "address_of"]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK = ("127.0.0.1", "::1")
_EVERYBODY, _UNIX = "*", "unix"
_LONGEST_ADDRESS = 64


class TrustedProxies:
    """The peers whose ``Forwarded`` and ``X-Forwarded-*`` fields are taken.

    Args:
        addresses: IP addresses, networks, ``unix`` (whoever sends through a unix socket) and ``*`` (everybody), as a
            list or comma-separated. None: 127.0.0.1, ::1 and callers in this process.

    Raises:
        ConfigurationError: if one is none of these.
    """

    def __init__(self, addresses: str | Sequence[str] | None = None) -> None:
        self._trusts_process = addresses is None
        words = _LOOPBACK if addresses is None else addresses.split(",") if isinstance(addresses, str) else addresses
        names = {word.strip() for word in words} - {""}
        self._trusts_everybody = _EVERYBODY in names
        self._trusts_unix = self._trusts_everybody or _UNIX in names
        networks = [_network(name) for name in sorted(names - {_EVERYBODY, _UNIX})]

        @functools.lru_cache(maxsize=1024)  # the same few peers send all requests
        def is_in_a_network(text: str) -> bool:
            address = ipaddress.ip_address(text)
            return any(address in network for network in networks)

        self._is_in_a_network = is_in_a_network

    def trusts(self, address: str) -> bool:
        """Whether the proxy with this IP address, as `address_of` returns it, is trusted."""
        return self._trusts_everybody or self._is_in_a_network(address)

    def trusts_peer(self, client: tuple[str, int] | None) -> bool:
        """Whether the peer of a connection is trusted.

        Args:
            client: Host and port as ASGI has them. Where there is none, the connection is a unix socket's. What is no
                address is a caller in this process. Port 0 is no peer's: an ASGI server has put the client's address
                there on the word of a proxy, which that server trusts.
        """
        if client is None or not client[0]:
            return self._trusts_unix
        address = address_of(client[0])
        if address is None:
            return self._trusts_process or self._trusts_everybody
        return client[1] == 0 or self.trusts(address)


def address_of(text: str) -> str | None:
    """The IP address in an element of ``X-Forwarded-For`` or a ``for`` of ``Forwarded``, without its port.

    None if it holds none: names that hide the address (RFC 7239, 6.3) are none.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if len(text) > _LONGEST_ADDRESS or "%" in text:  # a zone, in which anything may stand
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # a socket for both families has IPv4 peers in this form
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _network(name: str) -> _Network:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        raise ConfigurationError(
            f"trusted proxies: {name!r} is no IP address (10.0.0.5), no network (10.0.0.0/8), not 'unix' and not '*'"
        ) from None
