"""Makes jobs of requests: admission, validation, creation."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from lambda_kit.core.errors import (
    BadRequestError,
    JobConflictError,
    NotServingError,
    QueueFullError,
    UnavailableError,
)
from lambda_kit.core.jobs.admission import Admission
from lambda_kit.core.jobs.in_doubt import Strays
from lambda_kit.core.jobs.outbox_relay import SinkDispatcher
from lambda_kit.core.jobs.runner import JobRunner
from lambda_kit.core.jobs.running_job import Creation, LiveRequest
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.jobs.sealing import Sealer
from lambda_kit.core.jobs.statistics import JobStatistics
from lambda_kit.core.jobs.submission import Submission, digest_of, scoped_key
from lambda_kit.core.jobs.waiting import Waiter, Waiters
from lambda_kit.core.model.job import Job, new_job_id
from lambda_kit.core.ports.store import Created, JobStore
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["Intake"]

logger = logging.getLogger("lambda_kit.service")

_LARGE_BYTES = 256 * 1024


class Intake:
    """Makes a job of each request that is admitted, and hands it to the scheduler.

    Args:
        store: Keeps the jobs.
        runner: Is told what is known of a request beside its job.
        scheduler: Has the jobs run.
        waiters: Those who wait for the end of a job here.
        dispatchers: Tell the sinks.
        statistics: Counts.
        admission: Says who is let in.
        sealer: Encrypts the authorizations that are kept with jobs.
        strays: Knows the jobs that may be there.
        accepts_jobs: Whether new jobs are taken now.
    """

    def __init__(
        self,
        store: JobStore,
        runner: JobRunner,
        scheduler: Scheduler,
        waiters: Waiters,
        dispatchers: Sequence[SinkDispatcher],
        statistics: JobStatistics,
        *,
        admission: Admission,
        sealer: Sealer,
        strays: Strays,
        accepts_jobs: Callable[[], bool],
    ) -> None:
        self._store = store
        self._runner = runner
        self._scheduler = scheduler
        self._waiters = waiters
        self._dispatchers = dispatchers
        self._statistics = statistics
        self._admission = admission
        self._sealer = sealer
        self._strays = strays
        self._accepts_jobs = accepts_jobs

    async def submit(self, submission: Submission, waiter: Waiter | None) -> Job:
        """Make a job of a request and have it run; or attach to the job that this request made before.

        Args:
            submission: The request.
            waiter: Is to be told of the job's end. The caller removes it.

        Returns:
            The new job, or the known one with this id or key.

        Raises:
            RequestValidationError: if the body does not fit the tool's request model.
            BadRequestError: if it asks for more time than its tool has.
            JobConflictError: if the id or key belongs to another tool or body.
            QueueFullError: if there is no room for it. No job was made.
            UnavailableError: if no jobs are taken now, or the store is away.
        """
        tool, body = submission.tool, submission.body
        # as far as the interpreter lets others work meanwhile, they can
        is_large = len(body.content) >= _LARGE_BYTES
        digest = await asyncio.to_thread(digest_of, body) if is_large else digest_of(body)
        key = None
        known = None
        if submission.job_id is not None:
            known = await self._store.get(submission.job_id)
        elif submission.idempotency_key is not None:
            key = scoped_key(submission.idempotency_key, tool.name, submission.authorization)
            known = await self._store.find_by_key(key)
        # whether or not the body fits, or jobs are taken now
        if known is not None and not self._strays.is_stray(known):
            return await self._attached(known, tool, digest, waiter)
        value = submission.value
        if value is None:
            value = await asyncio.to_thread(tool.decode, body.content) if is_large else tool.decode(body.content)
        live = LiveRequest(value, submission.authorization, submission.transport)
        job = self._new_job(submission, digest, key)
        created = await self._create(job, submission, live, waiter)
        if not created.is_new:
            _check_same(created.job, tool, digest)
            if not await self._strays.take_up(created.job, live):
                return await self._attached(created.job, tool, digest, waiter)
            if waiter is not None:
                self._waiters.add(created.job.id, waiter)
        self._statistics.submitted(tool.name)
        return created.job

    def _new_job(self, submission: Submission, digest: bytes, key: str | None) -> Job:
        tool = submission.tool
        execution = tool.options.execution
        job_id = submission.job_id or new_job_id()
        return Job(
            id=job_id,
            tool=tool.name,
            requested_at=time.time(),
            request_content_type=submission.body.content_type,
            request_digest=digest,
            idempotency_key=key,
            request_info=submission.request_info,
            traceparent=submission.traceparent,
            ttl_seconds=3600.0 if execution.job_cache_ttl is None else execution.job_cache_ttl,
            keep_finished=10_000 if execution.job_cache_size is None else execution.job_cache_size,
            max_attempts=tool.options.max_attempts,
            time_limit_seconds=_time_limit(submission),
            home=self._runner.worker_id,
            assigned_worker=self._runner.worker_id,
            sealed_authorization=self._sealer.seal(job_id, submission.authorization),
        )

    async def _create(self, job: Job, submission: Submission, live: LiveRequest, waiter: Waiter | None) -> Created:
        """Make a job, and have it run, if there is room for it. Of the end of a new one the waiter is told."""
        self._check_accepts()
        # Before there is a job: it may be cancelled before `create` returns. And before it can run: the result of a
        # quick one could be evicted from a small store.
        if waiter is not None:
            self._waiters.add(job.id, waiter)
        is_new = False
        try:
            created = await self._make(job, submission, live)
            is_new = created.is_new
        except QueueFullError as error:
            raise self._admission.refused(submission.tool, error) from None
        finally:
            if waiter is not None and not is_new:
                self._waiters.remove(job.id, waiter)
        return created

    async def _make(self, job: Job, submission: Submission, live: LiveRequest) -> Created:
        if job.id in self._runner.live:
            await self._until_made(job.id)
        max_unfinished = self._admission.admit(submission.tool)
        # Within this process a second step costs nothing. And a job that lives here is there, or has just expired.
        if not self._store.is_shared or job.id in self._runner.live:
            return await self._make_pending(job, submission, live, max_unfinished)
        live.creation = Creation(
            job,
            submission.body,
            max_unfinished,
            on_new=partial(self._remember, job.id, live.authorization),
            on_doubt=partial(self._strays.note, job.id, live, is_wanted=True),
        )
        self._runner.live[job.id] = live
        try:
            has_begun = await self._scheduler.begin(job.id, job.tool)
        except BaseException:
            self._forget(job.id, live)
            raise
        if has_begun:
            return await asyncio.shield(live.creation.answer)  # others may wait for it too
        live.creation.answer.cancel()
        live.creation = None
        return await self._make_pending(job, submission, live, max_unfinished)

    async def _make_pending(
        self, job: Job, submission: Submission, live: LiveRequest, max_unfinished: int | None
    ) -> Created:
        is_new = False
        self._admission.arriving += 1
        try:
            created = await self._store.create(job, submission.body, max_unfinished=max_unfinished)
            is_new = created.is_new
        except (UnavailableError, asyncio.CancelledError) as error:  # it may have been made all the same
            self._strays.note(job.id, live, is_wanted=isinstance(error, UnavailableError))
            raise
        finally:
            self._admission.arriving -= 1
            if not is_new:
                self._forget(job.id, live)
        if is_new:
            await self._hand_over(job, live)
        return created

    async def _hand_over(self, job: Job, live: LiveRequest) -> None:
        """Have a pending job run that is there. One that can't be handed over is forgotten."""
        self._runner.live[job.id] = live
        self._remember(job.id, live.authorization)
        try:
            self._check_accepts()  # the end may have begun meanwhile, and nobody would wait for this job
            await self._scheduler.submit(job.id, job.tool)
        except BaseException:
            self._forget(job.id, live)
            for dispatcher in self._dispatchers:
                dispatcher.forget(job.id)
            await self._discard(job.id, live)
            raise

    async def unmake(self, job_id: str) -> None:
        """If a job is being made by its run, see to it that its tool is not called, and wait until it is there."""
        live = self._runner.live.get(job_id)
        if live is not None and live.creation is not None:
            live.creation.is_unwanted = True
            await self._until_made(job_id)

    async def _until_made(self, job_id: str) -> None:
        """If a job is being made by its run, wait until it is there, or will not be."""
        while (live := self._runner.live.get(job_id)) is not None and live.creation is not None:
            await asyncio.wait([live.creation.answer])

    def _remember(self, job_id: str, authorization: str | None) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.remember(job_id, authorization)

    def _forget(self, job_id: str, live: LiveRequest) -> None:
        if live.creation is not None:
            live.creation.answer.cancel()
            live.creation = None
        if self._runner.live.get(job_id) is live:
            del self._runner.live[job_id]

    def _check_accepts(self) -> None:
        if not self._accepts_jobs():
            raise NotServingError("the service is not taking jobs now")

    async def _discard(self, job_id: str, live: LiveRequest) -> None:
        try:
            await self._store.request_cancel(job_id)
        except UnavailableError as error:  # what kept it from being handed over is what the caller must know
            self._strays.note(job_id, live, is_wanted=False)
            logger.warning("job %s was not handed over, and waits: the store is away (%s)", job_id, error)

    async def _attached(self, known: Job, tool: BoundTool, digest: bytes, waiter: Waiter | None) -> Job:
        _check_same(known, tool, digest)
        if waiter is None:
            return known
        self._waiters.add(known.id, waiter)  # first add, then read: an end in between is not missed
        try:
            return await self._store.get(known.id) or known
        except BaseException:
            self._waiters.remove(known.id, waiter)
            raise


def _check_same(known: Job, tool: BoundTool, digest: bytes) -> None:
    if known.tool != tool.name:
        raise JobConflictError(f"job '{known.id}' belongs to tool '{known.tool}', not '{tool.name}': choose another id")
    if known.request_digest != digest:
        raise JobConflictError(f"job '{known.id}' was made with another body: choose another id for another request")


def _time_limit(submission: Submission) -> float | None:
    asked, allowed = submission.time_limit_seconds, submission.tool.options.time_limit_seconds
    if asked is None:
        return allowed
    if allowed is not None and asked > allowed:
        raise BadRequestError(
            f"a time limit of {asked:g} s: tool '{submission.tool.name}' allows at most {allowed:g} s"
        )
    return asked
