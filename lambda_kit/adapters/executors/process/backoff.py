"""How long a slot waits before it starts its next worker process."""

import asyncio

from lambda_kit.adapters.executors.process.worker import LiveWorker

__all__ = ["Backoff"]

_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 30.0
_LONGEST_AFTER_DEATH_SECONDS = 5.0
"""Shorter, since it may be the fault of jobs, and others that are well wait behind them."""


class Backoff:
    """Pauses that double from one trouble to the next, until a worker has finished a job."""

    def __init__(self) -> None:
        self._seconds = _FIRST_SECONDS

    def reset(self) -> None:
        """A worker has finished a job: the next trouble is the first."""
        self._seconds = _FIRST_SECONDS

    def after_failed_start(self) -> float:
        """The pause after a worker that could not be started, in seconds."""
        return self._next()

    def after_death(self, worker: LiveWorker) -> float:
        """The pause after a worker that has died, in seconds: none if it had finished a job, or lived for as long."""
        if worker.up_since is None or worker.has_finished_job:
            return 0.0
        lived_seconds = asyncio.get_running_loop().time() - worker.up_since
        return max(0.0, min(self._next(), _LONGEST_AFTER_DEATH_SECONDS) - lived_seconds)

    def _next(self) -> float:
        seconds = self._seconds
        self._seconds = min(2 * seconds, _LONGEST_SECONDS)
        return seconds
