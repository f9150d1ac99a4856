"""The official SDK without any framework: its low-level `Server` and its Streamable HTTP, with their defaults."""

import argparse
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from benchmarks.services.models import EchoResult, StepsRequest

_TOOL = types.Tool(
    name="echo",
    description="Echo a message; says so many times how far it is.",
    input_schema=StepsRequest.model_json_schema(),
    output_schema=EchoResult.model_json_schema(),
)


async def list_tools(
    _context: ServerRequestContext[Any], _params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    """The one tool."""
    return types.ListToolsResult(tools=[_TOOL])


async def call_tool(context: ServerRequestContext[Any], params: types.CallToolRequestParams) -> types.CallToolResult:
    """Echo a message."""
    request = StepsRequest.model_validate(params.arguments)
    for step in range(request.steps):
        await context.session.report_progress(step + 1, request.steps, "echoing")
    result = EchoResult(echo=request.message)
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=result.model_dump_json())],
        structured_content=result.model_dump(),
    )


server: Server[Any] = Server("Benchmark", on_list_tools=list_tools, on_call_tool=call_tool)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    uvicorn.run(
        server.streamable_http_app(),
        host=args.host,
        port=args.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
