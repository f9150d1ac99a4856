"""`JobService`: the one way through for every kind of caller."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from lambda_kit.core.errors import ConfigurationError, JobNotFoundError, NotServingError, UnavailableError
from lambda_kit.core.jobs.engine import LocalJobs
from lambda_kit.core.jobs.scheduler import Load
from lambda_kit.core.jobs.sealing import Sealer
from lambda_kit.core.jobs.settings import JobSettings
from lambda_kit.core.jobs.statistics import JobStatistics
from lambda_kit.core.jobs.submission import Submission
from lambda_kit.core.jobs.waiting import Followers, Waiter, WaitResult
from lambda_kit.core.model.job import Job
from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.ports.sink import JobSink
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.runtime.bounded import bounded
from lambda_kit.core.runtime.retry import Outage
from lambda_kit.core.runtime.watchdog import LoopWatchdog
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["JobService"]

logger = logging.getLogger("lambda_kit.service")

_STORE_SECONDS = 10.0
"""For how long a store may write what it has, and close, at the end."""

_LINGER_SECONDS = 5.0
"""After the last job, so long is the service there for those who fetch the results (docs/wire.md, Shutdown)."""


class JobService:
    """Takes requests, has them run, and answers for the jobs.

    Use all methods on the event loop on which `start` was called.

    Args:
        tools: What can be run.
        store: Holds the truth. The service starts and stops it.
        executors: By name; each tool's `BoundTool.executor` must be among them.
        sinks: Who is told of events and results.
        settings: Durations and limits.
        sealer: Encrypts the authorizations that are kept with jobs. None: none are kept.
    """

    def __init__(
        self,
        tools: Iterable[BoundTool],
        store: JobStore,
        executors: Mapping[str, Executor],
        *,
        sinks: Sequence[JobSink] = (),
        settings: JobSettings | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.settings = settings or JobSettings()
        self.statistics = JobStatistics(self.tools)
        self._executors = dict(executors)
        self._sinks = list(sinks)
        self._sealer = sealer or Sealer(None)
        self._stop_by: float | None = None
        self._why_starting = "the service is starting"
        self._open: contextlib.AsyncExitStack | None = None
        self.use_store(store)

    def use_store(self, store: JobStore) -> None:
        """Use another store.

        Raises:
            ConfigurationError: if the service has started.
        """
        if self._open is not None:
            raise ConfigurationError("the service has started, with the store that it had")
        self.store = store
        self._local = LocalJobs(
            self.tools,
            store,
            self._executors,
            sinks=self._sinks,
            settings=self.settings,
            statistics=self.statistics,
            sealer=self._sealer,
        )

    @property
    def followers(self) -> Followers:
        """Those who follow every change of a job here."""
        return self._local.followers

    # --- its own life ---

    async def start(self) -> None:
        """Open store, sinks and executors, and take jobs. What was opened is closed again if one of them fails."""
        self._stop_by = None
        async with contextlib.AsyncExitStack() as opened:
            was_away = await self._when_available(self.store.start)
            opened.push_async_callback(self._stop_store)
            await self._local.start(opened, self._when_available, is_store_back=was_away)
            watchdog = LoopWatchdog()
            watchdog.start()
            opened.callback(watchdog.stop)
            self._open = opened.pop_all()
        self._local.accepts = self._stop_by is None  # the end may have begun already

    def begin_stop(self) -> None:
        """Take no more jobs, and let the time that a stop gives to those that were taken begin now."""
        self._local.accepts = False
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self.settings.grace_seconds
            self._local.fetching.begin(self._local.alive())

    async def drain(self) -> None:
        """Take no more jobs, and stay until nobody needs this service any more.

        That is when the jobs that were taken have ended (those that take longer than `JobSettings.grace_seconds` are
        cancelled) and their results have been fetched, for which there are 5 s, or what is left of the grace time.
        """
        self.begin_stop()
        if self._open is None:
            return
        await self._local.settle(self._stop_by or 0.0)
        if not await self._local.fetching.wait(min(_LINGER_SECONDS, self._left_seconds())):
            logger.info("going on with the stop, though not all results have been fetched")

    async def stop(self) -> None:
        """Take no more jobs, let those that were taken end (`grace_seconds`), cancel the rest, close everything."""
        self.begin_stop()
        if self._open is None:
            return
        async with self._open:  # closes what was opened, whatever happens here
            self._open = None
            await self._local.settle(self._stop_by or 0.0)

    @property
    def accepts_jobs(self) -> bool:
        """Whether new jobs are taken: it has started, and does not drain."""
        return self._local.accepts

    async def why_not_ready(self) -> str | None:
        """Why no jobs are taken now, in words. None: they are."""
        if not self._local.accepts:
            return self._why_starting if self._stop_by is None else "the service is stopping"
        return await self._local.scheduler.why_not_ready()

    def load(self) -> Load:
        """What is waiting and running in this process."""
        return self._local.scheduler.load()

    # --- jobs ---

    async def submit(self, submission: Submission) -> Job:
        """Make a job of a request and have it run; or attach to the job that this request made before.

        Returns:
            The new job, or the known one with this id or key.

        Raises:
            RequestValidationError: if the body does not fit the tool's request model.
            BadRequestError: if it asks for more time than its tool has.
            JobConflictError: if the id or key belongs to another tool or body.
            QueueFullError: if there is no room for it. No job was made.
            UnavailableError: if the service does not take jobs, or the store is away.
        """
        self._check_open()
        return await self._local.intake.submit(submission, None)

    async def submit_and_wait(self, submission: Submission, timeout_seconds: float) -> WaitResult:
        """As `submit`, and wait for the job's end, at most so many seconds. With 0, do not wait."""
        self._check_open()
        waiter = Waiter()
        job = await self._local.intake.submit(submission, waiter)
        try:
            return await self._settled(job, waiter, timeout_seconds)
        finally:
            self._local.waiters.remove(job.id, waiter)

    async def get(self, job_id: str) -> Job:
        """The record of a job.

        Raises:
            JobNotFoundError: if there is none, or it has expired.
            UnavailableError: if the service has not started, or the store is away.
        """
        self._check_open()
        job = await self.store.get(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        return job

    async def wait(
        self, job_id: str, timeout_seconds: float, *, tool: str | None = None, known: Job | None = None
    ) -> WaitResult:
        """Wait for a job's end, wherever it runs; at most so many seconds. With 0, look and return.

        Args:
            job_id: The bare id.
            timeout_seconds: For how long.
            tool: Know only this tool's jobs. None: any tool's.
            known: Its record from a wait before, with which this one begins if the store is away.

        Raises:
            JobNotFoundError: if there is no such job, or it has expired.
            UnavailableError: if the service has not started, or the store is away.
        """
        waiter = Waiter()
        self._local.waiters.add(job_id, waiter)  # first add, then read: an end in between is not missed
        try:
            try:
                job = await self.get(job_id)
            except UnavailableError:
                if known is None:
                    raise
                job = known
                waiter.look_again_soon()
            if tool is not None and job.tool != tool:
                raise JobNotFoundError(job_id)
            return await self._settled(job, waiter, timeout_seconds)
        finally:
            self._local.waiters.remove(job_id, waiter)

    async def _settled(self, job: Job, waiter: Waiter, timeout_seconds: float) -> WaitResult:
        if job.status.is_final:
            settled = WaitResult(job, await self.store.get_result(job.id))
        elif timeout_seconds <= 0:
            return WaitResult(job, None)
        else:
            settled = await waiter.wait(job, timeout_seconds, self._look)
        if settled.job.status.is_final:
            self._local.fetching.fetched(job.id)
        return settled

    async def _look(self, job_id: str) -> WaitResult | None:
        job = await self.store.get(job_id)
        if job is None:
            return None
        return WaitResult(job, await self.store.get_result(job_id) if job.status.is_final else None)

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job's end. A pending job is cancelled at once; a running one when its tool has stopped.

        Returns:
            The record now: look at its status.

        Raises:
            JobNotFoundError: if there is no such job.
            UnavailableError: if the service has not started, or the store is away.
        """
        self._check_open()
        await self._local.intake.unmake(job_id)
        job = await self.store.request_cancel(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        self._local.end_was_asked_for(job)
        return job

    # --- inside ---

    async def _stop_store(self) -> None:
        await bounded("the store's stop", self.store.stop(), seconds=_STORE_SECONDS)

    def _check_open(self) -> None:
        if self._open is None:
            raise NotServingError("the service is starting or stopping")

    def _left_seconds(self) -> float:
        return max(0.0, (self._stop_by or 0.0) - time.monotonic())

    async def _when_available(self, call: Callable[[], Awaitable[None]]) -> bool:
        """Do what needs the store, for the start; one that is away is waited for. Returns whether it was away."""
        was_away = False

        async def attempt() -> None:
            nonlocal was_away
            try:
                await call()
            except UnavailableError:
                was_away = True
                self._why_starting = "the service is starting, and waits for its store: its log has the details"
                raise

        try:
            async with asyncio.timeout(self.settings.store_wait_seconds):
                await Outage().until_over("the start", attempt)
        except TimeoutError:
            seconds = self.settings.store_wait_seconds
            raise ConfigurationError(
                f"the store can't be reached, for {seconds:g} s now: see the log for why, and check its address and "
                "that it runs (JobSettings.store_wait_seconds says how long to wait)"
            ) from None
        return was_away
