"""A keep-alive HTTP/1.1 connection that costs little: the client must not be what is measured."""

import asyncio
from dataclasses import dataclass

__all__ = ["Connection", "Reply", "bare_bytes", "post_bytes"]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, its header names in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def post_bytes(path: str, body: str, *headers: str) -> bytes:
    """A whole POST of JSON, ready to be sent."""
    data = body.encode()
    head = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
        *headers,
    ]
    return "\r\n".join([*head, "", ""]).encode() + data


def bare_bytes(method: str, path: str, *headers: str) -> bytes:
    """A whole request without a body, ready to be sent."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


class Connection(asyncio.Protocol):
    """One request at a time; understands answers with a `Content-Length` and 204, no chunks."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[Reply] | None = None

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to a port of this machine."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    async def request(self, data: bytes) -> Reply:
        """Send a request and wait for its answer.

        Raises:
            ConnectionError: the connection was closed, or its answer can't be read.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        waiter: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        self._transport.write(data)
        return await waiter

    def close(self) -> None:
        """Close it; a request under way fails."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._fail(exc or ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        status_line, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        status = int(status_line.split(b" ", 2)[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        if status != 204 and b"content-length" not in headers:
            self._fail(ConnectionAbortedError("an answer without Content-Length"))
            return
        start = end + 4
        stop = start + (0 if status == 204 else int(headers[b"content-length"]))
        if len(self._buffer) < stop:
            return
        reply = Reply(status, headers, bytes(self._buffer[start:stop]))
        del self._buffer[:stop]
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(reply)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error if isinstance(error, ConnectionError) else ConnectionError(str(error)))
