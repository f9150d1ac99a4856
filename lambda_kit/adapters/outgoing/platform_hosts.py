"""Which hosts are the platform's, and by which proxy the others are reached."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

__all__ = ["Platform", "Target", "without_credentials"]

_SUFFIXES = ("local", "minikube", "ivcap.net")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes."""

    url: str
    scheme: str
    host: str
    """In lower case, without a final dot. Empty where the URL is none that can be judged."""
    port: int | None

    @classmethod
    def of(cls, url: str, host: str | None = None) -> Self:
        """The target of a URL.

        Args:
            url: The URL.
            host: The host as the client that sends the request reads it. Where this module reads another one the host
                is unknown: a URL with two readings must not get credentials by one, and be sent by the other.
        """
        try:
            parts = urlsplit(url)
            found, port = _host_name(parts.hostname), parts.port or _PORTS.get(parts.scheme)
        except ValueError:
            return cls(url, "", "", None)
        if "\\" in url or (host is not None and _host_name(host) != found):
            found = ""
        return cls(url, parts.scheme.lower(), found, port)

    @property
    def origin(self) -> tuple[str, str, int | None]:
        """Scheme, host and port."""
        return self.scheme, self.host, self.port


@dataclass(frozen=True, slots=True)
class Platform:
    """What the environment says of the platform."""

    hosts: frozenset[str] = frozenset()
    """Beside those that end in ``.local``, ``.minikube`` or ``.ivcap.net``."""
    proxy: Target | None = None
    """What passes calls on to all other hosts. None: they are called directly."""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """As ``$IVCAP_BASE_URL``, ``$IVCAP_URL`` and ``$IVCAP_PROXY_URL`` say."""
        urls = (environment.get(name, "") for name in ("IVCAP_BASE_URL", "IVCAP_URL"))
        proxy = Target.of(environment.get("IVCAP_PROXY_URL", ""))
        return cls(
            frozenset(Target.of(url).host for url in urls) - {""},
            proxy if proxy.host and proxy.scheme in _PORTS else None,
        )

    def owns(self, target: Target) -> bool:
        """Whether a request goes to the platform, its proxy included: it may know the job and its credentials."""
        if self.proxy is not None and target.host and target.origin == self.proxy.origin:
            return True
        name = target.host
        return name in self.hosts or any(name == suffix or name.endswith(f".{suffix}") for suffix in _SUFFIXES)

    def proxy_for(self, target: Target) -> Target | None:
        """The proxy that a request has to go to instead. None: it goes where it wants to."""
        is_http = target.scheme in _PORTS
        return self.proxy if is_http and not self.owns(target) else None


def without_credentials(url: str) -> str:
    """A URL without user, password and fragment: what a proxy may see of it."""
    parts = urlsplit(url)
    return SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, "").geturl()


def _host_name(host: str | None) -> str:
    return (host or "").strip("[]").lower().removesuffix(".")
