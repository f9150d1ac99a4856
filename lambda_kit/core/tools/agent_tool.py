"""A tool as AI agents are told of it: names, texts and schemas that their clients take (docs/mcp.md, Schemas)."""

from collections.abc import Collection
from typing import Any

import msgspec

from lambda_kit.core.tools.agent_schema import request_for_agents, result_for_agents
from lambda_kit.core.tools.options import ToolHints
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["AgentTool", "agent_tool"]


class AgentTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as agents are told of it, whatever the format."""

    name: str
    title: str | None = None
    """The first line of the docstring."""
    description: str
    """The rest of it. Never empty."""
    input_schema: dict[str, Any]
    """Its root is an object."""
    output_schema: dict[str, Any] | None = None
    """Its root is an object. None: results have no structure, as texts and files have none."""
    wraps_request: bool = False
    """Whether the request is the member ``request`` of what agents send, since it is no object by itself."""
    wraps_result: bool = False
    """Whether the result is the member ``result`` of what agents get."""
    hints: ToolHints = ToolHints()


def agent_tool(tool: BoundTool, *, opaque: Collection[type] = ()) -> AgentTool:
    """Describe a tool for agents.

    Args:
        tool: The tool.
        opaque: Classes of results that are not described, since an adapter passes them on as they are.
    """
    title, description = _texts(tool)
    request = request_for_agents(tool.signature.request_type)
    result = result_for_agents(tool.signature.result_type, opaque)
    return AgentTool(
        name=tool.name,
        title=title,
        description=description,
        input_schema=request.schema,
        output_schema=None if result is None else result.schema,
        wraps_request=request.is_wrapped,
        wraps_result=result is not None and result.is_wrapped,
        hints=tool.options.hints or ToolHints(),
    )


def _texts(tool: BoundTool) -> tuple[str | None, str]:
    """The title and the description."""
    text = (tool.doc or "").strip()
    first, _, rest = text.partition("\n")
    title = first.strip() or tool.options.name
    if rest.partition("\n")[0].strip():  # the first line is no sentence of its own
        return title, text
    return title, rest.strip() or text or tool.label
