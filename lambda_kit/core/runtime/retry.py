"""Going on where a store is away for a while."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lambda_kit.core.errors import UnavailableError

__all__ = ["BackOff", "Outage"]

logger = logging.getLogger("lambda_kit.store")

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_FORGET_SECONDS = 60.0  # much longer than any attempt and its pause


class BackOff:
    """Pauses between attempts that fail: each is twice as long as the one before, up to a bound.

    Args:
        first_seconds: The first pause.
        longest_seconds: The bound.
    """

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._next_seconds = first_seconds

    def next_pause(self) -> float:
        """How long to wait now, after one more failure, in seconds."""
        pause = self._next_seconds
        self._next_seconds = min(pause * 2, self._longest_seconds)
        return pause

    def reset(self) -> None:
        """Begin anew: an attempt has succeeded."""
        self._next_seconds = self._first_seconds


class Outage:
    """What all calls of a server know of its store's absence: thousands of jobs may wait for it, and it is one."""

    def __init__(self) -> None:
        self._last_failure: float | None = None

    async def until_over(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call, and while the store is away call again, with back-off. Any other error is raised.

        An outage is one warning, however many calls wait for its end.

        Args:
            what: What is tried, for the log.
            call: Makes the attempt.
        """
        back_off = BackOff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        while True:
            try:
                answer = await call()
            except UnavailableError as error:
                self._note(what, error)
                await asyncio.sleep(back_off.next_pause())
            else:
                self._end()
                return answer

    def _note(self, what: str, error: UnavailableError) -> None:
        now = time.monotonic()
        is_new = self._last_failure is None or now - self._last_failure > _FORGET_SECONDS
        self._last_failure = now
        level = logging.WARNING if is_new else logging.DEBUG
        logger.log(level, "%s: the store is away (%s); trying again until it is back", what, error)

    def _end(self) -> None:
        if self._last_failure is not None:
            self._last_failure = None
            logger.info("the store is back")
