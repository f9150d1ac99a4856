"""`JobService`: the one way through for every kind of caller."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from lambda_kit.core.admission import Admission
from lambda_kit.core.bounds import bounded
from lambda_kit.core.delivery import SinkDispatcher
from lambda_kit.core.ending import EarlyEnds
from lambda_kit.core.errors import ConfigurationError, JobNotFoundError, UnavailableError
from lambda_kit.core.executor import Executor
from lambda_kit.core.fetching import Fetching
from lambda_kit.core.housekeeping import Housekeeping
from lambda_kit.core.intake import Intake
from lambda_kit.core.job import Job, JobStatus, Payload
from lambda_kit.core.owner import new_owner
from lambda_kit.core.retrying import until_available
from lambda_kit.core.runner import JobRunner
from lambda_kit.core.scheduler import Load, Scheduler
from lambda_kit.core.sealing import Sealer
from lambda_kit.core.settings import JobSettings
from lambda_kit.core.shared_places import SharedPlaces
from lambda_kit.core.sink import JobSink
from lambda_kit.core.statistics import JobStatistics
from lambda_kit.core.store import Change, JobStore
from lambda_kit.core.submission import Submission
from lambda_kit.core.tool import BoundTool
from lambda_kit.core.waiting import Followers, Settled, Waiter, Waiters
from lambda_kit.core.watchdog import LoopWatchdog

__all__ = ["JobService"]

logger = logging.getLogger("lambda_kit.service")

_MOST_TAKEN_UP = 2000
"""A process that has so many jobs takes up no more: the others may have room."""

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
        self.followers = Followers()
        """Those who follow every change of a job here."""
        self._executors = dict(executors)
        self._sinks = list(sinks)
        self._sealer = sealer or Sealer(None)
        self._accepts = False
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
        self._dispatchers = [SinkDispatcher(sink, store) for sink in self._sinks]
        self._waiters = Waiters()
        self._fetching = Fetching()
        self._runner = JobRunner(
            self.tools,
            store,
            owner=new_owner(),
            lease_seconds=self.settings.lease_seconds,
            statistics=self.statistics,
            unseal=self._sealer.unseal,
            on_end=self._on_end,
            on_time_up=lambda run: self._early_ends.time_is_up(run),  # noqa: PLW0108 - it is made below
        )
        self._scheduler = Scheduler(
            self.tools.values(),
            self._executors,
            self._runner.run,
            SharedPlaces(store, owner=self._runner.owner, lease_seconds=self.settings.lease_seconds),
            max_concurrency=self.settings.max_concurrency,
        )
        self._early_ends = EarlyEnds(self._runner, self._scheduler, grace_seconds=self.settings.cancel_seconds)
        self._intake = Intake(
            store,
            self._runner,
            self._scheduler,
            self._waiters,
            self._dispatchers,
            self.statistics,
            admission=Admission(
                self._runner, self._scheduler, self.statistics, max_unfinished=self.settings.max_unfinished
            ),
            sealer=self._sealer,
            accepts_jobs=lambda: self._accepts,
        )
        self._housekeeping = Housekeeping(
            store,
            self._runner,
            tools=list(self.tools),
            every_seconds=self.settings.heartbeat_seconds,
            lease_seconds=self.settings.lease_seconds,
            interrupt=lambda run: self._early_ends.begin(run.job_id, run.job.tool),
            take_up=self._take_up,
            may_take_up=lambda: _MOST_TAKEN_UP - self._scheduler.job_count if self._accepts else 0,
            is_stray=self._intake.is_stray,
            renew_others=self._scheduler.renew_places,
            settle_doubts=self._intake.settle_doubts,
        )

    # --- its own life ---

    async def start(self) -> None:
        """Open store, sinks and executors, and take jobs. What was opened is closed again if one of them fails."""
        self._stop_by = None
        self._fetching = Fetching()
        async with contextlib.AsyncExitStack() as opened:
            await self._start_store()
            opened.push_async_callback(self._stop_store)
            opened.callback(self.store.watch(self._on_change))
            for dispatcher in self._dispatchers:
                await dispatcher.start()
                opened.push_async_callback(dispatcher.stop)
            opened.push_async_callback(self._housekeeping.stop)
            opened.push_async_callback(self._runner.abandon)  # after the executors have stopped
            opened.push_async_callback(self._early_ends.stop)
            opened.push_async_callback(self._scheduler.stop)
            await self._scheduler.start()
            watchdog = LoopWatchdog()
            watchdog.start()
            opened.callback(watchdog.stop)
            await self._housekeeping.start()
            self._open = opened.pop_all()
        self._accepts = self._stop_by is None  # the end may have begun already

    def begin_stop(self) -> None:
        """Take no more jobs, and let the time that a stop gives to those that were taken begin now."""
        self._accepts = False
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self.settings.grace_seconds
            self._fetching.begin({*self._runner.live, *self._runner.active})

    async def drain(self) -> None:
        """Take no more jobs, and stay until nobody needs this service any more.

        That is when the jobs that were taken have ended (those that take longer than `JobSettings.grace_seconds` are
        cancelled) and their results have been fetched, for which there are 5 s, or what is left of the grace time.
        """
        self.begin_stop()
        if self._open is None:
            return
        await self._settle_jobs()
        if not await self._fetching.wait(min(_LINGER_SECONDS, self._left_seconds())):
            logger.info("going on with the stop, though not all results have been fetched")

    async def stop(self) -> None:
        """Take no more jobs, let those that were taken end (`grace_seconds`), cancel the rest, close everything."""
        self.begin_stop()
        if self._open is None:
            return
        async with self._open:  # closes what was opened, whatever happens here
            self._open = None
            await self._settle_jobs()

    @property
    def accepts_jobs(self) -> bool:
        """Whether new jobs are taken: it has started, and does not drain."""
        return self._accepts

    async def why_not_ready(self) -> str | None:
        """Why no jobs are taken now, in words. None: they are."""
        if not self._accepts:
            return self._why_starting if self._stop_by is None else "the service is stopping"
        return await self._scheduler.why_not_ready()

    def load(self) -> Load:
        """What is waiting and running in this process."""
        return self._scheduler.load()

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
        return await self._intake.submit(submission, None)

    async def submit_and_wait(self, submission: Submission, timeout_seconds: float) -> Settled:
        """As `submit`, and wait for the job's end, at most so many seconds. With 0, do not wait."""
        self._check_open()
        waiter = Waiter()
        job = await self._intake.submit(submission, waiter)
        try:
            return await self._settled(job, waiter, timeout_seconds)
        finally:
            self._waiters.remove(job.id, waiter)

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
    ) -> Settled:
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
        self._waiters.add(job_id, waiter)  # first add, then read: an end in between is not missed
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
            self._waiters.remove(job_id, waiter)

    async def _settled(self, job: Job, waiter: Waiter, timeout_seconds: float) -> Settled:
        if job.status.is_final:
            settled = Settled(job, await self.store.get_result(job.id))
        elif timeout_seconds <= 0:
            return Settled(job, None)
        else:
            settled = await waiter.wait(job, timeout_seconds, self._look)
        if settled.job.status.is_final:
            self._fetching.fetched(job.id)
        return settled

    async def _look(self, job_id: str) -> Settled | None:
        job = await self.store.get(job_id)
        if job is None:
            return None
        return Settled(job, await self.store.get_result(job_id) if job.status.is_final else None)

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job's end. A pending job is cancelled at once; a running one when its tool has stopped.

        Returns:
            The record now: look at its status.

        Raises:
            JobNotFoundError: if there is no such job.
            UnavailableError: if the service has not started, or the store is away.
        """
        self._check_open()
        job = await self.store.request_cancel(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        self._end_here(job)
        return job

    # --- inside ---

    async def _stop_store(self) -> None:
        await bounded("the store's stop", self.store.stop(), seconds=_STORE_SECONDS)

    def _check_open(self) -> None:
        if self._open is None:
            raise UnavailableError("the service is starting or stopping")

    def _end_here(self, job: Job) -> None:
        """The end of a job was asked for: see to it, as far as it is here."""
        if job.tool not in self.tools:
            return
        self._scheduler.remove(job.id, job.tool)
        self._early_ends.begin(job.id, job.tool)
        if job.status.is_final and job.id in self._runner.live and job.id not in self._runner.active:  # it never ran
            self._on_end(job.id, job, None)

    def _left_seconds(self) -> float:
        return max(0.0, (self._stop_by or 0.0) - time.monotonic())

    async def _settle_jobs(self) -> None:
        """Wait until the jobs here have ended, and cancel those that take too long."""
        if await self._scheduler.drain(self._left_seconds()):
            return
        job_ids = {*self._runner.live, *self._runner.active}
        logger.warning("%d jobs did not end in time and are cancelled", len(job_ids))
        for job_id in job_ids:
            try:
                job = await self.store.request_cancel(job_id)
            except UnavailableError as error:  # its lease runs out, and whoever opens the store next ends it
                logger.warning("job %s could not be cancelled: the store is away (%s)", job_id, error)
                continue
            if job is not None:
                self._end_here(job)
        await self._scheduler.drain(self.settings.cancel_seconds + 1.0)

    async def _start_store(self) -> None:
        """Open the store; one that is away is waited for."""

        async def attempt() -> None:
            try:
                await self.store.start()
            except UnavailableError as error:
                self._why_starting = f"the service is starting, and waits for its store: {error}"
                raise

        try:
            async with asyncio.timeout(self.settings.store_wait_seconds):
                await until_available("the start", attempt)
        except TimeoutError:
            seconds = self.settings.store_wait_seconds
            raise ConfigurationError(
                f"the store can't be reached, for {seconds:g} s now: see the log for why, and check its address and "
                "that it runs (JobSettings.store_wait_seconds says how long to wait)"
            ) from None

    def _take_up(self, jobs: Sequence[Job]) -> None:
        """Run jobs whose process is gone."""
        for job in jobs:
            if not self._scheduler.knows(job.id, job.tool):
                self._scheduler.enqueue(job.id, job.tool)

    def _on_end(self, job_id: str, job: Job | None, result: Payload | None) -> None:
        if job is not None and job.status is JobStatus.PENDING:  # its worker was lost, and it may be tried again
            self._scheduler.enqueue(job_id, job.tool)
            return
        self._runner.live.pop(job_id, None)
        # Waiters here get the result from the run itself: it may be evicted from the store before they look.
        settled = None
        if job is not None:
            self.statistics.ended(job)
            settled = Settled(job, result if job.status is JobStatus.SUCCEEDED else None)
        self._waiters.settle(job_id, settled)

    def _on_change(self, change: Change) -> None:
        self.followers.tell(change.job_id)
        if change.job_id is None:
            self._waiters.look_again()
        elif change.status is None or (change.status.is_final and change.job_id not in self._runner.active):
            self._waiters.settle(change.job_id, None)  # of the end of a run here `_on_end` tells
        elif change.cancel_requested and (run := self._runner.active.get(change.job_id)) is not None:
            self._early_ends.begin(run.job_id, run.job.tool)  # it was asked for elsewhere
        for dispatcher in self._dispatchers:
            dispatcher.wake()
