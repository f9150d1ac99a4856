"""What the executors that run jobs in this process have in common."""

import asyncio
import contextvars
import logging
from abc import abstractmethod
from collections import deque

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.executor import Executor, ExecutorStats, Run, RunJob
from lambda_kit.core.job import Outcome

__all__ = ["LocalExecutor"]

logger = logging.getLogger("lambda_kit.executor")


class LocalExecutor(Executor):
    """A queue, and one task on the event loop for each job that is being run.

    A job is claimed when its turn has come, not before, so that ``pending`` means "waits in the queue". The context
    variables of the submitter, the trace context among them, are carried to the run.

    Args:
        max_concurrency: How many jobs are run at once. None: no bound.
        stop_seconds: For how long `stop` waits for the jobs that it has cancelled.
    """

    runs_in_server = True

    def __init__(self, *, max_concurrency: int | None, stop_seconds: float) -> None:
        if max_concurrency is not None and max_concurrency < 1:
            raise ConfigurationError(f"{type(self).__name__}: {max_concurrency} jobs at once: must be at least 1")
        self._max_concurrency = max_concurrency
        self._stop_seconds = stop_seconds
        self._queue: deque[tuple[str, contextvars.Context]] = deque()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}
        self._unwanted: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._run_job: RunJob | None = None

    async def start(self, run_job: RunJob) -> None:
        """Take jobs from now on."""
        self._run_job = run_job
        self._idle = asyncio.Event()  # of this loop: a server may be run on one after another
        self._idle.set()

    async def submit(self, job_id: str, tool: str) -> None:
        if self._run_job is None:
            raise ConfigurationError(f"executor '{self.name}' was not started")
        self._idle.clear()
        context = contextvars.copy_context()
        if self._max_concurrency is None or len(self._tasks) < self._max_concurrency:
            self._begin(self._run_job, job_id, context)
        else:
            self._queue.append((job_id, context))

    async def cancel(self, job_id: str) -> bool:
        run = self._runs.get(job_id)
        if run is not None:
            self._interrupt(run, self._tasks[job_id])
            return True
        queued = next((entry for entry in self._queue if entry[0] == job_id), None)
        if queued is None:
            is_known = job_id in self._tasks
            if is_known:  # it is being claimed, or its end is being recorded
                self._unwanted.add(job_id)
            return is_known
        self._queue.remove(queued)
        return True

    async def drain(self, timeout_seconds: float | None = None) -> bool:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        self._run_job = None
        self._queue.clear()
        for job_id in list(self._tasks):
            await self.cancel(job_id)
        deaf: set[asyncio.Task[None]] = set()
        for _ in range(2):  # the second time without regard to what is being cleaned up
            tasks = list(self._tasks.values())
            if tasks:
                _, deaf = await asyncio.wait(tasks, timeout=self._stop_seconds)
            for task in deaf:
                task.cancel()
        if deaf:
            logger.warning("%d jobs ignore that they are cancelled, and are abandoned", len(deaf))
        self._tasks.clear()
        self._runs.clear()
        self._idle.set()

    def stats(self) -> ExecutorStats:
        return ExecutorStats(len(self._queue), len(self._tasks), self._max_concurrency)

    @abstractmethod
    async def _invoke(self, run: Run) -> Outcome:
        """Run one job, known as `_runs` from here on."""

    @abstractmethod
    def _interrupt(self, run: Run, task: asyncio.Task[None]) -> None:
        """Make a running job end, as far as that is possible."""

    def _is_wanted(self, run: Run) -> bool:
        """Note that a run begins. False: its end was asked for while it was being claimed."""
        if self._run_job is None or run.job_id in self._unwanted:
            return False
        self._runs[run.job_id] = run
        return True

    def _begin(self, run_job: RunJob, job_id: str, context: contextvars.Context) -> None:
        task = asyncio.get_running_loop().create_task(run_job(job_id, self._invoke), context=context)
        self._tasks[job_id] = task
        task.add_done_callback(lambda _task: self._ended(job_id, task))

    def _ended(self, job_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(job_id) is not task:  # it was abandoned at a stop
            return
        del self._tasks[job_id]
        self._unwanted.discard(job_id)
        if self._queue and self._run_job is not None:
            self._begin(self._run_job, *self._queue.popleft())
        elif not self._tasks:
            self._idle.set()
