"""Serving the decorated functions by MCP."""

import importlib.util
import sys
from typing import Any

from lambda_kit.compat import fast_app
from lambda_kit.compat.function_server import MCP_PATH, MCP_SECONDS, FunctionServer
from lambda_kit.core.errors import ConfigurationError, MissingExtraError
from lambda_kit.core.service_info import Service

__all__ = ["MCP_CALL_TIMEOUT", "register_mcp", "run_mcp_stdio"]

MCP_CALL_TIMEOUT = MCP_SECONDS
"""How many seconds a call waits for its result. May be set before the server is made. A job that takes longer goes on,
and the client is told how to get its result."""


def register_mcp(app: Any, path_prefix: str = MCP_PATH) -> None:
    """Serve the functions by MCP over HTTP, as ``--with-mcp`` does.

    The original returns the SDK's server. Here there is none: tests use a client over HTTP.

    Args:
        app: That of `get_fast_app`, or an app of the service's own that has tools.
        path_prefix: Must be ``/mcp``.

    Raises:
        ConfigurationError: if it is another path, or the packages of MCP are not installed.
        TypeError: if it is no FastAPI app.
    """
    if path_prefix.rstrip("/") != MCP_PATH:
        raise ConfigurationError(
            f"register_mcp(..., {path_prefix!r}): MCP is always served at {MCP_PATH}: leave it out"
        )
    if importlib.util.find_spec("mcp_types") is None:
        raise MissingExtraError(f"MCP at {MCP_PATH}", "mcp")
    fast_app.serve_mcp(app)


def run_mcp_stdio(name: str, version: str = "") -> None:
    """Serve the functions by MCP on stdin and stdout until the client leaves, or a signal comes.

    Args:
        name: Of the service, for the client.
        version: The same.

    Raises:
        ToolDefinitionError: if there is no function, or one can't be served.
        SystemExit: if that can't be done. The reason is on stderr.
    """
    service = Service(name=name, version=version or None, contact={"name": name, "email": "unknown"})
    main = sys.modules.get("__main__")
    server = FunctionServer(service, fast_app.tools_of(None), fast_app.made_app(), getattr(main, "__file__", None))
    try:
        server.serve(["--with-mcp-stdio"])
    except SystemExit as end:
        if end.code:
            raise
