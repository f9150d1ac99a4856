"""What trusted proxies say of a request: the URL and the address by which its client is there (docs/wire.md).

What is taken ends in URLs that clients follow, so only what looks like a scheme, a host, a path and an address is
taken; anything else counts as not said.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from lambda_kit.core.model.http_syntax import TOKEN
from lambda_kit.core.model.trusted_proxies import TrustedProxies, address_of

__all__ = ["FORWARDING_FIELDS", "Said", "is_host", "is_prefix", "joined_prefix", "parse_forwarded", "said_by_proxies"]

FORWARDING_FIELDS = frozenset(
    b"forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-prefix".split()
)
"""The header fields by which proxies tell of the request that they received."""

_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SCHEME = re.compile(r"https?", re.IGNORECASE)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&()*+=:@%-]++)++/?")
# more lenient than RFC 7239 section 4 where proxies are: white space around ";", and ":" in unquoted values
_PAIR = re.compile(rf'({TOKEN})=("(?:[^"\\]|\\.)*+"|[^\s",;]*+)')
_NEXT = re.compile(r"[ \t]*+;[ \t;]*+")
_END = re.compile(r"[ \t]*+(?:,|\Z)")
_START = re.compile(r"[ \t,;]*+")


class Said(NamedTuple):
    """What proxies said of a request; None: nothing that could be taken."""

    scheme: str | None = None
    """``http`` or ``https``."""
    host: str | None = None
    """Name or address, with the port where it was given."""
    prefix: str | None = None
    """The path in front of the service's own, without a slash at its end; empty if a proxy said that there is none."""
    client: str | None = None
    """The client's IP address: the right-most one that is not a trusted proxy's."""


def said_by_proxies(fields: Mapping[bytes, Sequence[bytes]], proxies: TrustedProxies) -> Said:
    """What the outermost trusted proxy said of a request whose peer is trusted.

    Each proxy adds an element to the right: `Forwarded` and `X-Forwarded-For` are read from there, for as long as who
    is named is trusted as well. What stands further to the left may be written by anybody. Of the other fields, that
    element counts which the same proxy added: where there are fewer, the left-most.

    Args:
        fields: The values of the header fields, by names in lower case.
        proxies: Who is trusted.
    """
    element, client = _outermost(parse_forwarded(_values(fields, b"forwarded")), proxies)
    depth, by_address = _depth(_listed(fields, b"x-forwarded-for"), proxies)
    prefix = _at(_listed(fields, b"x-forwarded-prefix"), depth)
    scheme = _first(_SCHEME, element.get("proto"), _at(_listed(fields, b"x-forwarded-proto"), depth))
    return Said(
        scheme=None if scheme is None else scheme.lower(),
        host=_first(_HOST, element.get("host"), _at(_listed(fields, b"x-forwarded-host"), depth)),
        prefix=prefix.rstrip("/") if prefix is not None and is_prefix(prefix) else None,
        client=client or by_address,
    )


def is_host(text: str) -> bool:
    """Whether it is a name or an address, with or without a port, that can stand in a URL."""
    return _HOST.fullmatch(text) is not None


def is_prefix(path: str) -> bool:
    """Whether it can stand before the paths of a service, ``/`` for nothing included; "." and ".." lead elsewhere."""
    if path == "/" or _PREFIX.fullmatch(path) is None:
        return path == "/"
    return {".", ".."}.isdisjoint(unquote(path).split("/"))


def joined_prefix(outside: str, inside: str) -> str:
    """One prefix of what is said by proxies, or set, and where the app is mounted: what both know counts once.

    Args:
        outside: What stands before the paths of the app in which this one may be mounted.
        inside: The ``root_path`` of ASGI.
    """
    if inside == outside or inside.startswith(f"{outside}/"):
        return inside
    return outside if outside.endswith(inside) else outside + inside


def parse_forwarded(values: Sequence[str]) -> list[dict[str, str]]:
    """The elements of all `Forwarded` headers, each its parameters by names in lower case (RFC 7239).

    Empty if there is none or they are malformed: a proxy's fault shall not fail the request.
    """
    value = ", ".join(values)
    elements: list[dict[str, str]] = []
    position = _end_of(_START, value, 0)
    while position < len(value):
        parameters: dict[str, str] = {}
        while pair := _PAIR.match(value, position):
            name, word = pair[1].lower(), pair[2]
            if name in parameters:
                return []
            parameters[name] = re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word
            position = pair.end()
            separator = _NEXT.match(value, position)
            if separator is None:
                break
            position = separator.end()
        end = _END.match(value, position)
        if end is None or not parameters:
            return []
        elements.append(parameters)
        position = _end_of(_START, value, end.end())
    return elements


def _end_of(pattern: re.Pattern[str], value: str, position: int) -> int:
    found = pattern.match(value, position)
    return position if found is None else found.end()


def _outermost(elements: list[dict[str, str]], proxies: TrustedProxies) -> tuple[dict[str, str], str | None]:
    """The element which the outermost trusted proxy added, and the client's address."""
    chosen: dict[str, str] = {}
    client = None
    for chosen in reversed(elements):
        address = address_of(chosen.get("for", ""))
        client = address or client
        if address is None or not proxies.trusts(address):
            break
    return chosen, client


def _depth(addresses: list[str], proxies: TrustedProxies) -> tuple[int, str | None]:
    """As how many-th from the right the outermost trusted proxy added its elements, and the client's address."""
    client = None
    depth = 0
    for text in reversed(addresses):
        depth += 1
        address = address_of(text)
        client = address or client
        if address is None or not proxies.trusts(address):
            break
    return max(1, depth), client


def _values(fields: Mapping[bytes, Sequence[bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for value in fields.get(name, ())]


def _listed(fields: Mapping[bytes, Sequence[bytes]], name: bytes) -> list[str]:
    """The values that proxies appended to an `X-Forwarded-*` header."""
    return [part.strip() for value in _values(fields, name) for part in value.split(",")]


def _at(values: list[str], depth: int) -> str | None:
    return values[-min(depth, len(values))] if values else None


def _first(pattern: re.Pattern[str], *candidates: str | None) -> str | None:
    return next((text for text in candidates if text and pattern.fullmatch(text)), None)
