"""`Catalog`: the tools as MCP clients are told of them (MCP, Tools)."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, get_args

from mcp_types import CallToolResult

from lambda_kit.adapters.mcp.output_check import OutputCheck
from lambda_kit.adapters.mcp.versions import has_hints, has_structure, has_titles
from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.tools.agent_rules import Finding, Severity, findings, instructions_finding
from lambda_kit.core.tools.agent_tool import AgentTool, agent_tool
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["Catalog", "CatalogTool", "Scopes", "as_listed", "catalog_findings", "catalog_tools"]

logger = logging.getLogger("lambda_kit.mcp")

_HINTS = {
    "readOnlyHint": "read_only",
    "destructiveHint": "destructive",
    "idempotentHint": "idempotent",
    "openWorldHint": "open_world",
}


Scopes: TypeAlias = tuple[str, ...]


class CatalogTool(NamedTuple):
    """A tool that is served by MCP."""

    bound: BoundTool
    agent: AgentTool
    output: OutputCheck | None
    """Of its results. None: they have no output schema."""
    makes_call_results: bool
    """Whether it may return a `CallToolResult`, which is passed on as it is."""


class Catalog:
    """The tools that are served by MCP, in a stable order.

    Args:
        tools: All tools of the server. Those with ``ToolOptions(mcp=False)`` are left out.
        built_in: Tools of MCP's own, listed after them.
        instructions: What the service tells agents of its tools together.

    Raises:
        ToolDefinitionError: if a tool breaks a rule by which clients would refuse it; names class, field and remedy.
    """

    def __init__(
        self, tools: Iterable[BoundTool], built_in: Sequence[AgentTool] = (), instructions: str | None = None
    ) -> None:
        self.tools: Mapping[str, CatalogTool] = {tool.agent.name: tool for tool in catalog_tools(tools)}
        """By name."""
        self.built_in = built_in
        self.scopes: frozenset[Scopes] = frozenset(
            tuple(tool.bound.options.scopes) for tool in self.tools.values() if tool.bound.options.scopes
        )
        """The scopes that tools want, each tool's together."""
        found = catalog_findings(self.tools.values(), built_in, instructions)
        errors = [finding.text for finding in found if finding.severity is Severity.ERROR]
        if errors:
            raise ToolDefinitionError("\n".join(errors))
        for finding in found:
            logger.warning("as agents see it: %s", finding.text)

    def scopes_lacking(self, principal: Principal | None) -> frozenset[Scopes]:
        """The scopes of tools, each tool's together, of which a principal lacks one. None: who may run all."""
        if principal is None or not self.scopes:
            return frozenset()
        return frozenset(scopes for scopes in self.scopes if principal.lacks(scopes))

    def listed(self, lacking: frozenset[Scopes], *, has_tasks: bool) -> list[AgentTool]:
        """The tools that can be run.

        Args:
            lacking: Those with these scopes can't.
            has_tasks: Whether those can that are answered by a task only.
        """
        own = (
            tool.agent
            for tool in self.tools.values()
            if tuple(tool.bound.options.scopes) not in lacking and (has_tasks or tool.bound.options.mcp != "as-task")
        )
        return [*own, *self.built_in]


def catalog_tools(tools: Iterable[BoundTool]) -> list[CatalogTool]:
    """Those of a server's tools that are served by MCP."""
    return [_catalog_tool(tool) for tool in tools if tool.options.mcp]


def _catalog_tool(tool: BoundTool) -> CatalogTool:
    agent = agent_tool(tool, opaque=(CallToolResult,))
    schema = agent.output_schema
    output = None if schema is None else OutputCheck(agent.name, schema)
    return CatalogTool(tool, agent, output, _has_call_result(tool.signature.result_type))


def _has_call_result(annotation: Any) -> bool:
    """Whether it is a `CallToolResult`, annotated or one of several types."""
    if isinstance(annotation, type) and issubclass(annotation, CallToolResult):
        return True
    return any(_has_call_result(argument) for argument in get_args(annotation))


def catalog_findings(
    tools: Iterable[CatalogTool], built_in: Sequence[AgentTool], instructions: str | None
) -> list[Finding]:
    """The rules that are broken by the service, and by its tools, tool by tool."""
    of_service = instructions_finding(instructions)
    reserved = {tool.name for tool in built_in}
    of_tools = (finding for tool in tools for finding in findings(tool.bound, tool.agent, reserved=reserved))
    return [*of_tools] if of_service is None else [of_service, *of_tools]


def as_listed(tool: AgentTool, version: str) -> dict[str, Any]:
    """A tool in the answer to ``tools/list``, with what a version of the protocol knows."""
    shown: dict[str, Any] = {"name": tool.name}
    hints = {key: value for key, name in _HINTS.items() if (value := getattr(tool.hints, name)) is not None}
    if has_titles(version):
        shown |= {} if tool.title is None else {"title": tool.title}
    elif tool.title is not None:
        hints["title"] = tool.title
    shown |= {"description": tool.description, "inputSchema": tool.input_schema}
    if tool.output_schema is not None and has_structure(version):
        shown["outputSchema"] = tool.output_schema
    if hints and has_hints(version):
        shown["annotations"] = hints
    return shown
