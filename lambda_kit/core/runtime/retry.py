"""Going on where a store is away for a while: back-off, and one log line for each outage."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lambda_kit.core.errors import StoreFullError, UnavailableError

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


def _default_pauses() -> BackOff:
    return BackOff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)


class Outage:
    """What a part of a server knows of its store's absence: one warning for each outage, however many calls find out.

    Args:
        who: For whom the store is away, for the log. Empty: for the server.
        pauses: Makes the pauses between attempts.
    """

    def __init__(self, who: str = "", *, pauses: Callable[[], BackOff] = _default_pauses) -> None:
        self._who = f"{who}: " if who else ""
        self._pauses = pauses
        self._last_failure: float | None = None

    async def until_over(
        self,
        what: str,
        call: Callable[[], Awaitable[T]],
        *,
        away: type[Exception] = UnavailableError,
        for_seconds: float = float("inf"),
        waits_for_room: bool = True,
    ) -> T:
        """Call, and while the store is away call again, with back-off. Any other error is raised.

        Args:
            what: What is tried, for the log.
            call: Makes the attempt.
            away: The errors that mean that it is away.
            for_seconds: After so long the error is raised instead.
            waits_for_room: Whether to try again, too, where the store is full.
        """
        give_up_at = time.monotonic() + for_seconds
        back_off = self._pauses()
        while True:
            try:
                answer = await call()
            except away as error:
                if time.monotonic() >= give_up_at or (isinstance(error, StoreFullError) and not waits_for_room):
                    raise
                self.note(what, error)
                await asyncio.sleep(back_off.next_pause())
            else:
                self.over()
                return answer

    def note(self, what: str, error: Exception) -> None:
        """An attempt has failed: log it as a warning, but for those that follow in the same outage."""
        now = time.monotonic()
        is_new = self._last_failure is None or now - self._last_failure > _FORGET_SECONDS
        self._last_failure = now
        level = logging.WARNING if is_new else logging.DEBUG
        trace = None if isinstance(error, UnavailableError) else error
        text = "%s%s: the store is away (%s); trying again until it is back"
        logger.log(level, text, self._who, what, error, exc_info=trace)

    def over(self) -> None:
        """An attempt has succeeded."""
        if self._last_failure is not None:
            self._last_failure = None
            logger.info("%sthe store is back", self._who)
