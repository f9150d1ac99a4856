"""Many who want to go on at the same moment do so a few at a time, and others have the event loop between.

`Turns` does so for all alike, `FairTurns` for each sender of requests.
"""

import asyncio
from collections import deque

__all__ = ["FairTurns", "Turns"]


class Turns:
    """Lets few pass at once; the others wait for the next rounds of the event loop, first in first out.

    The event loop resumes all that has become ready before it looks for input. Where 2,000 jobs end at the same
    moment, that would be 50 ms without an answer to anybody. For one event loop at a time.

    ::

        if (turn := turns.take(how_many_there_are)) is not None:
            await turn

    Args:
        at_once: How many pass in one round.
    """

    def __init__(self, at_once: int = 32) -> None:
        self._at_once = at_once
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._passed = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def take(self, among: int | None = None) -> "asyncio.Future[None] | None":
        """None: go on now. A future: await it first.

        Args:
            among: How many there are that may come in this round, this one included. So few as may pass at once are not
                counted, since counting costs a callback of the event loop. None: any number.
        """
        if among is not None and among <= self._at_once and not self._waiting:
            return None
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


class FairTurns:
    """Lets the requests of several senders pass in turn: of each, one in a few rounds of the event loop.

    A short request takes some rounds of the event loop until it is answered, and each round takes as long as all that
    is ready in it. Behind a sender with 64 requests in each round, the one of another would wait for hundreds. So,
    while several senders come, one request of each passes in as many rounds as it takes: the work for each gets an
    equal share of the loop. What waits for something else, such as a tool that runs, holds up nobody. While only one
    sender comes, all pass at once. For one event loop at a time.

    Args:
        rounds: In so many rounds one request of each sender passes.
        memory_seconds: For how long after the last change of senders they take turns.
    """

    def __init__(self, rounds: int = 5, memory_seconds: float = 10.0) -> None:
        self._rounds = rounds
        self._memory_seconds = memory_seconds
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._passed: set[str] = set()
        self._round = 0
        self._last: str | None = None
        self._several_until = float("-inf")
        self._loop: asyncio.AbstractEventLoop | None = None

    def take(self, sender: str) -> "asyncio.Future[None] | None":
        """None: go on now. A future: await it first."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the last one may have ended in the middle of a round
            self._loop, self._last, self._several_until = loop, sender, float("-inf")
            self._waiting.clear()
            self._passed.clear()
        now = loop.time()
        if sender != self._last:
            self._last, self._several_until = sender, now + self._memory_seconds
        if now >= self._several_until and not self._waiting:
            return None
        if sender not in self._passed:
            if not self._passed:
                self._round = 0
                loop.call_soon(self._next_round, loop)
            self._passed.add(sender)
            return None
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(sender, deque()).append(turn)
        return turn

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        self._round += 1
        if self._round >= self._rounds:
            self._round = 0
            self._passed.clear()
            for sender, turns in list(self._waiting.items()):
                self._pass_one(sender, turns)
        if self._passed:
            loop.call_soon(self._next_round, loop)

    def _pass_one(self, sender: str, turns: deque[asyncio.Future[None]]) -> None:
        while turns and sender not in self._passed:
            turn = turns.popleft()
            if not turn.done():  # nobody has it any more: it was cancelled
                turn.set_result(None)
                self._passed.add(sender)
        if not turns:
            del self._waiting[sender]
