"""Who comes to the door, and what its rules say of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from litestar.types import HTTPScope

from lambda_kit.adapters.http.allowed_hosts import AllowedHosts
from lambda_kit.adapters.http.origins import SharedOrigins, origin_of
from lambda_kit.adapters.http.problems import Problem
from lambda_kit.adapters.http.public_place import host_of

__all__ = ["Sent", "Verdict", "foreign_host"]


class Sent(NamedTuple):
    """What of a request was sent so, whatever proxies say of it."""

    scheme: str
    host: str
    """The value of ``Host``; empty if there is none."""
    origin: bytes | None
    """The value of ``Origin``: the page, if it is one, that sends the request."""

    @classmethod
    def of(cls, fields: Mapping[bytes, Sequence[bytes]], scheme: str) -> Self:
        """What a request has in these fields; of those that were sent twice the first counts."""
        host, origin = (next(iter(fields.get(name, ())), None) for name in (b"host", b"origin"))
        return cls(scheme, "" if host is None else host.decode("latin-1"), origin)

    def own_origins(self, scope: HTTPScope) -> set[bytes]:
        """The origins under which the service is called: by whoever is connected, and by the client."""
        return {
            origin_of(self.scheme, self.host),
            origin_of(scope.get("scheme", "http"), host_of(scope["headers"])),
        }

    def is_to(self, hosts: AllowedHosts, scope: HTTPScope) -> bool:
        """Whether it is for one of these: by what proxies say, which ends in URLs, and by what no page can choose."""
        return hosts.allows(self.host) and hosts.allows(host_of(scope["headers"]))


class Verdict(NamedTuple):
    """What the rules of a path say."""

    problem: Problem | None
    """Why the request goes no further."""
    shared: SharedOrigins | None
    """Says what pages of other origins may read. None: the app has such settings of its own."""
    is_shared: bool
    """Whether the request comes from a page that may read the answer."""


def foreign_host(detail: str) -> Problem:
    """The problem of a request by a host that is none of the service's.

    Args:
        detail: What is wrong, and how it is mended.
    """
    return Problem(403, "host-not-allowed", detail)
