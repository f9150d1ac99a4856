"""The jobs of this process: how they are taken, wait, run and end."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.jobs.admission import Admission
from lambda_kit.core.jobs.canceller import EarlyEnds
from lambda_kit.core.jobs.collection import Fetching
from lambda_kit.core.jobs.housekeeping import Housekeeping
from lambda_kit.core.jobs.in_doubt import Strays
from lambda_kit.core.jobs.outbox_relay import SinkDispatcher
from lambda_kit.core.jobs.runner import JobRunner
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.jobs.sealing import Sealer
from lambda_kit.core.jobs.semaphore import SharedPlaces
from lambda_kit.core.jobs.settings import JobSettings
from lambda_kit.core.jobs.statistics import JobStatistics
from lambda_kit.core.jobs.submitter import Intake
from lambda_kit.core.jobs.waiting import Followers, Waiters, WaitResult
from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.ports.sink import JobSink
from lambda_kit.core.ports.store import Change, JobStore
from lambda_kit.core.runtime.worker_id import new_worker_id
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["LocalJobs"]

logger = logging.getLogger("lambda_kit.service")

_MOST_TAKEN_UP = 2000
"""A process that has so many jobs takes up no more: the others may have room."""


class LocalJobs:
    """What this process does for the jobs of one store.

    Args:
        tools: By name.
        store: Holds the truth.
        executors: By name.
        sinks: Who is told of events and results.
        settings: Durations and limits.
        statistics: Counts.
        sealer: Encrypts the authorizations that are kept with jobs.
    """

    def __init__(
        self,
        tools: Mapping[str, BoundTool],
        store: JobStore,
        executors: Mapping[str, Executor],
        *,
        sinks: Iterable[JobSink],
        settings: JobSettings,
        statistics: JobStatistics,
        sealer: Sealer,
    ) -> None:
        self._tools = tools
        self._store = store
        self._settings = settings
        self._statistics = statistics
        self.accepts = False
        """Whether new jobs are taken."""
        self.waiters = Waiters()
        self.followers = Followers()
        self.fetching = Fetching()
        self._dispatchers = [SinkDispatcher(sink, store, unseal=sealer.unseal) for sink in sinks]
        self._runner = JobRunner(
            tools,
            store,
            lease_seconds=settings.lease_seconds,
            statistics=statistics,
            unseal=sealer.unseal,
            on_end=self._run_has_ended,
            on_time_up=lambda run: self._early_ends.time_is_up(run),  # noqa: PLW0108 - it is made below
        )
        self._shared_places = SharedPlaces(store, lease_seconds=settings.lease_seconds)
        self.scheduler = Scheduler(
            tools.values(),
            executors,
            self._runner.run,
            self._shared_places,
            max_concurrency=settings.max_concurrency,
        )
        self._early_ends = EarlyEnds(self._runner, self.scheduler, grace_seconds=settings.cancel_seconds)
        self._strays = Strays(store, self._runner, self.scheduler, self._remember)
        self.intake = Intake(
            store,
            self._runner,
            self.scheduler,
            self.waiters,
            self._dispatchers,
            statistics,
            admission=Admission(self._runner, self.scheduler, statistics, max_unfinished=settings.max_unfinished),
            sealer=sealer,
            strays=self._strays,
            accepts_jobs=lambda: self.accepts,
        )
        self._housekeeping = Housekeeping(
            store,
            self._runner,
            tools=list(tools),
            every_seconds=settings.heartbeat_seconds,
            lease_seconds=settings.lease_seconds,
            interrupt=self._early_ends.begin,
            take_up=self._take_up,
            may_take_up=lambda: _MOST_TAKEN_UP - self.scheduler.job_count if self.accepts else 0,
            is_stray=self._strays.is_stray,
            renew_others=self._shared_places.renew,
            settle_doubts=self._strays.settle,
        )

    # --- its life ---

    def alive(self) -> set[str]:
        """The ids of the jobs that were taken here, or run here, and have not ended."""
        return {*self._runner.live, *self._runner.active}

    async def start(
        self,
        opened: contextlib.AsyncExitStack,
        when_available: Callable[[Callable[[], Awaitable[None]]], Awaitable[bool]],
        *,
        is_store_back: bool,
    ) -> None:
        """Begin, on a store that is open.

        Args:
            opened: Is to end all of it.
            when_available: Calls what needs the store, until that is there.
            is_store_back: Whether the store has just been away.
        """
        worker_id = new_worker_id()  # one for each life: what was left to others under the last one is theirs
        self._runner.worker_id = self._shared_places.worker_id = worker_id
        self.fetching = Fetching()
        self._strays.start()
        opened.callback(self._store.subscribe(self._has_changed))
        opened.push_async_callback(self._housekeeping.stop)  # after the sinks: what they were not told is others' then
        for dispatcher in self._dispatchers:
            await when_available(partial(dispatcher.start, worker_id))
            opened.push_async_callback(dispatcher.stop)
        opened.push_async_callback(self._runner.abandon)  # after the executors have stopped
        opened.push_async_callback(self._early_ends.stop)
        opened.push_async_callback(self.scheduler.stop)
        await self.scheduler.start()
        await when_available(partial(self._housekeeping.start, is_store_back=is_store_back))

    async def settle(self, deadline: float) -> None:
        """Wait until the jobs here have ended, and end those that take too long.

        Where the store outlives this process, others can run the jobs that have not begun, and those that may be begun
        again: these are left to them. So none is begun that would probably not end in time. All others are cancelled.

        Args:
            deadline: When the time is over, by `time.monotonic`.
        """
        if self._store.is_durable:
            self.scheduler.leave(partial(self._takes_too_long, deadline), self._is_left)
        if await self.scheduler.drain(max(0.0, deadline - time.monotonic())):
            return
        waiting, begun = self.scheduler.close()
        unwanted = [*waiting, *begun]
        if self._store.is_durable:
            left = {*waiting, *filter(self._is_left_to_others, begun)}
            unwanted = [job_id for job_id in begun if job_id not in left]
            if left:
                logger.warning("%d jobs did not end in time and are left to other processes", len(left))
            for job_id in left:
                self._early_ends.begin(job_id)
            for job_id in waiting:
                self._is_left(job_id)
        if unwanted:
            logger.warning("%d jobs did not end in time and are cancelled", len(unwanted))
            await asyncio.gather(*map(self._cancel_at_stop, unwanted))
        await self.scheduler.drain(self._settings.cancel_seconds + 1.0)

    def _takes_too_long(self, deadline: float, tool: str) -> bool:
        """Whether a job of a tool is better not begun now: it may be begun once, and others took too long for that."""
        seconds = self._statistics.mean_seconds(tool)
        is_once = self._tools[tool].options.max_attempts == 1
        return is_once and seconds is not None and time.monotonic() + seconds > deadline

    def _is_left_to_others(self, job_id: str) -> bool:
        """Whether a job that an executor has may be begun again; it is then, unless it ends by itself."""
        run = self._runner.active.get(job_id)
        if run is None:  # it was not begun
            return True
        run.is_left_to_others = run.job.attempt < run.job.max_attempts
        return run.is_left_to_others

    def _is_left(self, job_id: str) -> None:
        """A job does not end here: tell who waits for it to come back later."""
        self._runner.live.pop(job_id, None)
        self.waiters.expire(job_id)

    async def _cancel_at_stop(self, job_id: str) -> None:
        try:
            job = await self._store.request_cancel(job_id)
        except UnavailableError as error:  # its lease runs out, and whoever opens the store next ends it
            logger.warning("job %s could not be cancelled: the store is away (%s)", job_id, error)
            self._early_ends.begin(job_id)
            return
        if job is not None:
            self.end_was_asked_for(job)

    # --- what becomes of jobs ---

    def end_was_asked_for(self, job: Job) -> None:
        """The end of a job was asked for: see to it, as far as it is here."""
        if not job.status.is_final:
            self._early_ends.begin(job.id)

    def _run_has_ended(self, job_id: str, job: Job | None, result: Payload | None) -> None:
        if job is not None and job.status is JobStatus.PENDING:  # its worker was lost, and it may be tried again
            if self.scheduler.is_open:
                self.scheduler.enqueue(job_id, job.tool)
            else:
                self._is_left(job_id)
            return
        self._runner.live.pop(job_id, None)
        # Waiters here get the result from the run itself: it may be evicted from the store before they look.
        settled = None
        if job is not None:
            self._statistics.ended(job)
            settled = WaitResult(job, result if job.status is JobStatus.SUCCEEDED else None)
        self.waiters.settle(job_id, settled)

    def _has_changed(self, change: Change) -> None:
        job_id, status = change.job_id, change.status
        self.followers.tell(job_id)
        if job_id is None:
            self.waiters.look_again()
            self._housekeeping.look_again()
        elif status is None:
            self.waiters.settle(job_id, None)
        elif status.is_final:
            if job_id not in self._runner.active:  # of the end of a run here `_run_has_ended` tells
                self._has_ended_unbegun(job_id, status)
        elif change.cancel_requested:  # here, or in another process
            self._early_ends.begin(job_id)
        for dispatcher in self._dispatchers:
            dispatcher.wake()

    def _has_ended_unbegun(self, job_id: str, status: JobStatus) -> None:
        """A job has ended that does not run here: it need not wait here any longer."""
        tool = self.scheduler.remove(job_id)
        if tool is None and (place := self.scheduler.place_of(job_id)) is not None:  # it is being claimed
            self._early_ends.begin(job_id)
            tool = place.lane.tool.name if job_id in self._runner.live else None
        if tool is not None:
            self._runner.live.pop(job_id, None)
            self._statistics.ended_unbegun(tool, status)
        self.waiters.settle(job_id, None)

    # --- inside ---

    def _remember(self, job_id: str, authorization: str | None) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.remember(job_id, authorization)

    def _take_up(self, jobs: Sequence[Job]) -> None:
        """Run jobs whose process is gone."""
        for job in jobs:
            if not self.scheduler.knows(job.id):
                self.scheduler.enqueue(job.id, job.tool)
