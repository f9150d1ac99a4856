"""`ModernClient`: sends requests of MCP 2026-07-28 by hand, so that tests see each byte of the answers."""

import contextlib
import itertools
import json
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx

__all__ = ["TASKS", "TASK_SERVICE", "ModernClient", "Refusal", "messages_of"]

TASK_SERVICE = Path(__file__).with_name("task_service.py")
"""A service with tools that take long, for its tests."""

VERSION = "2026-07-28"
TASKS = "io.modelcontextprotocol/tasks"


class Refusal(NamedTuple):
    """A JSON-RPC error, and the HTTP status it came with."""

    status: int
    code: int
    message: str
    data: Any = None


class ModernClient:
    """A client of one server.

    Args:
        url: Of the server, without ``/mcp``.
        takes_tasks: Whether it declares the extension of tasks.
        headers: Sent with each request.
    """

    def __init__(self, url: str, *, takes_tasks: bool = True, headers: Mapping[str, str] | None = None) -> None:
        self._url = f"{url}/mcp"
        self._capabilities: dict[str, Any] = {"extensions": {TASKS: {}}} if takes_tasks else {}
        self._http = httpx.Client(timeout=60.0, headers=headers or {})
        self._ids = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def result(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a request, which must have one."""
        answer = self._last(method, params)[1]
        assert "result" in answer, answer
        result = answer["result"]
        assert isinstance(result, dict)
        return result

    def refusal(self, method: str, *, without_name: bool = False, **params: Any) -> Refusal:
        """The error of a request, which must have one."""
        status, answer = self._last(method, params, without_name=without_name)
        assert "error" in answer, answer
        return Refusal(status, **answer["error"])

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The result of ``tools/call``."""
        return self.result("tools/call", name=name, arguments=arguments)

    def get(self, task_id: str) -> dict[str, Any]:
        """The result of ``tasks/get``."""
        return self.result("tasks/get", taskId=task_id)

    @contextlib.contextmanager
    def stream(self, method: str, **params: Any) -> Generator[Iterator[dict[str, Any]]]:
        """The messages of an answer, as they come. A comment is shown as ``{}``."""
        with self._http.stream("POST", self._url, **self._request(method, params)) as response:
            assert response.headers["content-type"].startswith("text/event-stream"), response.read()
            yield messages_of(response.iter_lines())

    def _last(self, method: str, params: dict[str, Any], *, without_name: bool = False) -> tuple[int, dict[str, Any]]:
        response = self._http.post(self._url, **self._request(method, params, without_name=without_name))
        if response.headers["content-type"].startswith("text/event-stream"):
            return response.status_code, [
                message for message in messages_of(iter(response.text.split("\n"))) if message
            ][-1]
        answer: dict[str, Any] = response.json()
        return response.status_code, answer

    def _request(self, method: str, params: dict[str, Any], *, without_name: bool = False) -> dict[str, Any]:
        meta = {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": self._capabilities,
        }
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": VERSION,
            "mcp-method": method,
        }
        name = params.get("name") or params.get("uri") or params.get("taskId")
        if isinstance(name, str) and not without_name:
            headers["mcp-name"] = name
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": {**params, "_meta": meta}}
        return {"json": body, "headers": headers}


def messages_of(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The JSON of each event of a stream; ``{}`` for a comment."""
    for line in lines:
        if line.startswith(":"):
            yield {}
        elif line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))
