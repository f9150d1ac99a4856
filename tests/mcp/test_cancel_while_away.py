"""A cancel that comes while the store is away is carried out when it is back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from lambda_kit import McpOptions
from tests.core.flaky_store import FlakyStore
from tests.core.running_tools import AsyncDoor, a_server, until
from tests.mcp.asking import URL
from tests.mcp.http_client import ACCEPT, INITIALIZE, envelope, modern_fields, request
from tests.mcp.modern import TASKS


@asynccontextmanager
async def held(path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, FlakyStore, AsyncDoor]]:
    """A server that answers calls at once, with a tool that goes on until it is cancelled."""
    store, tool = FlakyStore(path / "jobs.db"), AsyncDoor()
    server = a_server(tool, store=store, mcp=McpOptions(wait_seconds=0.0))
    transport = httpx.ASGITransport(server)
    async with server, httpx.AsyncClient(transport=transport, base_url=URL, timeout=50) as http:
        yield http, store, tool


@asynccontextmanager
async def away(store: FlakyStore) -> AsyncIterator[None]:
    """The store is away while the block lasts, and until a job was looked for in vain."""
    calls = store.calls["get"]
    store.is_away = True
    yield
    await until(lambda: store.calls["get"] > calls)
    store.is_away = False


def call(request_id: int, **meta: Any) -> dict[str, Any]:
    params = {"name": "async_door", "arguments": {}, "_meta": meta}
    return request("tools/call", params if meta else params | {"_meta": {}}, request_id)


async def test_a_cancelled_notification(tmp_path: Path) -> None:
    async with held(tmp_path) as (http, store, tool):
        session = (await http.post("/mcp", json=request("initialize", INITIALIZE), headers=ACCEPT)).headers
        fields = {**ACCEPT, "mcp-session-id": session["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        assert "still running" in (await http.post("/mcp", json=call(7), headers=fields)).text
        await until(lambda: tool.begun == 1)
        notification = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        async with away(store):
            assert (await http.post("/mcp", json=notification, headers=fields)).status_code == 202
            assert tool.cleaned == 0
        await until(lambda: tool.cleaned == 1)


async def test_a_task_that_is_cancelled(tmp_path: Path) -> None:
    meta = envelope(extensions={TASKS: {}})
    async with held(tmp_path) as (http, store, tool):
        answer = await http.post("/mcp", json=call(1, **meta), headers=modern_fields("tools/call", "async_door"))
        task_id = answer.json()["result"]["taskId"]
        await until(lambda: tool.begun == 1)
        cancel = request("tasks/cancel", {"taskId": task_id, "_meta": meta}, 2)
        async with away(store):
            error = (await http.post("/mcp", json=cancel, headers=modern_fields("tasks/cancel", task_id))).json()[
                "error"
            ]
            assert error["code"] == -32603
            assert "it is cancelled when it can be" in error["message"]
            assert tool.cleaned == 0
        await until(lambda: tool.cleaned == 1)
