"""What the executors that run jobs from this process have in common."""

import asyncio
import logging
from abc import abstractmethod

from lambda_kit.core.errors import ConfigurationError, QueueFullError
from lambda_kit.core.model.job import Outcome
from lambda_kit.core.ports.executor import Executor, ExecutorStats, JobHost, Run

__all__ = ["LocalExecutor"]

logger = logging.getLogger("lambda_kit.executor")


class LocalExecutor(Executor):
    """One task on the event loop for each job that is being run; it has no queue.

    Args:
        max_concurrency: How many jobs are run at once. None: no bound.
        stop_seconds: For how long `stop` waits for the jobs that it has cancelled.
    """

    runs_in_server = True
    starts_at_once = True

    def __init__(self, *, max_concurrency: int | None, stop_seconds: float) -> None:
        if max_concurrency is not None and max_concurrency < 1:
            raise ConfigurationError(f"{type(self).__name__}: {max_concurrency} jobs at once: must be at least 1")
        self._max_concurrency = max_concurrency
        self._stop_seconds = stop_seconds
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}
        self._unwanted: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._host: JobHost | None = None

    async def start(self, host: JobHost) -> None:
        self._host = host
        self._idle = asyncio.Event()  # of this loop: a server may be run on one after another
        self._idle.set()

    def has_room(self) -> bool:
        return self._max_concurrency is None or len(self._tasks) < self._max_concurrency

    async def submit(self, job_id: str, tool: str) -> None:
        if self._host is None:
            raise ConfigurationError(f"executor '{self.name}' was not started")
        if not self.has_room():
            raise QueueFullError(f"executor '{self.name}' runs as many jobs as it may")
        self._idle.clear()
        task = asyncio.get_running_loop().create_task(self._host.run(job_id, self._invoke))
        self._tasks[job_id] = task
        task.add_done_callback(lambda _task: self._ended(job_id, task))

    async def cancel(self, job_id: str) -> bool:
        run = self._runs.get(job_id)
        if run is not None:
            self._interrupt(run, self._tasks[job_id])
            return True
        is_known = job_id in self._tasks
        if is_known:  # it is being claimed, or its end is being recorded
            self._unwanted.add(job_id)
        return is_known

    async def kill(self, job_id: str) -> None:
        run = self._runs.get(job_id)
        if run is not None:
            self._end_by_force(run, self._tasks[job_id])

    async def drain(self, timeout_seconds: float | None = None) -> bool:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        self._host = None
        for job_id in list(self._tasks):
            await self.cancel(job_id)
        await self._wait_for_tasks()
        for job_id in list(self._tasks):
            await self.kill(job_id)
        await self._wait_for_tasks()
        for task in self._tasks.values():  # it is being claimed, or its end recorded, and the store does not answer
            task.cancel()
        await self._wait_for_tasks()
        self._tasks.clear()
        self._runs.clear()
        self._unwanted.clear()
        self._idle.set()

    def stats(self) -> ExecutorStats:
        return ExecutorStats(running=len(self._tasks), capacity=self._max_concurrency)

    @abstractmethod
    async def _invoke(self, run: Run) -> Outcome:
        """Run one job, known as `_runs` from here on."""

    @abstractmethod
    def _interrupt(self, run: Run, task: asyncio.Task[None]) -> None:
        """Ask a running job to end."""

    @abstractmethod
    def _end_by_force(self, run: Run, task: asyncio.Task[None]) -> None:
        """End a running job, or let go of it: soon its task has ended, or is no longer among `_tasks`."""

    def _is_wanted(self, run: Run) -> bool:
        """Note that a run begins. False: its end was asked for while it was being claimed."""
        if self._host is None or run.job_id in self._unwanted:
            return False
        self._runs[run.job_id] = run
        return True

    async def _wait_for_tasks(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=self._stop_seconds)

    def _ended(self, job_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(job_id) is task:
            self._let_go(job_id)

    def _let_go(self, job_id: str) -> None:
        """Forget a job: there is room for another."""
        del self._tasks[job_id]
        self._runs.pop(job_id, None)
        self._unwanted.discard(job_id)
        if not self._tasks:
            self._idle.set()
        if self._host is not None and self._max_concurrency is not None:
            self._host.has_room()
