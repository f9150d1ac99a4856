"""The URL under which the outside world sees this service, from what proxies say (docs/wire.md, GET {path}).

These headers can be written by anyone. What is taken from them ends in a URL that agents follow, so only what
looks like a scheme, a host and a path is taken; anything else counts as not said.
"""

import re
from collections.abc import Iterable

__all__ = ["parse_forwarded", "public_prefix"]

_OWS = " \t"
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SCHEME = re.compile(r"https?", re.IGNORECASE)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&()*+=:@%-]++)++/?")
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # noqa: S105 - RFC 9110's token
# more lenient than RFC 7239 section 4 where proxies are: white space around ";", and ":" in unquoted values
_PAIR = re.compile(rf'({_TOKEN})=("(?:[^"\\]|\\.)*+"|[^\s",;]*+)')
_NEXT = re.compile(r"[ \t]*+;[ \t;]*+")
_END = re.compile(r"[ \t]*+(?:,|\Z)")


def parse_forwarded(values: list[str]) -> dict[str, str]:
    """The parameters in the first element of all `Forwarded` headers, by names in lower case (RFC 7239).

    The first element is what the proxy nearest to the client said. Empty if there is none or it is malformed:
    a proxy's fault shall not fail the request.
    """
    value = next((text for text in (value.lstrip(" \t,;") for value in values) if text), "")
    parameters: dict[str, str] = {}
    position = 0
    while pair := _PAIR.match(value, position):
        name, word = pair[1].lower(), pair[2]
        if name in parameters:
            return {}
        parameters[name] = re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word
        separator = _NEXT.match(value, pair.end())
        position = separator.end() if separator else pair.end()
        if _END.match(value, position):
            return parameters
        if separator is None:
            break
    return {}


def public_prefix(raw: Iterable[tuple[bytes, bytes]], scheme: str, host: str, root_path: str = "") -> str:
    """What to put before a path of this service to get the URL that the client can use.

    Scheme and host come from `Forwarded`, else from `X-Forwarded-Proto` and `X-Forwarded-Host`, else from the
    request; the path in front from `X-Forwarded-Prefix`, else from the request. What does not look right is
    passed over.

    Args:
        raw: The request's headers.
        scheme: The request's own, ``http`` or ``https``.
        host: The request's own `Host`, with the port if there is one. If it is dangerous too, the result has
            no scheme and no host.
        root_path: The path under which the app is mounted, as ASGI has it.

    Returns:
        For example ``https://api.example.com/tools``: without a slash at its end.
    """
    headers = list(raw)
    forwarded = parse_forwarded(_values(headers, b"forwarded"))
    proto = _first(_SCHEME, forwarded.get("proto"), _listed(headers, b"x-forwarded-proto"), scheme, "http")
    authority = _first(_HOST, forwarded.get("host"), _listed(headers, b"x-forwarded-host"), host)
    prefix = _listed(headers, b"x-forwarded-prefix")
    path = root_path if prefix is None or (prefix != "/" and not _PREFIX.fullmatch(prefix)) else prefix
    return (f"{proto.lower()}://{authority}" if authority else "") + path.rstrip("/")


def _values(raw: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1").strip(_OWS) for key, value in raw if key == name]


def _listed(raw: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The first of the values that proxies appended to an `X-Forwarded-*` header."""
    values = _values(raw, name)
    return ", ".join(values).partition(",")[0].strip(_OWS) if values else None


def _first(pattern: re.Pattern[str], *candidates: str | None) -> str:
    return next((text for text in candidates if text and pattern.fullmatch(text)), "")
