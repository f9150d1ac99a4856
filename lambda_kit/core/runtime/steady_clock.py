"""Time that no step of the wall clock changes, and that goes on while the machine sleeps."""

import time
from functools import partial

__all__ = ["SteadyClock", "boot_seconds"]

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def boot_seconds() -> float:
    """Seconds since this machine was started, the same in all its processes.

    On Linux the time in which it was suspended counts (``CLOCK_BOOTTIME``); elsewhere this is `time.monotonic`.
    """
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)


class SteadyClock:
    """Seconds since the epoch: the wall clock's time when this was made, and the time that has passed since then.

    If the wall clock is set meanwhile, this one does not follow: durations are right, and what it shows differs from
    the wall clock by that step.
    """

    def __init__(self) -> None:
        self._seconds = time.monotonic if _BOOT_CLOCK is None else partial(time.clock_gettime, _BOOT_CLOCK)
        self._ahead = time.time() - self._seconds()

    def __call__(self) -> float:
        """The time now, in seconds since the epoch."""
        return self._seconds() + self._ahead
