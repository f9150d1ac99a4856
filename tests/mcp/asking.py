"""Asks a server in this process by MCP: by hand in every version, and with the official client."""

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import methods
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from lambda_kit import ToolServer

__all__ = ["ERAS", "NEWEST", "URL", "VERSIONS", "Asker", "asking", "official_client"]

URL = "http://127.0.0.1:8090"
NEWEST = "2026-07-28"
VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", NEWEST]
ERAS = ["legacy", NEWEST]
"""The modes of the official client."""


class Asker:
    """Sends requests of one version of the protocol.

    Args:
        http: Sends them.
        version: Which.
    """

    def __init__(self, http: httpx.AsyncClient, version: str) -> None:
        self.version = version
        self._http = http
        self._ids = itertools.count(1)

    async def answer(self, method: str, headers: Mapping[str, str] | None = None, **params: Any) -> dict[str, Any]:
        """The JSON-RPC message."""
        fields = {"accept": "application/json, text/event-stream", "mcp-protocol-version": self.version}
        if self.version in MODERN_PROTOCOL_VERSIONS:
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": self.version,
                "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            }
            fields["mcp-method"] = method
            if name := params.get("name") or params.get("uri"):
                fields["mcp-name"] = name
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        response = await self._http.post("/mcp", json=body, headers={**fields, **(headers or {})})
        text = response.text
        if response.headers["content-type"].startswith("text/event-stream"):
            text = [line for line in text.split("\n") if line.startswith("data:")][-1].removeprefix("data:")
        message = json.loads(text)
        assert isinstance(message, dict)
        return message

    async def result(self, method: str, headers: Mapping[str, str] | None = None, **params: Any) -> dict[str, Any]:
        """The result. It is valid, and has no members but those of the version."""
        result = (await self.answer(method, headers, **params))["result"]
        assert methods.serialize_server_result(method, self.version, result) == result
        assert isinstance(result, dict)
        return result

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """What a call answers."""
        return await self.result("tools/call", name=tool, arguments=arguments)

    async def error(self, method: str, headers: Mapping[str, str] | None = None, **params: Any) -> dict[str, Any]:
        """The JSON-RPC error."""
        error = (await self.answer(method, headers, **params))["error"]
        assert isinstance(error, dict)
        return error


@asynccontextmanager
async def asking(server: ToolServer, version: str = NEWEST, **headers: str) -> AsyncIterator[Asker]:
    """A running server, and who asks it."""
    transport = httpx.ASGITransport(server)
    async with server, httpx.AsyncClient(transport=transport, base_url=URL, headers=headers, timeout=50) as http:
        yield Asker(http, version)


@asynccontextmanager
async def official_client(server: ToolServer, era: str) -> AsyncIterator[Client]:
    """A running server, and the official client of it. It checks each result against the tool's output schema."""
    transport = httpx2.ASGITransport(server)
    async with (
        server,
        httpx2.AsyncClient(transport=transport, base_url=URL, timeout=50) as http,
        Client(streamable_http_client(f"{URL}/mcp", http_client=http), mode=era) as client,
    ):
        yield client
