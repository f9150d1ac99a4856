"""`Exchange`: how a handler talks to a client while it answers a request."""

import asyncio
from typing import Protocol

__all__ = ["COMMENT_SECONDS", "Exchange", "NoAnswer"]

COMMENT_SECONDS = 15.0
"""After so long without anything, a proxy may end a stream: time for `Exchange.keep_alive`."""


class NoAnswer(Exception):  # noqa: N818 - no error: the stream ends, and the client resumes it
    """Raised by a handler that sends no answer. Over HTTP the stream ends; on standard output nothing is sent.

    Args:
        retry_seconds: When a client may resume the stream. None: nothing is said of it.
    """

    def __init__(self, retry_seconds: float | None = None) -> None:
        super().__init__("the stream ends without an answer")
        self.retry_seconds = retry_seconds


class Exchange(Protocol):
    """One request that is being answered, over HTTP or on standard output.

    Over HTTP the first `notify` or `keep_alive` makes the answer an event stream; without them it is plain JSON.
    """

    gone: asyncio.Event
    """Set when the client has gone away. Over HTTP that is looked for from `watch` on; on standard output
    when the client has cancelled the request."""
    answer_id: str | None
    """The id of the event that is going to be the answer. None: it has none, as plain JSON and standard output."""

    can_stream: bool
    """Whether the client takes an event stream (``Accept``). If not, `notify` and `keep_alive` do nothing."""

    @property
    def is_stream(self) -> bool:
        """Whether the answer is going to be an event of a stream."""
        ...

    async def notify(self, message: bytes, event_id: str | None = None) -> None:
        """Send a notification.

        Args:
            message: The whole JSON-RPC message. Over HTTP it may be empty: an event with an id alone, from which a
                stream can be resumed.
            event_id: The id of the event, by which the stream can be resumed. None: it has none.
        """
        ...

    async def keep_alive(self) -> None:
        """Send something that says nothing, so that no proxy ends a silent stream."""
        ...

    def hold(self) -> None:
        """What is sent from now on may be held back until the answer, which follows at once."""
        ...

    def watch(self) -> None:
        """From now on, look whether the client is there (`gone`). Until then that is not known, and costs nothing."""
        ...
