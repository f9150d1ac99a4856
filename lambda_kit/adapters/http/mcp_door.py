"""Who may come in at ``/mcp``: MCP's rules on `Host` and `Origin`, for every method, in place of those of other routes.

A server of MCP on a laptop is called by pages of any site that the browser has open, directly or under a name that
resolves to 127.0.0.1. So without any setting, what reaches it there is for that machine (MCP, Transports, Security
Warning; docs/wire.md, MCP).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from litestar.config.cors import CORSConfig
from litestar.exceptions import NotFoundException
from litestar.types import HTTPScope
from litestar.utils import normalize_path

from lambda_kit.adapters.http.allowed_hosts import AllowedHosts
from lambda_kit.adapters.http.allowed_origins import AllowedOrigins
from lambda_kit.adapters.http.loopback import is_loopback, is_loopback_host, is_loopback_origin
from lambda_kit.adapters.http.origins import SharedOrigins
from lambda_kit.adapters.http.problems import Problem
from lambda_kit.adapters.http.public_place import own_path
from lambda_kit.adapters.http.visitors import Sent, Verdict, foreign_host

__all__ = ["MCP_PATH", "McpDoor", "ends_in_slash", "is_mcp", "mcp_path", "require_mcp_door"]

MCP_PATH: Final = "/mcp"

_PATH: Any = "lambda_kit.mcp_path"
"""In the scope of a request that has passed this door: its path within the service, as the client has written it."""

_PAGES = SharedOrigins(CORSConfig(allow_origins=[])).at_mcp
"""For origins that the settings of CORS do not name."""

_HOST_TEXT = "Host: /mcp may not be called by this name: if it is right, add it to --mcp-allowed-hosts"
_ORIGIN_TEXT = "Origin: pages of this origin may not use /mcp: if they should, add it to --mcp-allowed-origins"


@dataclass(kw_only=True, slots=True)
class McpDoor:
    """What was set of it. It is read at each request, as all of `HttpSettings`."""

    is_open: bool = False
    """Whether MCP is served."""

    hosts: AllowedHosts | None = None
    """The hosts by which ``/mcp`` may be called. None: those of all routes; if there are none, on a connection within
    the machine its own names, else any."""

    origins: AllowedOrigins | None = None
    """The origins whose pages may use it, besides its own, those within the machine where the connection is, and those
    of the settings of CORS."""

    issuer: str | None = None
    """Whose tokens clients are told to get. None: those of the authenticators' issuers."""

    tool_paths: Collection[str] = ()
    """Those of the tools, which have metadata of their own (`lambda_kit.adapters.http.resource_metadata`)."""

    def open(
        self,
        *,
        hosts: Sequence[str] | None,
        origins: Sequence[str] | None,
        issuer: str | None,
        tool_paths: Collection[str],
    ) -> None:
        """Let requests in by these rules.

        Args:
            hosts: As for `change`.
            origins: As for `change`.
            issuer: Whose tokens clients are told to get. None: leave it to the authenticators.
            tool_paths: Those of the tools.

        Raises:
            ConfigurationError: if one is wrong; says how to mend it.
        """
        self.change(hosts=hosts, origins=origins)
        self.issuer, self.tool_paths, self.is_open = issuer, tool_paths, True

    def change(self, *, hosts: str | Sequence[str] | None, origins: str | Sequence[str] | None) -> None:
        """Set who may come in. None leaves a setting as it is.

        Raises:
            ConfigurationError: if one is wrong; says how to mend it.
        """
        if hosts is not None:
            self.hosts = AllowedHosts(hosts, "mcp_allowed_hosts")
        if origins is not None:
            self.origins = AllowedOrigins(origins, "mcp_allowed_origins")

    def judge(
        self, scope: HTTPScope, sent: Sent, app: Any, *, hosts: AllowedHosts | None, cors: SharedOrigins | None
    ) -> Verdict:
        """Say whether a request may come in.

        Args:
            scope: The request's, after what proxies say was taken.
            sent: What was really sent.
            app: The Litestar app.
            hosts: Those of all routes.
            cors: Of all routes.
        """
        cast("dict[str, Any]", scope)[_PATH] = MCP_PATH + ("/" if ends_in_slash(scope) else "")
        server = scope.get("server")
        is_local = server is not None and is_loopback(str(server[0]))
        of_cors = sent.origin is not None and cors is not None and cors.allows(sent.origin)
        shared = None if app.cors_config is not None else cors.at_mcp if cors is not None and of_cors else _PAGES
        problem: Problem | None = None
        if not self._allows_host(self.hosts or hosts, scope, sent, is_local=is_local):
            problem = foreign_host(_HOST_TEXT)
        elif sent.origin is not None and (
            sent.origin == b"null"  # of any page that hides its own
            or not (of_cors or self._allows_origin(sent.origin, sent, scope, app, is_local=is_local))
        ):
            problem = Problem(403, "cross-site", _ORIGIN_TEXT)
        is_shared = sent.origin is not None and shared is not None and problem is None
        return Verdict(problem, shared, is_shared)

    def allows_host(self, scope: HTTPScope, sent: Sent) -> bool:
        """Whether a host is one of those that were set for ``/mcp``, by which its metadata is read too."""
        return self.hosts is not None and sent.is_to(self.hosts, scope)

    @staticmethod
    def _allows_host(hosts: AllowedHosts | None, scope: HTTPScope, sent: Sent, *, is_local: bool) -> bool:
        if hosts is not None:
            return sent.is_to(hosts, scope)
        # of what was sent, whatever proxies say: the page of a foreign name that resolves to 127.0.0.1 can set all else
        return not is_local or is_loopback_host(sent.host)

    def _allows_origin(self, origin: bytes, sent: Sent, scope: HTTPScope, app: Any, *, is_local: bool) -> bool:
        text = origin.decode("latin-1")
        return (
            (is_local and is_loopback_origin(text))
            or origin.lower() in sent.own_origins(scope)
            or (self.origins is not None and self.origins.allows(origin))
            or (app.cors_config is not None and app.cors_config.is_origin_allowed(text))
        )


def is_mcp(scope: HTTPScope, app: Any) -> bool:
    """Whether a request is for ``/mcp``, however many slashes it has."""
    if not scope["path"].rstrip("/").endswith(MCP_PATH):
        return False
    path = own_path(scope, app)
    return path == MCP_PATH or normalize_path(path) == MCP_PATH


def ends_in_slash(scope: HTTPScope) -> bool:
    """Whether a client has written a slash at the end of its URL's path, which Litestar takes away."""
    raw_path = scope.get("raw_path", b"").partition(b"?")[0] or scope["path"].encode()
    return raw_path.endswith(b"/")


def mcp_path(scope: HTTPScope) -> str | None:
    """The path of a request for MCP, ``/mcp`` or ``/mcp/`` as the client has written it. None: it is for another."""
    return cast("str | None", scope.get(_PATH))


def require_mcp_door(scope: HTTPScope) -> None:
    """Refuse a request that comes to MCP by a path for which other rules have let it in.

    Raises:
        NotFoundException: if it does.
    """
    if mcp_path(scope) is None:
        raise NotFoundException
