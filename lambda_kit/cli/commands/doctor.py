"""``lambda-kit doctor --mcp MODULE:SERVER``: what MCP clients see of a server's tools, and which rules these break."""

import argparse
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from lambda_kit.adapters.mcp.options import McpOptions
from lambda_kit.cli.mcp_extra import needs_mcp
from lambda_kit.cli.served import Served
from lambda_kit.cli.server_of_module import server_of
from lambda_kit.core.tools.agent_rules import Finding, Severity
from lambda_kit.core.tools.agent_tool import AgentTool

if TYPE_CHECKING:
    from lambda_kit.adapters.mcp.catalog import CatalogTool

__all__ = ["add_arguments", "run"]

_OK, _FAILED = 0, 1
_WIDTH = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--mcp",
        metavar="MODULE:SERVER",
        required=True,
        help="the server, as my_service:server or my_service.py:server; the file is imported, and nothing is started",
    )


def run(args: argparse.Namespace) -> int:
    """Print each tool as a client sees it, with the rules that it breaks.

    Returns:
        0, or 1 if a rule is broken without which the tools can't be served by MCP.

    Raises:
        MissingExtraError: if the packages of MCP are not installed.
        LambdaKitError: if the server can't be found or imported.
    """
    server = server_of(args.mcp)
    with needs_mcp("'lambda-kit doctor --mcp'"):
        from lambda_kit.adapters.mcp.built_in_tools import built_in_tools  # noqa: PLC0415 - an extra
        from lambda_kit.adapters.mcp.catalog import catalog_findings, catalog_tools  # noqa: PLC0415
    tools, built_in = catalog_tools(server.tools.values()), built_in_tools(McpOptions())
    found = catalog_findings(tools, built_in, getattr(server.service, "instructions", None))
    print("\n".join(_report(server, tools, built_in, found)))
    return _FAILED if any(finding.severity is Severity.ERROR for finding in found) else _OK


def _report(
    server: Served, tools: Sequence["CatalogTool"], built_in: Sequence[AgentTool], found: Sequence[Finding]
) -> list[str]:
    lines = [f"{server.service.name}: {_count(len(tools), 'tool')} for MCP clients, and {len(built_in)} of MCP's own"]
    instructions: str | None = getattr(server.service, "instructions", None)
    lines += [f"instructions: {_count(len(instructions), 'character')}"] if instructions else []
    lines += _finding_lines(found, None)
    for tool in tools:
        lines += ["", *_tool_lines(tool.agent), *_finding_lines(found, tool.agent.name)]
    for agent in built_in:
        lines += ["", *_tool_lines(agent)]
    left_out = [name for name in server.tools if name not in {tool.agent.name for tool in tools}]
    lines += ["", f"left out by ToolOptions(mcp=False): {', '.join(left_out)}"] if left_out else []
    counts = [_count(sum(finding.severity is severity for finding in found), severity.value) for severity in Severity]
    return [*lines, "", ", ".join(counts)]


def _tool_lines(tool: AgentTool) -> list[str]:
    output = "none" if tool.output_schema is None else _size(tool.output_schema)
    text = [line for paragraph in tool.description.splitlines() for line in _wrapped(paragraph)]
    sizes = f"{_count(len(tool.description), 'character')}; input schema {_size(tool.input_schema)}, output {output}"
    return [f"{tool.name}: {tool.title}" if tool.title else tool.name, *text, f"    ({sizes})"]


def _finding_lines(found: Sequence[Finding], tool: str | None) -> list[str]:
    texts = [f"{one.severity.value} [{one.rule}] {one.text}" for one in found if one.tool == tool]
    return [line for text in texts for line in _wrapped(text)]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False)


def _size(schema: object) -> str:
    return _count(len(msgspec.json.encode(schema)), "byte")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
