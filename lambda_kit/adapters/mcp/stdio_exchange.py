"""`StdioExchange`: one request that is answered on standard output."""

import asyncio

from lambda_kit.adapters.mcp.messages import Json, Parts
from lambda_kit.adapters.mcp.stdio_lines import LineWriter

__all__ = ["StdioExchange"]

_MOST_UNWRITTEN_BYTES = 64 * 1024
"""While so much is unread by the client, progress waits, and is put together."""


class StdioExchange:
    """A request that is being answered (`Exchange`). `gone` is set when the client has cancelled it.

    Args:
        writer: Writes the lines.
    """

    answer_id: str | None = None
    can_stream, is_stream = True, False

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer
        self.gone = asyncio.Event()
        self.is_over = False
        """Whether nothing more is sent: it is answered, or the client has cancelled it."""

    async def notify(self, message: bytes, event_id: str | None = None) -> None:
        """As `Exchange.notify`. No stream can be resumed, so that ids are of no use."""
        if message and not self.is_over:
            self._writer.write(message)
            await self._writer.until_below(_MOST_UNWRITTEN_BYTES)

    async def keep_alive(self) -> None:
        """As `Exchange.keep_alive`: no proxy is in between."""

    def hold(self) -> None:
        """Nothing is held back."""

    def watch(self) -> None:
        """As `Exchange.watch`: there is nothing to be done for it."""

    def finish(self, frame: Json) -> None:
        """Send the answer itself, unless the client has cancelled the request."""
        if not self.is_over:
            self.is_over = True
            self._writer.write(*frame if isinstance(frame, Parts) else (frame,))
