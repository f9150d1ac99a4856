"""`Turns`: many who want to go on at the same moment do so a few at a time, and others have the event loop between."""

import asyncio
from collections import deque

__all__ = ["Turns"]


class Turns:
    """Lets few pass at once; the others wait for the next rounds of the event loop, first in first out.

    The event loop resumes all that has become ready before it looks for input. Where 2,000 jobs end at the same
    moment, that would be 50 ms without an answer to anybody. For one event loop at a time.

    ::

        if (turn := turns.take()) is not None:
            await turn

    Args:
        at_once: How many pass in one round.
    """

    def __init__(self, at_once: int = 32) -> None:
        self._at_once = at_once
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._passed = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def take(self) -> "asyncio.Future[None] | None":
        """None: go on now. A future: await it first."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the last one may have ended in the middle of a round
            self._loop, self._passed = loop, 0
            self._waiting.clear()
        self._passed += 1
        if self._passed <= self._at_once and not self._waiting:
            if self._passed == 1:
                loop.call_soon(self._next_round, loop)
            return None
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        return turn

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._passed = 0
        while self._waiting and self._passed < self._at_once:
            turn = self._waiting.popleft()
            if not turn.done():  # nobody has it any more: it was cancelled
                turn.set_result(None)
                self._passed += 1
        if self._passed:
            loop.call_soon(self._next_round, loop)
