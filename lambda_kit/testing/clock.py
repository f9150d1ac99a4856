"""`ManualClock`: time that stands still until a test moves it."""

__all__ = ["ManualClock"]


class ManualClock:
    """A clock for stores under test. Call it for the time in seconds since the epoch.

    Args:
        start: The time that it begins with.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start

    def __call__(self) -> float:
        """The time now, in seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            ValueError: if time would go backwards.
        """
        if seconds < 0:
            raise ValueError(f"advance({seconds}): time can't go backwards")
        self._now += seconds
