"""The flags of MCP: how it is served, and who may come in at ``/mcp`` (docs/wire.md, MCP)."""

import argparse

from lambda_kit.adapters.http.settings import MCP_ALLOWED_HOSTS_VARIABLE, MCP_ALLOWED_ORIGINS_VARIABLE
from lambda_kit.cli.served import Served
from lambda_kit.core.errors import ConfigurationError

__all__ = ["add_mcp_arguments", "set_mcp_door"]


def add_mcp_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--with-mcp",
        action="store_true",
        help="also serve the tools by MCP at /mcp, for AI agents (docs/mcp.md); needs the extra 'mcp'",
    )
    ways.add_argument(
        "--with-mcp-stdio",
        action="store_true",
        help="serve MCP on stdin and stdout, for an MCP client that starts this file, and open no port; needs the "
        "extra 'mcp'",
    )
    parser.add_argument(
        "--mcp-allowed-hosts",
        metavar="H,…",
        help="comma-separated host names under which /mcp may be called; others are refused with 403 (default: the "
        f"server's setting, else ${MCP_ALLOWED_HOSTS_VARIABLE}, else those of --allowed-hosts; without these, on a "
        "connection within this machine localhost, 127.0.0.1 and [::1], else any)",
    )
    parser.add_argument(
        "--mcp-allowed-origins",
        metavar="O,…",
        help="comma-separated origins, such as https://app.example.com, whose web pages may use /mcp, or * for all; "
        f"others are refused with 403 (default: the server's setting, else ${MCP_ALLOWED_ORIGINS_VARIABLE}, else none "
        "but the service's own, those of the CORS settings and, on a connection within this machine, its own pages)",
    )


def set_mcp_door(server: Served, args: argparse.Namespace) -> None:
    """Set who may come in, as the flags say.

    Raises:
        ConfigurationError: if one is given and MCP is not served by HTTP, or is no host or origin.
    """
    given = {"--mcp-allowed-hosts": args.mcp_allowed_hosts, "--mcp-allowed-origins": args.mcp_allowed_origins}
    is_served = args.with_mcp or server.http_settings.mcp.is_open
    for flag, value in given.items():
        if value is not None and not is_served:
            raise ConfigurationError(
                f"{flag} is for MCP over HTTP, which is not served: add --with-mcp or ToolServer(mcp=True), or leave "
                "the flag out"
            )
    server.http_settings.change(mcp_allowed_hosts=args.mcp_allowed_hosts, mcp_allowed_origins=args.mcp_allowed_origins)
