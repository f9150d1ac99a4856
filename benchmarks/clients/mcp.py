"""Calls a tool of MCP on keep-alive connections, and prints a line of JSON like that of `load`.

Each connection is a client: before 2026-07-28 it has a session of its own. Bodies are prepared but for the request's
id, and of an answer only its end and the echo are looked for: the client must not be what is measured.
"""

import argparse
import asyncio
import json
import time
from typing import Any

from benchmarks.clients.load import summary

__all__ = ["main"]

_MODERN = "2026-07-28"
_LEGACY = "2025-11-25"
_NAMES = "io.modelcontextprotocol"
_CLIENT = {"name": "benchmark", "version": "1"}
_FIRST_ID = 1_000_000  # all ids have the same length, so all bodies have
_END_OF_CHUNKS = b"\r\n0\r\n\r\n"
_BOUND_SECONDS = 30.0


class Connection(asyncio.Protocol):
    """One request at a time. An answer has a `Content-Length`, or chunks."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._head_end = 0
        self._length: int | None = None
        self._waiter: asyncio.Future[bytes] | None = None

    async def request(self, data: bytes) -> bytes:
        """Send a request; the whole answer, with its head and as it is framed."""
        assert self._transport is not None
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return await self._waiter

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        buffer = self._buffer
        buffer += data
        if not self._head_end:
            self._head_end = buffer.find(b"\r\n\r\n") + 4
            if self._head_end == 3:
                self._head_end = 0
                return
            head = bytes(buffer[: self._head_end]).lower()
            at = head.find(b"\r\ncontent-length:")
            self._length = None if at < 0 else int(head[at + 17 : head.index(b"\r\n", at + 2)])
        if self._length is None:
            if not buffer.endswith(_END_OF_CHUNKS):
                return
        elif len(buffer) < self._head_end + self._length:
            return
        answer = bytes(buffer)
        buffer.clear()
        self._head_end = 0
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)


def _post(body: dict[str, Any], fields: dict[str, str]) -> bytes:
    data = json.dumps(body, separators=(",", ":")).encode()
    head = [
        "POST /mcp HTTP/1.1",
        "Host: 127.0.0.1:1",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        *(f"{name}: {value}" for name, value in fields.items()),
        f"Content-Length: {len(data)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + data


async def _begin(connection: Connection) -> dict[str, str]:
    """Begin a session; the fields of its requests."""
    params = {"protocolVersion": _LEGACY, "capabilities": {}, "clientInfo": _CLIENT}
    answer = await connection.request(_post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}, {}))
    fields = {"MCP-Protocol-Version": _LEGACY}
    for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"mcp-session-id":
            fields["Mcp-Session-Id"] = value.strip().decode()
    await connection.request(_post({"jsonrpc": "2.0", "method": "notifications/initialized"}, fields))
    return fields


def _call(args: argparse.Namespace, fields: dict[str, str]) -> tuple[bytes, bytes]:
    """What comes before and after the id of the request."""
    meta: dict[str, Any] = {}
    if args.era == "modern":
        fields = {"MCP-Protocol-Version": _MODERN, "Mcp-Method": "tools/call", "Mcp-Name": args.tool}
        meta[f"{_NAMES}/protocolVersion"] = _MODERN
        meta[f"{_NAMES}/clientInfo"] = _CLIENT
        meta[f"{_NAMES}/clientCapabilities"] = {}
    if args.token:
        meta["progressToken"] = _FIRST_ID
    params: dict[str, Any] = {"name": args.tool, "arguments": json.loads(args.arguments)}
    if meta:
        params["_meta"] = meta
    body = {"jsonrpc": "2.0", "id": _FIRST_ID, "method": "tools/call", "params": params}
    before, _, after = _post(body, fields).partition(b'"id":%d' % _FIRST_ID)
    return before + b'"id":', after


async def _client(args: argparse.Namespace, expected: bytes, gate: asyncio.Barrier, latencies: list[float]) -> int:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", args.port)
    wrong, number = 0, _FIRST_ID
    try:
        before, after = _call(args, await _begin(connection) if args.era == "legacy" else {})
        await gate.wait()
        until = time.perf_counter() + args.seconds
        while (begin := time.perf_counter()) < until:
            answer = await connection.request(b"%b%d%b" % (before, number, after))
            latencies.append(time.perf_counter() - begin)
            number += 1
            right = answer.startswith(b"HTTP/1.1 200") and expected in answer and b'"isError":true' not in answer
            wrong += not right or (args.token and b"notifications/progress" not in answer)
    except ConnectionError:
        wrong += 1
    finally:
        connection.close()
    return wrong


async def _load(args: argparse.Namespace) -> dict[str, float]:
    latencies: list[float] = []
    gate = asyncio.Barrier(args.connections + 1)
    async with asyncio.timeout(args.seconds + _BOUND_SECONDS):
        clients = [
            asyncio.ensure_future(_client(args, args.expected.encode(), gate, latencies))
            for _ in range(args.connections)
        ]
        await gate.wait()
        begin = time.perf_counter()
        wrong = await asyncio.gather(*clients)
    return summary(latencies, time.perf_counter() - begin, sum(wrong))


def main() -> None:
    """Run the load that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--era", choices=("legacy", "modern"), required=True)
    parser.add_argument("--token", action="store_true", help="ask for progress, which each call has to report then")
    parser.add_argument("--tool", required=True)
    parser.add_argument("--arguments", required=True, help="of the tool, as JSON")
    parser.add_argument("--expected", required=True, help="what every answer has in it")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    print(json.dumps(asyncio.run(_load(parser.parse_args()))))


if __name__ == "__main__":
    main()
