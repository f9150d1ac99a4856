"""What can go wrong in a benchmark: all of it names the contestant or the command that mends it."""

__all__ = ["BenchmarkError", "ContestantError", "SetupError"]


class BenchmarkError(Exception):
    """Base of the errors of this package."""


class SetupError(BenchmarkError):
    """Something that is needed to measure at all is missing; the message says how to get it."""


class ContestantError(BenchmarkError):
    """A contestant did not start, answered wrongly or did not end; the run goes on and fails."""
