"""Ends runs before they end by themselves: asks, waits a while, then uses force."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from lambda_kit.core.jobs.job_table import LocalJob
from lambda_kit.core.jobs.permits import Permit
from lambda_kit.core.jobs.scheduler import Scheduler

if TYPE_CHECKING:
    from lambda_kit.core.jobs.runner import JobRunner
    from lambda_kit.core.jobs.running_job import RunningJob
    from lambda_kit.core.ports.executor import Run

__all__ = ["Canceller"]

logger = logging.getLogger("lambda_kit.job")


class Canceller:
    """The runs that are being ended, each by a task of its own.

    Args:
        runner: Writes the ends.
        scheduler: Gets the permits back.
        grace_seconds: For how long a run may go on after it was asked to end.
    """

    def __init__(self, runner: "JobRunner", scheduler: Scheduler, *, grace_seconds: float) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._grace_seconds = grace_seconds
        self._ending: set[Permit] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    def begin(self, job: LocalJob) -> None:
        """End the run of a job, if it has a permit. Again: no effect."""
        permit = job.permit
        if permit is None or permit.is_released or permit in self._ending:
            return
        job.is_unwanted = True
        self._ending.add(permit)
        self.spawn(job.id, self._end(job, permit, job.run))

    def spawn(self, job_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Do something for the end of a job, in a task that `stop` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._forget(job_id, done))

    async def stop(self) -> None:
        """Wait no longer for runs: the executors have stopped. What is being written is waited for, within bounds."""
        self._stopping.set()
        while self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._grace_seconds)
            for task in late:
                task.cancel()
        self._stopping = asyncio.Event()  # of no loop yet: a server may be run on one after another

    def _forget(self, job_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("job %s: it could not be ended", job_id, exc_info=task.exception())

    async def _end(self, job: LocalJob, permit: Permit, run: "RunningJob | None") -> None:
        executor = permit.lane.pool.executor
        try:
            if run is not None:
                await self._ask(executor.cancel, run)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._grace_seconds)
                return
            if permit.is_released:
                return
            run = run or (job.run if job.permit is permit else None)
            if run is not None:
                await self._ask(executor.kill, run)
            self._scheduler.release(permit)  # whatever became of the run, and however long its end takes to write
            if run is not None:
                await self._runner.end(job, run, None)
        finally:
            self._ending.discard(permit)

    async def _ask(self, method: "Callable[[Run], Awaitable[None]]", run: "RunningJob") -> None:
        """Call `cancel` or `kill` of an executor, which may be the user's."""
        try:
            await method(run)
        except Exception:
            logger.exception("job %s: its executor could not end it", run.job_id)
