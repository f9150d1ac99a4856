"""Batches of messages: 2025-03-26 alone has them, and asks every server to take them (Basic, Messages, Batching)."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from mcp_types.jsonrpc import INVALID_REQUEST

from lambda_kit.adapters.mcp.exchange import Exchange
from lambda_kit.adapters.mcp.messages import Json, McpError, Parts

__all__ = ["ExchangeInBatch", "answer_batch", "check_batch"]

_VERSION = "2025-03-26"


class ExchangeInBatch:
    """The exchange of one message of a batch (`Exchange`): what is sent before the answer has no place in it.

    Args:
        whole: That of the batch.
    """

    can_stream = is_stream = False

    def __init__(self, whole: Exchange) -> None:
        self._whole = whole
        self.gone = whole.gone
        self.answer_id: str | None = None

    async def notify(self, message: bytes, event_id: str | None = None) -> None:
        """As `Exchange.notify`."""

    async def keep_alive(self) -> None:
        """As `Exchange.keep_alive`."""

    def hold(self) -> None:
        """Nothing is held back."""

    def watch(self) -> None:
        """As `Exchange.watch`."""
        self._whole.watch()


def check_batch(messages: Sequence[bytes], version: str) -> None:
    """See that there may be such a batch.

    Raises:
        McpError: if there may not.
    """
    if version != _VERSION:
        raise McpError(INVALID_REQUEST, f"{version} has no batches: send each message by itself")
    if not messages:
        raise McpError(INVALID_REQUEST, "the batch is empty")


async def answer_batch(
    messages: Sequence[bytes], answer: Callable[[bytes], Coroutine[Any, Any, Json | None]]
) -> bytes | None:
    """Answer all messages, at the same time.

    Args:
        messages: Each still to be read.
        answer: Gives the frame that answers one, an error too. None: it is not answered.

    Returns:
        The frame that answers the batch. None: nothing in it is answered.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(answer(message)) for message in messages]
    results = [task.result() for task in tasks]
    frames = [b"".join(frame) if isinstance(frame, Parts) else frame for frame in results if frame is not None]
    return b"[%b]" % b",".join(frames) if frames else None
