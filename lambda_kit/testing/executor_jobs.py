"""Jobs without a store, for executors under test."""

import asyncio
import threading
from collections.abc import Callable

from lambda_kit.core.executor import Invoke
from lambda_kit.core.job import Outcome, Payload

__all__ = ["FakeJob", "FakeJobs", "until"]

_LONG_SECONDS = 10.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something that another task or thread does has become true."""
    async with asyncio.timeout(_LONG_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # a thread has no event that this loop could wait on


class FakeJob:
    """A job that runs until it is let end, or is cancelled. Implements the `Run` protocol."""

    def __init__(self, job_id: str, jobs: "FakeJobs") -> None:
        self._job_id = job_id
        self._jobs = jobs
        self._is_started = threading.Event()
        self._may_end = threading.Event()
        self._is_cancelled = False
        self.outcome: Outcome = None
        self.has_ended = False
        self.seen: str | None = None

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return self._job_id

    async def has_started(self) -> None:
        """Wait until it runs."""
        await until(self._is_started.is_set)

    def let_end(self) -> None:
        """Let it end with a result, now or as soon as it runs."""
        self._may_end.set()

    def cancel(self) -> None:
        """Ask it to stop."""
        self._is_cancelled = True
        self._may_end.set()

    def run_sync(self) -> Outcome:
        """Run in the calling thread."""
        self._begin()
        self._may_end.wait(_LONG_SECONDS)
        return self._end()

    async def run_async(self) -> Outcome:
        """Run on the running event loop."""
        self._begin()
        try:
            await until(self._may_end.is_set)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            self._is_cancelled = True
        return self._end()

    def _begin(self) -> None:
        with self._jobs.lock:
            self._jobs.running += 1
            self._jobs.most_at_once = max(self._jobs.most_at_once, self._jobs.running)
        self.seen = self._jobs.look()
        self._is_started.set()

    def _end(self) -> Outcome:
        with self._jobs.lock:
            self._jobs.running -= 1
        return None if self._is_cancelled else Payload(self._job_id.encode(), "text/plain")


class FakeJobs:
    """The jobs that an executor is handed, by id, and what became of them."""

    def __init__(self) -> None:
        self._jobs: dict[str, FakeJob] = {}
        self.lock = threading.Lock()
        self.begun: list[str] = []
        """The ids of the jobs that were claimed, in order."""
        self.running = 0
        self.most_at_once = 0
        self.is_gone = False
        """Whether no job can be claimed."""
        self.look: Callable[[], str | None] = lambda: None
        """What each job looks at when it starts: see `FakeJob.seen`."""

    def __getitem__(self, job_id: str) -> FakeJob:
        if job_id not in self._jobs:
            self._jobs[job_id] = FakeJob(job_id, self)
        return self._jobs[job_id]

    async def run_job(self, job_id: str, invoke: Invoke) -> None:
        """What the executor is given at its start: the `RunJob` of these jobs."""
        if self.is_gone:
            return
        job = self[job_id]
        self.begun.append(job_id)
        job.outcome = await invoke(job)
        job.has_ended = True
