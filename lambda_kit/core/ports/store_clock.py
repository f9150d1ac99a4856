"""`StoreClock`: one time for all workers of a store, whatever their machines' clocks say."""

import time
from collections.abc import Callable

from lambda_kit.core.runtime.steady_clock import boot_seconds

__all__ = ["StoreClock"]

_SURE_SECONDS = 0.5  # an answer that took longer may be wrong by half of that


class StoreClock:
    """The time of a store's server, projected by this machine's `boot_seconds`. Call it for seconds since the epoch.

    Before the first `sample` it is this machine's time. A machine whose clocks stood still, as those of a virtual
    machine that was paused, has the right time again from the next `sample` on.

    Args:
        clock: Gives the time in place of all that. For tests.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._offset: float | None = None

    def __call__(self) -> float:
        """The store's time now, in seconds since the epoch."""
        if self._clock is not None:
            return self._clock()
        return time.time() if self._offset is None else boot_seconds() + self._offset

    def sample(self, server_time: float, *, asked_at: float) -> None:
        """Take over the server's time, from an answer that has just come; if it took long, only if it is the first.

        Args:
            server_time: What the server said, in seconds since the epoch.
            asked_at: `boot_seconds` when it was asked. It is taken to have answered halfway between then and now.
        """
        now = boot_seconds()
        if self._offset is None or now - asked_at < _SURE_SECONDS:
            self._offset = server_time - (asked_at + now) / 2
