"""What a provider says of itself (OpenID Connect Discovery 1.0)."""

import ipaddress
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from lambda_kit.core.errors import ConfigurationError

__all__ = ["ProviderMetadata", "checked_issuer", "discovery_url", "is_loopback", "read_metadata"]

_LONGEST_ISSUER = 250
"""With it, and the longest ``sub`` there may be, the id of a principal still is one that stores keep."""


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """The part of a provider's document that is used."""

    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None


def discovery_url(issuer: str) -> str:
    """Where the provider's document is (Discovery, 4.1): a slash at the end of the issuer is taken away first."""
    return issuer.removesuffix("/") + "/.well-known/openid-configuration"


def checked_issuer(issuer: str) -> str:
    """An issuer that was set.

    Raises:
        ConfigurationError: if it can't be one: an https URL without query and fragment (Discovery, 2); http is taken
            for loopback only.
    """
    given: object = issuer
    if isinstance(given, str) and given.isascii() and given.isprintable() and 0 < len(given) <= _LONGEST_ISSUER:
        parts = _split(given)
        is_plain = not set(given) & set(" #?\"'\\<>")
        if parts is not None and is_plain and not given.endswith("//") and _is_safe(parts, may_be_loopback=True):
            return given
    raise ConfigurationError(
        f"OidcAuthenticator(issuer={issuer!r}): must be the provider's issuer, exactly as its tokens have it: an https "
        f"URL of at most {_LONGEST_ISSUER} characters without user, query and fragment (http only for loopback), such "
        "as 'https://login.example.org/realms/staff'"
    )


def is_loopback(url: str) -> bool:
    """Whether a URL is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_metadata(document: Any, issuer: str) -> ProviderMetadata:
    """Read a provider's document.

    Args:
        document: As JSON data.
        issuer: That was set.

    Raises:
        ConfigurationError: if it is of another issuer (Discovery, 4.3: the two are the same, character by character).
        ValueError: if it can't be used.
    """
    if not isinstance(document, dict) or not isinstance(says := document.get("issuer"), str):
        raise ValueError("it is no provider's document: it names no issuer")
    if says != issuer:
        slash = ": they differ in the slash at the end" if says.rstrip("/") == issuer.rstrip("/") else ""
        raise ConfigurationError(
            f"OidcAuthenticator(issuer={issuer!r}): the provider says that its issuer is {says[:_LONGEST_ISSUER]!r}"
            f"{slash}; set the issuer exactly as the provider says it"
        )
    jwks_uri = _endpoint(document, "jwks_uri", issuer)
    if jwks_uri is None:
        raise ValueError("it has no jwks_uri that is an https URL")
    return ProviderMetadata(
        jwks_uri, _endpoint(document, "authorization_endpoint", issuer), _endpoint(document, "token_endpoint", issuer)
    )


def _endpoint(document: dict[str, Any], name: str, issuer: str) -> str | None:
    """A URL in a provider's document. A provider elsewhere can't send us to ports of this machine."""
    url = document.get(name)
    if not isinstance(url, str) or not url.isprintable():
        return None
    parts = _split(url)
    return url if parts is not None and _is_safe(parts, may_be_loopback=is_loopback(issuer)) else None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # it is read only now
    except ValueError:
        return None
    return parts if parts.hostname else None


def _is_safe(parts: SplitResult, *, may_be_loopback: bool) -> bool:
    """Whether nobody on the way can put other keys in place of the provider's."""
    if parts.username is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and may_be_loopback and is_loopback(parts.geturl()))
