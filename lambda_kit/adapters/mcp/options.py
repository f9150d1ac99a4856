"""`McpOptions`: what can be set of MCP. It is read without the packages of MCP."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.tools.options import MAX_SECONDS, require_number

__all__ = ["McpOptions"]

_ISSUER = re.compile(r"https?://[^\s?#]+")
"""RFC 8414, 2: without a query or a fragment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class McpOptions:
    """How tools are served by MCP.

    Raises:
        ConfigurationError: if a value is out of range or of the wrong type.
    """

    wait_seconds: float = 45.0
    """For how long a call waits for its result. Then a client with tasks has a task, and any other is told to ask for
    the result by the tool ``job_result``. Some clients give up after 60 s."""

    heartbeat_seconds: float = 10.0
    """After so long without progress of the tool, a client that asked for progress is told that it still runs."""

    max_result_bytes: int = 65_536
    """Larger results are a preview and a link to the whole one, which ``resources/read`` gives."""

    allowed_hosts: Sequence[str] = ()
    """The hosts by which ``/mcp`` may be called. Empty: `ToolServer(allowed_hosts=...)`; without that, on a loopback
    connection the loopback names, else any."""

    allowed_origins: Sequence[str] = ()
    """The origins whose pages may use ``/mcp``, besides the service's own, loopback ones on a loopback connection, and
    those of the CORS settings."""

    oauth_issuer: str | None = None
    """The issuer whose tokens clients are told to get. None: those of the authenticators."""

    def __post_init__(self) -> None:
        for name, least in (("wait_seconds", 0.0), ("heartbeat_seconds", 0.01)):
            require_number(
                "McpOptions",
                name,
                getattr(self, name),
                minimum=least,
                maximum=MAX_SECONDS,
                allows_none=False,
                error=ConfigurationError,
            )
        require_number(
            "McpOptions",
            "max_result_bytes",
            self.max_result_bytes,
            minimum=1024,
            whole=True,
            allows_none=False,
            error=ConfigurationError,
        )
        for name in ("allowed_hosts", "allowed_origins"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(one, str) for one in value):
                raise ConfigurationError(
                    f"McpOptions({name}={value!r}): must be a list of strings, such as [{value!r}]"
                )
        issuer: object = self.oauth_issuer
        if issuer is not None and not (isinstance(issuer, str) and _ISSUER.fullmatch(issuer)):
            raise ConfigurationError(
                f"McpOptions(oauth_issuer={issuer!r}): must be the URL of an issuer, as its tokens have it in 'iss', "
                "such as 'https://login.example.com/realms/staff', or None"
            )
