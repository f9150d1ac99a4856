"""`Alarm`: what somebody must mend is logged once, however many calls meet it."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Alarm"]

logger = logging.getLogger("lambda_kit.store")

_FORGET_SECONDS: Final = 60.0  # much longer than the time from one heartbeat to the next


class Alarm:
    """Logs at ERROR what a store that is open is refused, or finds damaged. May be used on any thread.

    An outage is one error, and over when nothing has been met for a minute: of a store that may read and not write,
    say, some calls succeed meanwhile.

    Args:
        clock: Gives a time in seconds. For tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: float | None = None

    def sound(self, message: str) -> None:
        """Log a message, unless an outage is under way."""
        with self._lock:
            now = self._clock()
            is_new = self._last is None or now - self._last > _FORGET_SECONDS
            self._last = now
        if is_new:
            logger.error("%s", message)
