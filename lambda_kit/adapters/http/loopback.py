"""Names and addresses of the machine itself."""

import functools
import ipaddress
import re

__all__ = ["is_loopback", "is_loopback_host", "is_loopback_origin"]

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[^:\[\]/@]+))(?::[0-9]*)?", re.IGNORECASE)
_WEB = re.compile(r"https?://(?P<host>.+)", re.IGNORECASE)


@functools.lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Whether a name, or an address without brackets and port, is ``localhost``, of 127.0.0.0/8, or ::1."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name.lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


@functools.lru_cache(maxsize=256)
def is_loopback_host(host: str) -> bool:
    """Whether a value of ``Host``, with or without a port, names the machine itself."""
    found = _HOST.fullmatch(host)
    return found is not None and is_loopback(found["v6"] or found["name"])


def is_loopback_origin(origin: str) -> bool:
    """Whether a value of ``Origin`` is that of a page which the machine itself serves."""
    found = _WEB.fullmatch(origin)
    return found is not None and is_loopback_host(found["host"])
