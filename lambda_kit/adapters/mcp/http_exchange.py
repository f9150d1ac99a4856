"""`HttpExchange`: one HTTP request that is being answered, as plain JSON or as a stream of events."""

import asyncio
from collections.abc import Iterable

from litestar.types import Receive, Send

from lambda_kit.adapters.mcp.host import SendWhole
from lambda_kit.adapters.mcp.http_head import Accepted
from lambda_kit.adapters.mcp.messages import Json, Parts

__all__ = ["HttpExchange"]

_JSON = (b"content-type", b"application/json")
_EVENTS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


class HttpExchange:
    """One request (`Exchange`). A client that does not read holds up nobody but its own handler, in `notify`.

    Args:
        receive: Tells when the client has gone, once the body has been read.
        send: Takes the answer.
        send_whole: Takes one that is there as a whole.
        fields: Header fields of every answer.
        accepted: What the client takes.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        send_whole: SendWhole,
        fields: Iterable[tuple[bytes, bytes]],
        accepted: Accepted,
    ) -> None:
        self._receive = receive
        self._send = send
        self._send_whole = send_whole
        self._fields = [*fields]
        self._accepted = accepted
        self._watcher: asyncio.Task[None] | None = None
        self._holds = False
        self._held = b""
        self.gone = asyncio.Event()
        self.answer_id: str | None = None
        self.can_stream = accepted.events
        self.has_begun = False
        """Whether a stream of events has begun, so that no other status can be sent."""

    # --- what handlers use ---

    @property
    def is_stream(self) -> bool:
        """As `Exchange.is_stream`."""
        return self.has_begun or bool(self._held) or not self._accepted.json

    async def notify(self, message: bytes, event_id: str | None = None) -> None:
        """As `Exchange.notify`."""
        if self.can_stream:
            await self._write(_event(message, event_id), is_last=False)

    async def keep_alive(self) -> None:
        """As `Exchange.keep_alive`: a comment, which has no id."""
        if self.can_stream:
            await self._write(b": still here\n\n", is_last=False)

    def hold(self) -> None:
        """As `Exchange.hold`: each write is a call of the system, and wakes the client."""
        self._holds = True

    def watch(self) -> None:
        """As `Exchange.watch`."""
        if self._watcher is None:
            self._watcher = asyncio.ensure_future(self._until_gone())

    # --- the end ---

    def add_field(self, name: bytes, value: bytes) -> None:
        """Add a header field to the answer, which has not begun."""
        self._fields.append((name, value))

    async def finish(self, status: int, frame: Json) -> None:
        """Send the answer itself, and end the exchange.

        Args:
            status: Of the answer, unless it is a stream.
            frame: A JSON-RPC message, or several as an array.
        """
        self.close()
        if isinstance(frame, Parts):
            await self._send_parts(frame)
        elif self.has_begun or (status == 200 and self.is_stream):
            await self._write(_event(frame, self.answer_id), is_last=True)
        else:
            await self._answer(status, [_JSON, (b"content-length", b"%d" % len(frame))], frame)

    async def finish_without_frame(self, status: int) -> None:
        """End the exchange with a status alone."""
        self.close()
        await self._answer(status, [(b"content-length", b"0")], b"")

    async def break_off(self, retry_seconds: float | None) -> None:
        """End the stream without an answer.

        Args:
            retry_seconds: When the client may resume it. None: nothing is said of it.
        """
        self.close()
        retry = b"" if retry_seconds is None else b"retry: %d\n\n" % (retry_seconds * 1000)
        await self._write(retry, is_last=True)

    def close(self) -> None:
        """Look no more whether the client is there."""
        if self._watcher is not None:
            self._watcher.cancel()

    # --- inside ---

    async def _write(self, text: bytes, *, is_last: bool) -> None:
        if self._holds and not is_last:
            self._held += text
            return
        text, self._held = self._held + text, b""
        if not self.has_begun:
            self.has_begun = True
            fields = [*_EVENTS, *self._fields]
            if is_last and self._send_whole(self._send, 200, [*fields, (b"content-length", b"%d" % len(text))], text):
                return
            await self._send({"type": "http.response.start", "status": 200, "headers": fields})
        await self._send({"type": "http.response.body", "body": text, "more_body": not is_last})

    async def _answer(self, status: int, fields: list[tuple[bytes, bytes]], body: bytes) -> None:
        fields += self._fields
        if self._send_whole(self._send, status, fields, body):
            return
        await self._send({"type": "http.response.start", "status": status, "headers": fields})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _send_parts(self, parts: Parts) -> None:
        """Send a result in parts."""
        self._holds = False
        is_json = not self.is_stream
        if is_json:
            size = sum(map(len, parts))
            fields = [_JSON, (b"content-length", b"%d" % size), *self._fields]
            await self._send({"type": "http.response.start", "status": 200, "headers": fields})
        else:
            await self._write(_event_start(self.answer_id), is_last=False)
        for part in parts:
            await self._send({"type": "http.response.body", "body": part, "more_body": True})
        await self._send({"type": "http.response.body", "body": b"" if is_json else b"\n\n", "more_body": False})

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone.set()


def _event(message: bytes, event_id: str | None) -> bytes:
    """One event. A message is one line already (`messages`)."""
    if event_id is not None and not message:  # older clients take one with a name for a message
        return b"id: %b\ndata: \n\n" % event_id.encode()
    return b"%b%b\n\n" % (_event_start(event_id), message)


def _event_start(event_id: str | None) -> bytes:
    return b"event: message\ndata: " if event_id is None else b"event: message\nid: %b\ndata: " % event_id.encode()
