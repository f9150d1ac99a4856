"""Ends runs before they end by themselves: asks, waits a while, then uses force."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from lambda_kit.core.jobs.runner import JobRunner
from lambda_kit.core.jobs.running_job import ActiveRun
from lambda_kit.core.jobs.scheduler import Place, Scheduler
from lambda_kit.core.model.job import Failure, FailureKind

__all__ = ["EarlyEnds"]

logger = logging.getLogger("lambda_kit.job")


class EarlyEnds:
    """The runs that are being ended, each by a task of its own.

    Args:
        runner: Records the ends.
        scheduler: Knows the executors.
        grace_seconds: For how long a run may go on after it was asked to end.
    """

    def __init__(self, runner: JobRunner, scheduler: Scheduler, *, grace_seconds: float) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._grace_seconds = grace_seconds
        self._ending: set[Place] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    def begin(self, job_id: str) -> None:
        """End the run of a job, if there is one here. Again: no effect."""
        place = self._scheduler.place_of(job_id)
        if place is not None and place not in self._ending:
            self._ending.add(place)
            self._spawn(job_id, self._end(place))

    def time_is_up(self, run: ActiveRun) -> None:
        """Record that a run took too long, at once, and end it."""
        self._spawn(run.job_id, self._end_over_time(run))

    async def stop(self) -> None:
        """Wait no longer for runs: the executors have stopped. What is being recorded is waited for, within bounds."""
        self._stopping.set()
        while self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._grace_seconds)
            for task in late:
                task.cancel()
        self._stopping = asyncio.Event()  # of no loop yet: a server may be run on one after another

    def _spawn(self, job_id: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._forget(job_id, done))

    def _forget(self, job_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("job %s: it could not be ended", job_id, exc_info=task.exception())

    async def _end_over_time(self, run: ActiveRun) -> None:
        message = f"the job ran over its time limit of {run.job.time_limit_seconds:g} s"
        self.begin(run.job_id)  # in a task of its own: the store may be away for long
        await self._runner.end(run, Failure(FailureKind.TIME_LIMIT, "time-limit", message))

    async def _end(self, place: Place) -> None:
        try:
            executor = place.lane.pool.executor
            if not await executor.cancel(place.job_id):
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._grace_seconds)
                return
            if self._scheduler.place_of(place.job_id) is not place:
                return
            run = self._runner.active.get(place.job_id)
            await executor.kill(place.job_id)
            if run is not None:
                await self._runner.end(run, None)
            self._scheduler.release(place)
        finally:
            self._ending.discard(place)
