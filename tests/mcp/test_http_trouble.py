"""What goes wrong inside or on the way: errors, clients that do not read, requests that are cut (docs/wire.md, MCP)."""

import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lambda_kit import JobContext, LambdaTool, ToolServer
from lambda_kit.adapters.mcp.messages import McpError
from tests.core.running_tools import Ask, a_server
from tests.mcp.http_client import ACCEPT, HTTP_SERVICE, envelope, modern_fields, request
from tests.support.service_process import ServiceProcess

LOCAL = "http://127.0.0.1:8090"
SECRET = "the password is swordfish"


class Chatty(LambdaTool):
    """Tell of much progress, until the test ends it"""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.door = asyncio.Event()

    async def run(self, req: Ask, ctx: JobContext) -> str:
        ctx.progress(1, 2, req.text)
        self.begun.set()
        await self.door.wait()
        return req.text


class Crash:
    """In place of a handler: fails as code with a mistake does."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def __call__(self, *_: object) -> bytes:
        raise self.error


def crashing(error: Exception, **options: Any) -> ToolServer:
    server = a_server(Chatty, mcp=True, **options)
    server.add_mcp()._handlers["tools/list"] = Crash(error)  # type: ignore[index]
    return server


@pytest.mark.parametrize("middleware", [[], [lambda app: app]], ids=["beside Litestar", "through Litestar"])
async def test_a_mistake_inside_is_logged_and_its_text_is_for_nobody_else(
    middleware: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    server = crashing(RuntimeError(SECRET), middleware=middleware, debug=True)
    async with server, httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url=LOCAL) as http:
        for fields, params in ((ACCEPT, {}), (modern_fields("tools/list"), {"_meta": envelope()})):
            caplog.clear()
            answer = await http.post("/mcp", json=request("tools/list", params), headers=fields)
            assert answer.status_code == 200
            assert answer.json() == {"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "internal error"}}
            [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
            assert record.exc_info is not None
            assert SECRET in str(record.exc_info[1])


async def test_errors_of_the_protocol_have_their_status_in_2026_and_200_before() -> None:
    server = crashing(McpError(-32021, "tasks are needed", {"x": 1}))
    async with server, httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url=LOCAL) as http:
        for status, fields, params in (
            (200, ACCEPT, {}),
            (400, modern_fields("tools/list"), {"_meta": envelope()}),
        ):
            answer = await http.post("/mcp", json=request("tools/list", params), headers=fields)
            assert answer.status_code == status
            assert answer.json()["error"] == {"code": -32021, "message": "tasks are needed", "data": {"x": 1}}


def scope_of(fields: dict[str, str]) -> dict[str, Any]:
    headers = {"host": "127.0.0.1:8090", "content-type": "application/json", **fields}
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/mcp", "raw_path": b"/mcp", "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8090), "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip


class Connection:
    """An ASGI server's side of one request, whose client sends all at once and stays."""

    def __init__(self, message: object) -> None:
        self.has_progress = asyncio.Event()
        self.left = asyncio.Event()
        self._body: bytes | None = json.dumps(message).encode()

    async def receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if b"notifications/progress" in message.get("body", b""):
            self.has_progress.set()


@pytest.mark.parametrize("ends_by", ["cancel", "leaving"])
@pytest.mark.parametrize("is_modern", [True, False])
async def test_a_request_that_is_cut_leaves_no_task_behind(ends_by: str, is_modern: bool) -> None:
    tool = Chatty()
    server = a_server(tool, mcp=True)
    fields = modern_fields("tools/call", "chatty") if is_modern else ACCEPT
    meta = {"progressToken": 1, **(envelope() if is_modern else {})}
    async with server:
        app: Any = server.app
        before = asyncio.all_tasks()
        connection = Connection(request("tools/call", {"name": "chatty", "arguments": {"text": "x"}, "_meta": meta}))
        answering = asyncio.create_task(app(scope_of(fields), connection.receive, connection.send))
        async with asyncio.timeout(60):
            await tool.begun.wait()
            await connection.has_progress.wait()
            if ends_by == "cancel":
                answering.cancel()
            else:
                connection.left.set()
            await asyncio.wait([answering])
            tool.door.set()
            while left := asyncio.all_tasks() - before - {answering}:
                await asyncio.wait(left, timeout=0.1)


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceProcess]:
    with ServiceProcess(HTTP_SERVICE, ["--with-mcp"]) as process:
        yield process


def test_a_client_that_does_not_read_holds_nobody_up(service: ServiceProcess) -> None:
    text = "x" * 2_000_000
    body = json.dumps(request("tools/call", {"name": "echo", "arguments": {"text": text}})).encode()
    fields = f"host: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    head = f"POST /mcp HTTP/1.1\r\n{fields}\r\n"
    lazy = []
    before = service.memory_mib()
    for _ in range(8):
        connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(head.encode() + body)
        lazy.append(connection)
    with httpx.Client(base_url=service.url, timeout=30) as http:
        for number in range(20):
            params = {"name": "echo", "arguments": {"text": str(number)}}
            assert http.post("/mcp", json=request("tools/call", params, number)).json()["id"] == number
    assert service.memory_mib() - before < 300
    for connection in lazy:
        connection.close()
    service.assert_alive()


def test_a_service_file_says_that_it_serves_mcp(service: ServiceProcess) -> None:
    assert "the tools are served by MCP, too: at /mcp" in service.log
