"""How long a process that ends waits, for each thing that may not end."""

from dataclasses import dataclass

__all__ = ["StopBounds"]


@dataclass(frozen=True, kw_only=True)
class StopBounds:
    """The bounds of a graceful shutdown, beside the grace that jobs have (`JobSettings.grace_seconds`)."""

    start_seconds: float = 5.0
    """How long a start that is given up may take to clean up."""

    least_requests_seconds: float = 1.0
    """How long requests that are in flight have at least, though the grace is over."""

    most_requests_seconds: float = 5.0
    """How long they have at most."""

    close_seconds: float = 20.0
    """How long everything may take to close: executors, sinks, the store and teardowns are bounded each; this bounds
    them all."""

    leftovers_seconds: float = 3.0
    """How long what tools have left behind is waited for: once on the event loop, and once by the main program."""

    spare_seconds: float = 4.0
    """How much longer a process with several workers waits before it kills those that have not ended by themselves."""

    last_words_seconds: float = 1.0
    """How long a process that ends at once, after a second signal, may take to log that."""

    @property
    def longest_end_seconds(self) -> float:
        """How long after its grace a process has ended by itself, unless its event loop is blocked."""
        return self.close_seconds + 2 * self.leftovers_seconds
