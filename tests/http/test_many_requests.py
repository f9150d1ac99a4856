"""Hundreds of requests that come at the same moment are begun a few at a time; the probes of health pass them by."""

import asyncio
from typing import Any

from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer

MANY = 300


class Ask(BaseModel):
    text: str = ""


class Echo(LambdaTool):
    """Echo"""

    async def run(self, req: Ask) -> str:
        return req.text


async def get(server: ToolServer, path: str) -> int:
    status = 0

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [],
        "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await server.app(scope, receive, send)  # type: ignore[arg-type]
    return status


async def test_a_probe_that_comes_last_is_answered_long_before_the_last_of_many() -> None:
    server = ToolServer(Service(name="Many", contact={"name": "Alice", "email": "alice@example.com"}), [Echo])
    ended: list[str] = []

    async def call(path: str, status: int) -> None:
        assert await get(server, path) == status
        ended.append(path)

    async with server, asyncio.TaskGroup() as tasks:
        for _ in range(MANY):
            tasks.create_task(call("/jobs/unknown", 404))
        tasks.create_task(call("/_livez", 200))
    assert ended.index("/_livez") < MANY / 2
