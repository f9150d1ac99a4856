"""`Turns`: many who want to go on at the same moment do so a few at a time, and others have the event loop between."""

import asyncio
from collections import deque

__all__ = ["Turns"]

_WINDOW_SECONDS = 0.002


class Turns:
    """Lets few pass at once; the others wait for the next rounds of the event loop, first in first out.

    The event loop resumes all that has become ready before it looks for input. Where 2,000 jobs end at the same
    moment, that would be 50 ms without an answer to anybody. For one event loop at a time.

    ::

        if (turn := turns.take()) is not None:
            await turn

    Args:
        at_once: How many pass in one round, or within 2 ms.
    """

    def __init__(self, at_once: int = 32) -> None:
        self._at_once = at_once
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._since = 0.0
        self._passed = 0

    def start(self) -> None:
        """Begin anew, on the running event loop."""
        self._waiting.clear()

    def take(self) -> "asyncio.Future[None] | None":
        """None: go on now. A future: await it first."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            now = loop.time()
            if now - self._since > _WINDOW_SECONDS:
                self._since, self._passed = now, 0
            self._passed += 1
            if self._passed <= self._at_once:
                return None
            loop.call_soon(self._next_round, loop)
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        return turn

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        passed = 0
        while self._waiting and passed < self._at_once:
            turn = self._waiting.popleft()
            if not turn.done():  # nobody has it any more: it was cancelled
                turn.set_result(None)
                passed += 1
        if self._waiting:
            loop.call_soon(self._next_round, loop)
