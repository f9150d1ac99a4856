"""The end of a process: its jobs end, are left to other processes, or are cancelled."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.jobs.job_table import LocalJob, State

if TYPE_CHECKING:
    from lambda_kit.core.jobs.engine import JobEngine

__all__ = ["GracefulShutdown"]

logger = logging.getLogger("lambda_kit.service")


class GracefulShutdown:
    """Waits until the jobs of a process have ended, and ends those that take too long.

    Where the store outlives this process, others can run the jobs that have not begun, and those that may be begun
    again: these are left to them. Jobs unlikely to finish before the deadline are not started. All others are
    cancelled.

    Args:
        engine: Whose jobs they are.
    """

    def __init__(self, engine: "JobEngine") -> None:
        self._engine = engine
        self._patience: asyncio.Timeout | None = None

    def hurry(self, seconds: float) -> None:
        """Wait no longer than so many seconds from now on, if `run` waits for jobs."""
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time() + seconds)

    async def run(self, deadline: float) -> None:
        """Wait until the jobs here have ended, or see to their end.

        Args:
            deadline: When the time is over, by `time.monotonic`.
        """
        engine, scheduler = self._engine, self._engine.scheduler
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                for job in engine.table:
                    await job.until_made()
        if engine.store.is_durable:
            scheduler.leave(partial(self._takes_too_long, deadline), self._leave)
        if await self._have_ended(deadline):
            return
        scheduler.close()
        waiting = scheduler.waiting()
        running = [job for job in engine.table if job.state is State.RUNNING]
        unwanted = [*waiting, *running]
        if engine.store.is_durable:
            left = [job for job in running if self._leave_to_others_if_possible(job)]
            unwanted = [job for job in running if job not in left]
            if left or waiting:
                count = len(left) + len(waiting)
                logger.warning("%d jobs did not end in time and are left to other processes", count)
            for job in left:
                engine.runner.canceller.begin(job)
            for job in waiting:
                scheduler.remove(job)
                self._leave(job)
        if unwanted:
            await self._cancel(unwanted)
        await scheduler.drain(engine.settings.cancel_seconds + 1.0)

    async def _have_ended(self, deadline: float) -> bool:
        """Wait for the jobs; whether all have ended in time."""
        seconds = max(0.0, deadline - time.monotonic())
        patience = self._patience = asyncio.timeout(seconds)
        try:
            async with patience:
                return await self._engine.scheduler.drain(seconds)
        except TimeoutError:
            return False
        finally:
            self._patience = None

    def _takes_too_long(self, deadline: float, tool: str) -> bool:
        """True if the tool allows one attempt and its mean duration exceeds the time left."""
        seconds = self._engine.statistics.mean_seconds(tool)
        is_once = self._engine.tools[tool].options.max_attempts == 1
        return is_once and seconds is not None and time.monotonic() + seconds > deadline

    def _leave_to_others_if_possible(self, job: LocalJob) -> bool:
        """Leave a running job to other processes if it may be run again. False: it may not."""
        if job.run is None:  # it was not begun
            job.is_left = True
            return True
        job.run.is_left_to_others = job.run.job.attempt < job.run.job.max_attempts
        return job.run.is_left_to_others

    def _leave(self, job: LocalJob) -> None:
        """A job does not end here: tell who waits for it to come back later."""
        self._engine.table.remove(job)
        self._engine.waiters.expire(job.id)
        self._engine.fetched_results.fetched(job.id)  # elsewhere

    async def _cancel(self, jobs: Iterable[LocalJob]) -> None:
        jobs = list(jobs)
        logger.warning("%d jobs did not end in time and are cancelled", len(jobs))
        await asyncio.gather(*map(self._cancel_one, jobs))

    async def _cancel_one(self, job: LocalJob) -> None:
        engine = self._engine
        try:
            record = await engine.store.request_cancel(job.id)
        except UnavailableError as error:  # its lease runs out, and whoever opens the store next ends it
            logger.warning("job %s could not be cancelled: the store is away (%s)", job.id, error)
            record = None
        if record is None or not record.status.is_final:
            engine.runner.canceller.begin(job)
