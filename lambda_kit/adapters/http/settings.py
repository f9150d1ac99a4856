"""`HttpSettings`: what can be set of the HTTP side."""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from litestar.config.cors import CORSConfig
from litestar.types import Guard

from lambda_kit.adapters.http.allowed_hosts import AllowedHosts
from lambda_kit.adapters.http.limits import HttpLimits
from lambda_kit.adapters.http.mcp_door import McpDoor
from lambda_kit.adapters.http.origins import SharedOrigins
from lambda_kit.adapters.http.public_place import checked_root_path
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.jobs.access import Access
from lambda_kit.core.model.request_info import KeptFields
from lambda_kit.core.model.trusted_proxies import TrustedProxies
from lambda_kit.core.tools.options import require_number

__all__ = [
    "ALLOWED_HOSTS_VARIABLE",
    "FORWARDED_ALLOW_IPS_VARIABLE",
    "MCP_ALLOWED_HOSTS_VARIABLE",
    "MCP_ALLOWED_ORIGINS_VARIABLE",
    "ROOT_PATH_VARIABLE",
    "AroundRequest",
    "HttpSettings",
]

ALLOWED_HOSTS_VARIABLE = "LAMBDA_KIT_ALLOWED_HOSTS"
MCP_ALLOWED_HOSTS_VARIABLE = "LAMBDA_KIT_MCP_ALLOWED_HOSTS"
MCP_ALLOWED_ORIGINS_VARIABLE = "LAMBDA_KIT_MCP_ALLOWED_ORIGINS"
ROOT_PATH_VARIABLE = "LAMBDA_KIT_ROOT_PATH"
FORWARDED_ALLOW_IPS_VARIABLE = "FORWARDED_ALLOW_IPS"
"""uvicorn's and gunicorn's name for the same."""

AroundRequest = Callable[[Any, Any, Any, Any, Callable[[], str | None]], Awaitable[None]]
"""Has a request answered: gets the ASGI app, scope, receive and send, and what says the template of the request's path
once it has been answered (None: there is no such path)."""


@dataclass(kw_only=True, slots=True)
class HttpSettings:
    """What can be set of the HTTP side. It is read at each request: the command line may come after the app is made."""

    max_body_bytes: int = 16 * 1024 * 1024
    """Larger bodies are refused with 413, without reading them to the end."""

    max_upload_bytes: int = 256 * 1024 * 1024
    """Forms whose parts are larger together are refused with 413, without reading them to the end."""

    limits: HttpLimits = field(default_factory=HttpLimits)
    """What one connection may take, where the service is run from its file."""

    try_later_body: bool = False
    """Whether "try later" is always a 202 with a body, and not only where the client prefers that."""

    job_list: bool = False
    """Whether ``GET /jobs`` is served. Who knows a job's id can read its result."""

    kept_fields: KeptFields = field(default_factory=KeptFields)
    """Chooses the header fields that are kept with a job."""

    heartbeat_seconds: float = 15.0
    """After so long without an event, an event stream sends a comment that keeps proxies awake."""

    allowed_hosts: AllowedHosts | None = None
    """The hosts by which the service may be called. None: any."""

    origins: SharedOrigins | None = None
    """The origins whose pages may use the service, besides its own."""

    mcp: McpDoor = field(default_factory=McpDoor)
    """Who may come in at ``/mcp``."""

    root_path: str = ""
    """The prefix under which a proxy has the service, without a slash at its end, where it does not say so itself."""

    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    """The proxies whose word about a request is taken."""

    guards: Sequence[Guard] = ()
    """Litestar's, for all routes by which a job is made, read or cancelled."""

    access: Access | None = None
    """Who may come in. None: there is no authenticator, and who knows a job's id may read it."""

    debug: bool = False
    """Whether clients are shown tracebacks."""

    around_request: AroundRequest | None = None
    """What is around the answering of each request but the probes, such as a span. None: nothing is."""

    def __post_init__(self) -> None:
        _checked_bytes("max_body_bytes", self.max_body_bytes)
        _checked_bytes("max_upload_bytes", self.max_upload_bytes)

    def change(
        self,
        *,
        allowed_hosts: str | Sequence[str] | None = None,
        cors: CORSConfig | None = None,
        root_path: str | None = None,
        forwarded_allow_ips: str | Sequence[str] | None = None,
        max_body_bytes: int | None = None,
        max_upload_bytes: int | None = None,
        mcp_allowed_hosts: str | Sequence[str] | None = None,
        mcp_allowed_origins: str | Sequence[str] | None = None,
    ) -> None:
        """Set who may come in and how, and how much they may send. None leaves a setting as it is.

        Raises:
            ConfigurationError: if one is wrong; says how to mend it.
        """
        if allowed_hosts is not None:
            self.allowed_hosts = AllowedHosts(allowed_hosts)
        if cors is not None:
            self.origins = SharedOrigins(cors)
        self.mcp.change(hosts=mcp_allowed_hosts, origins=mcp_allowed_origins)
        if root_path is not None:
            self.root_path = checked_root_path(root_path)
        if forwarded_allow_ips is not None:
            self.proxies = TrustedProxies(forwarded_allow_ips)
        if max_body_bytes is not None:
            self.max_body_bytes = _checked_bytes("max_body_bytes", max_body_bytes)
        if max_upload_bytes is not None:
            self.max_upload_bytes = _checked_bytes("max_upload_bytes", max_upload_bytes)

    def take_environment(self) -> ConfigurationError | None:
        """Take what the environment says of these; returns what is wrong with it."""
        try:
            self.change(
                allowed_hosts=os.environ.get(ALLOWED_HOSTS_VARIABLE) or None,
                root_path=os.environ.get(ROOT_PATH_VARIABLE),
                forwarded_allow_ips=os.environ.get(FORWARDED_ALLOW_IPS_VARIABLE),
                mcp_allowed_hosts=os.environ.get(MCP_ALLOWED_HOSTS_VARIABLE) or None,
                mcp_allowed_origins=os.environ.get(MCP_ALLOWED_ORIGINS_VARIABLE) or None,
            )
        except ConfigurationError as error:
            names = (
                ALLOWED_HOSTS_VARIABLE,
                ROOT_PATH_VARIABLE,
                FORWARDED_ALLOW_IPS_VARIABLE,
                MCP_ALLOWED_HOSTS_VARIABLE,
                MCP_ALLOWED_ORIGINS_VARIABLE,
            )
            return ConfigurationError(f"{error} (in the environment: {', '.join(f'${name}' for name in names)})")
        return None


def _checked_bytes(name: str, value: int) -> int:
    require_number("ToolServer", name, value, minimum=1, whole=True, allows_none=False, error=ConfigurationError)
    return value
