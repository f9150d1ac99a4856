"""Drives a client of MCP by lines of JSON, run by the interpreter that has the client's library (`PeerClient`).

python mcp_peer_client.py LIBRARY TARGET MODE: ``mcp``, ``fastmcp`` or ``fastmcp-tasks``; a URL or a command as JSON;
``legacy``, ``auto`` or a protocol version. Reads orders from its standard input, and writes what happens to its
standard output. It imports nothing of ours.
"""

import asyncio
import importlib
import json
import sys
from typing import Any


def say(what: str, value: Any) -> None:
    sys.stdout.write(json.dumps({what: value}) + "\n")
    sys.stdout.flush()


async def on_progress(progress: float, total: float | None, message: str | None) -> None:
    say("progress", [progress, total, message])


def official(target: str, mode: str) -> Any:
    mcp = importlib.import_module("mcp")
    if target.startswith("["):
        command, *args = json.loads(target)
        stdio = importlib.import_module("mcp.client.stdio")
        return mcp.Client(stdio.StdioServerParameters(command=command, args=args), mode=mode)
    return mcp.Client(target, mode=mode)


def fastmcp(target: str, mode: str) -> Any:
    library = importlib.import_module("fastmcp")
    if target.startswith("["):
        command, *args = json.loads(target)
        transports = importlib.import_module("fastmcp.client.transports")
        return library.Client(transports.StdioTransport(command=command, args=args), mode=mode)
    return library.Client(target, mode=mode)


class Calls:
    """The call that is under way, if there is one."""

    def __init__(self, client: Any, library: str) -> None:
        self._client = client
        self._library = library
        self._call: asyncio.Task[None] | None = None
        self._task: Any = None

    async def list(self) -> None:
        tools = await self._client.list_tools()
        say("tools", sorted(tool.name for tool in (tools if isinstance(tools, list) else tools.tools)))

    async def call(self, name: str, arguments: dict[str, Any]) -> None:
        self._call = asyncio.ensure_future(self._run(name, arguments))

    async def _run(self, name: str, arguments: dict[str, Any]) -> None:
        if self._library == "mcp":
            result = await self._client.call_tool(name, arguments, progress_callback=on_progress)
        else:
            result = await self._client.call_tool(name, arguments, progress_handler=on_progress, raise_on_error=False)
        self._show(result)

    def _show(self, result: Any) -> None:
        texts = [block.text for block in result.content if block.type == "text"]
        say("result", {"error": bool(result.is_error), "texts": texts, "structured": result.structured_content})

    async def cancel(self) -> None:
        assert self._call is not None
        self._call.cancel()
        await asyncio.wait([self._call])
        say("cancelled", self._call.cancelled())

    # --- tasks, by the handle of fastmcp-tasks ---

    async def begin_task(self, name: str, arguments: dict[str, Any]) -> None:
        tasks = importlib.import_module("fastmcp_tasks")
        self._task = await tasks.call_tool_task(self._client, name, arguments, raise_on_error=False)
        say("task", self._task.task_id)

    async def status(self) -> None:
        say("status", (await self._task.status()).status)

    async def cancel_task(self) -> None:
        await self._task.cancel()
        say("cancelled", True)

    async def await_task(self) -> None:
        self._show(await self._task.result())


async def main(library: str, target: str, mode: str) -> None:
    loop = asyncio.get_running_loop()
    if library == "fastmcp-tasks":
        importlib.import_module("fastmcp_tasks")  # from then on clients say that they take tasks
    async with (official if library == "mcp" else fastmcp)(target, mode) as client:
        calls = Calls(client, library)
        say("connected", True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order, *arguments = json.loads(line)
            try:
                await getattr(calls, order)(*arguments)
            except Exception as error:  # noqa: BLE001 - the test is told of it
                say("error", f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
