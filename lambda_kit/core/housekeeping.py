"""What is done for the jobs again and again: leases, lost workers, jobs past their time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from lambda_kit.core.active import ActiveRun
from lambda_kit.core.job import Job, JobStatus
from lambda_kit.core.runner import JobRunner
from lambda_kit.core.store import JobStore

__all__ = ["Housekeeping"]

logger = logging.getLogger("lambda_kit.service")


class Housekeeping:
    """Two tasks: one keeps the leases of the runs here, the other takes jobs from lost workers and purges.

    They are two, so that a slow purge does not cost leases.

    Args:
        store: The store of the jobs.
        runner: The runs here.
        every_seconds: How often.
        interrupt: Ends a run.
        take_up: Has a job run that lost its worker.
    """

    def __init__(
        self,
        store: JobStore,
        runner: JobRunner,
        *,
        every_seconds: float,
        interrupt: Callable[[ActiveRun], None],
        take_up: Callable[[Job], None],
    ) -> None:
        self._store = store
        self._runner = runner
        self._every_seconds = every_seconds
        self._interrupt = interrupt
        self._take_up = take_up
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._tasks = [
            asyncio.create_task(self._repeat(self._renew), name="lambda_kit leases"),
            asyncio.create_task(self._repeat(self._clean_up), name="lambda_kit housekeeping"),
        ]

    async def stop(self) -> None:
        """End both tasks."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []

    async def _repeat(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            try:
                await work()
            except Exception:
                logger.exception("the jobs could not be looked after; trying again")

    async def _renew(self) -> None:
        for run in await self._runner.heartbeat():
            self._interrupt(run)

    async def _clean_up(self) -> None:
        await self._renew()  # after a hold-up of the loop own leases have run out, but their jobs are not lost
        for job in await self._store.reap():
            logger.warning("job %s lost its worker and is now %s", job.id, job.status)
            if job.status is JobStatus.PENDING:
                self._take_up(job)
        await self._store.purge()
