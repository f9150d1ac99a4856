"""A job that is on its way through a worker process, as the server sees it."""

import asyncio

from lambda_kit.core.model.job import Failure, FailureKind, Outcome
from lambda_kit.core.ports.executor import Run

__all__ = ["Call"]


class Call:
    """One run, from when it is claimed until its outcome is known."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.is_unwanted = False
        """Whether its end was asked for."""
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def end(self, outcome: Outcome) -> None:
        """Say how it ended; the first one counts."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def lose(self, why: str) -> None:
        """Say that it has ended for want of a worker."""
        lost = Failure(FailureKind.WORKER_LOST, "worker-lost", f"worker lost: {why}")
        self.end(None if self.is_unwanted else lost)
