"""Posts messages of both eras by hand, so that tests see status and header fields."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

__all__ = [
    "ACCEPT",
    "HTTP_SERVICE",
    "INITIALIZE",
    "NEW",
    "OLD",
    "envelope",
    "error_of",
    "modern_fields",
    "post",
    "request",
]

HTTP_SERVICE = Path(__file__).with_name("http_service.py")
NEW, OLD = "2026-07-28", "2025-11-25"
ACCEPT = {"accept": "application/json, text/event-stream"}
INITIALIZE = {
    "protocolVersion": OLD,
    "capabilities": {},
    "clientInfo": {"name": "tests", "version": "1"},
}


def envelope(version: object = NEW, **capabilities: Any) -> dict[str, Any]:
    """The ``_meta`` of a request of 2026-07-28."""
    return {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }


def modern_fields(method: str, name: str | None = None, version: str = NEW) -> dict[str, str]:
    """The routing fields of a request of 2026-07-28."""
    fields = {**ACCEPT, "mcp-protocol-version": version, "mcp-method": method}
    return fields if name is None else {**fields, "mcp-name": name}


def request(method: str, params: object = None, request_id: object = 1) -> dict[str, Any]:
    """A request; without `params` it has none."""
    message = {"jsonrpc": "2.0", "id": request_id, "method": method}
    return message if params is None else {**message, "params": params}


def post(
    client: httpx.Client, message: object, fields: Mapping[str, str] | None = None, path: str = "/mcp"
) -> httpx.Response:
    """Send a message, or bytes."""
    content = message if isinstance(message, bytes) else json.dumps(message).encode()
    headers = {"content-type": "application/json", **(ACCEPT if fields is None else fields)}
    return client.post(path, content=content, headers=headers)


def error_of(response: httpx.Response) -> tuple[int, int, Any]:
    """Status, code of the JSON-RPC error, and the id that it answers."""
    message = response.json()
    assert set(message) == {"jsonrpc", "id", "error"}
    return response.status_code, message["error"]["code"], message["id"]
