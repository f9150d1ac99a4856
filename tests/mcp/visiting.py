"""A server with MCP, and clients that call it at an address of their own choice."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from lambda_kit import LambdaTool, McpOptions, ToolServer
from tests.core.running_tools import Ask, a_server

__all__ = ["FIELDS", "HERE", "PING", "THERE", "Echo", "calling", "mcp_server", "ping"]

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
FIELDS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
HERE, THERE = "http://127.0.0.1:8090", "http://10.0.0.5:8090"
"""Where a server is reached: on a loopback connection, and on another."""


class Echo(LambdaTool):
    """Say it again"""

    async def run(self, req: Ask) -> str:
        return req.text


def mcp_server(options: McpOptions | None = None, **more: Any) -> ToolServer:
    return a_server(Echo, mcp=options or True, **more)


@asynccontextmanager
async def calling(server: ToolServer, at: str, app: Any = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose connections have the local address of a URL."""
    async with server, httpx.AsyncClient(transport=httpx.ASGITransport(app or server), base_url=at) as client:
        yield client


async def ping(client: httpx.AsyncClient, fields: Mapping[str, str], path: str = "/mcp") -> httpx.Response:
    return await client.post(path, content=PING, headers={**FIELDS, **fields})
