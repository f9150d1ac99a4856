"""Token buckets: how often one caller may do something (`JobStore.take_token`)."""

import itertools

import msgspec

__all__ = ["TOLERANCE", "Taken", "TokenBuckets", "take"]

TOLERANCE = 0.001
"""So much of a token may be missing: whoever waits as told gets one, though its clock differs a little."""

_MOST_BUCKETS = 100_000


class Taken(msgspec.Struct, frozen=True, gc=False):
    """The answer of `JobStore.take_token`."""

    is_taken: bool
    left: float
    """How many tokens are in the bucket now; it is no whole number while it fills up."""

    def wait_seconds(self, rate_per_second: float) -> float:
        """After how many seconds there is a token. 0: now."""
        return max(0.0, 1.0 - self.left) / rate_per_second


def take(used: float, elapsed_seconds: float, rate_per_second: float, burst: int) -> tuple[float, bool]:
    """Take a token from a bucket, if it has one.

    Args:
        used: How many tokens were missing in it when it was last looked at.
        elapsed_seconds: Since then. Below 0, where a clock was set: none came in.
        rate_per_second: How many tokens come in per second, while it is not full.
        burst: How many it holds.

    Returns:
        How many are missing now, and whether one was taken.
    """
    used = min(max(used - max(elapsed_seconds, 0.0) * rate_per_second, 0.0), burst + 1.0)
    is_taken = used <= burst - 1 + TOLERANCE
    return (used + 1.0 if is_taken else used), is_taken


class TokenBuckets:
    """Buckets in memory. Those that are full again are forgotten; of more than 100,000 the one not used for longest."""

    def __init__(self) -> None:
        self._buckets: dict[bytes, tuple[float, float, float]] = {}  # used, at, full at; the last one used is the last

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: bytes, *, rate_per_second: float, burst: int, now: float) -> Taken:
        """As `JobStore.take_token`, at the time `now`."""
        before, at, _ = self._buckets.pop(name, (0.0, now, now))
        used, is_taken = take(before, now - at, rate_per_second, burst)
        self._buckets[name] = (used, now, now + used / rate_per_second)
        self._forget_two(now)
        return Taken(is_taken, burst - used)

    def _forget_two(self, now: float) -> None:
        """Forget the two that were not used for longest, if they are full: one would leave the others behind."""
        for oldest in list(itertools.islice(self._buckets, 2)):
            if self._buckets[oldest][2] <= now or len(self._buckets) > _MOST_BUCKETS:
                del self._buckets[oldest]
