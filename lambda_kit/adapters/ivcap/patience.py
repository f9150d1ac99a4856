"""`Patience`: how much trouble one job's deliveries had, and how much more is borne."""

import random

from lambda_kit.adapters.ivcap.sidecar_times import SidecarTimes

__all__ = ["Patience"]

_MOST_TIME_OUTS = 2
_MOST_DOUBLINGS = 32
"""More would not change the pause, and end beyond the numbers that a float holds."""
_LEAST_RESPECT_SECONDS = 5.0
"""A sidecar that always wants to be asked again at once is asked no more often than that, in the long run."""


class Patience:
    """The trouble with one job.

    Args:
        times: How much is borne.
    """

    __slots__ = (
        "_event_seconds",
        "_last_at",
        "_most_time_outs",
        "_spent_seconds",
        "_time_outs",
        "_times",
        "_tries",
        "_what",
    )

    def __init__(self, times: SidecarTimes) -> None:
        self._times = times
        self._event_seconds, self._most_time_outs = times.event, _MOST_TIME_OUTS
        self._what: object = None
        self._begin(None)

    def _begin(self, what: object) -> None:
        self._what = what
        self._tries = self._time_outs = 0
        self._spent_seconds = 0.0
        self._last_at: float | None = None

    def trouble_with_event(self, seq: int, now: float, *, has_ended: bool, is_time_out: bool) -> float | None:
        """An event was answered so that it is to be tried again, or not at all.

        Args:
            seq: Its number.
            now: The time, in seconds.
            has_ended: Whether the job has ended: then all of its events count as one.
            is_time_out: Whether it was not answered in time.

        Returns:
            For how long events may be tried again, in seconds. None: it is given up.
        """
        what = "events" if has_ended else seq
        if what != self._what:
            self._begin(what)
        if self._last_at is not None:
            self._spent_seconds += max(0.0, now - self._last_at)
        self._last_at = now
        self._time_outs += is_time_out
        left = self._event_seconds - self._spent_seconds
        return None if left <= 0 or self._time_outs >= self._most_time_outs else left

    def hurry(self) -> None:
        """Bear less: the service stops (`SidecarTimes.stop`)."""
        self._event_seconds, self._most_time_outs = min(self._times.stop, self._times.event), 1

    def trouble_with_end(self) -> None:
        """The end was not delivered."""
        if self._what != "end":
            self._begin("end")

    def no_trouble(self) -> None:
        """An event was delivered, or there is no connection: the time until the next trouble does not count."""
        self._last_at = None
        self._tries = 0

    def next_pause(self, retry_after_seconds: float | None, longest_seconds: float | None = None) -> float:
        """How long to wait before the next try, in seconds.

        Args:
            retry_after_seconds: What the sidecar has asked for.
            longest_seconds: The longest pause, where that is shorter than `SidecarTimes.longest_pause`.
        """
        times = self._times
        pause = min(times.first_pause * 2.0 ** min(self._tries, _MOST_DOUBLINGS), times.longest_pause)
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 - not for secrets: services are not to call all at once
        self._tries += 1
        if retry_after_seconds is not None:
            pause = max(retry_after_seconds, min(pause, _LEAST_RESPECT_SECONDS))
        longest = times.longest_pause if longest_seconds is None else min(longest_seconds, times.longest_pause)
        return min(pause, longest)
