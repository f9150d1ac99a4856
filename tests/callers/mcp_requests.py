"""Requests of MCP clients, in both eras, by hand."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

__all__ = ["NEWEST", "SESSION", "VERSION", "answer_of", "asked", "call"]

VERSION, NEWEST = "2025-11-25", "2026-07-28"
SESSION = "6f1c1a52-7d0e-4c9b-9a43-0d6a2f6f2b11"
"""One that looks as if the server had given it out, and that all may know."""


def message(method: str, params: Mapping[str, Any], request_id: Any, version: str) -> dict[str, Any]:
    """A JSON-RPC message; a notification where there is no id."""
    if version == NEWEST:
        about = {
            "io.modelcontextprotocol/protocolVersion": NEWEST,
            "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
        }
        params = {**params, "_meta": {**params.get("_meta", {}), **about}}
    sent = {"jsonrpc": "2.0", "method": method, "params": params}
    return sent if request_id is None else {**sent, "id": request_id}


def fields_of(method: str, params: Mapping[str, Any], version: str, session: str | None) -> dict[str, str]:
    """The header fields of a request."""
    fields = {"accept": "application/json, text/event-stream", "mcp-protocol-version": version}
    if version == NEWEST:
        name = params.get("name") or params.get("uri") or params.get("taskId")
        return {**fields, "mcp-method": method, **({"mcp-name": name} if name else {})}
    return fields if session is None else {**fields, "mcp-session-id": session}


def asked(
    client: httpx.Client,
    sender: Mapping[str, str],
    method: str,
    params: Mapping[str, Any],
    *,
    version: str = VERSION,
    session: str | None = SESSION,
    request_id: Any = 1,
) -> httpx.Response:
    """Send a request, or a notification where `request_id` is None; the header fields of the sender say who it is."""
    fields = {**sender, **fields_of(method, params, version, session)}
    return client.post("/mcp", json=message(method, params, request_id, version), headers=fields)


def call(
    client: httpx.Client, sender: Mapping[str, str], tool: str, arguments: Any = None, *, meta: Any = None, **more: Any
) -> httpx.Response:
    """Call a tool."""
    params = {"name": tool, "arguments": arguments or {}, **({} if meta is None else {"_meta": meta})}
    return asked(client, sender, "tools/call", params, **more)


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """The JSON-RPC response of an answer, which may be a stream of events."""
    text = response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        text = [line for line in text.split("\n") if line.startswith("data: {")][-1].removeprefix("data: ")
    answer = json.loads(text)
    assert isinstance(answer, dict)
    return answer
