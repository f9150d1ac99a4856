"""Makes jobs of requests: admission, validation, creation."""

import logging
import time
from collections.abc import Callable, Sequence

from lambda_kit.core.active import LiveRequest
from lambda_kit.core.admission import Admission
from lambda_kit.core.delivery import SinkDispatcher
from lambda_kit.core.errors import BadRequestError, JobConflictError, QueueFullError, UnavailableError
from lambda_kit.core.job import Job, JobStatus, new_job_id
from lambda_kit.core.runner import JobRunner
from lambda_kit.core.scheduler import Scheduler
from lambda_kit.core.sealing import Sealer
from lambda_kit.core.statistics import JobStatistics
from lambda_kit.core.store import Created, JobStore
from lambda_kit.core.submission import Submission, digest_of, scoped_key
from lambda_kit.core.tool import BoundTool
from lambda_kit.core.waiting import Waiter, Waiters

__all__ = ["Intake"]

logger = logging.getLogger("lambda_kit.service")


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
        self._accepts_jobs = accepts_jobs
        self._doubtful: set[str] = set()

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
        tool = submission.tool
        digest = digest_of(submission.body)
        key = None
        known = None
        if submission.job_id is not None:
            known = await self._store.get(submission.job_id)
        elif submission.idempotency_key is not None:
            key = scoped_key(submission.idempotency_key, tool.name, submission.authorization)
            known = await self._store.find_by_key(key)
        if known is not None and not self.is_stray(known):  # whether or not the body fits, or jobs are taken now
            return await self._attached(known, tool, digest, waiter)
        value = submission.value
        if value is None:
            value = tool.decode(submission.body.content)
        job = self._new_job(submission, digest, key)
        created = await self._create(job, submission, waiter)
        job = created.job
        if not created.is_new:
            if not self.is_stray(job):
                return await self._attached(job, tool, digest, waiter)
            _check_same(job, tool, digest)
            if waiter is not None:
                self._waiters.add(job.id, waiter)
        self._runner.live[job.id] = LiveRequest(value, submission.authorization, submission.transport)
        for dispatcher in self._dispatchers:
            dispatcher.remember(job.id, submission.authorization)
        try:
            self._check_accepts()  # the end may have begun meanwhile, and nobody would wait for this job
            await self._scheduler.submit(job.id, tool.name)
        except BaseException as error:
            await self._discard(job.id, waiter)
            if isinstance(error, QueueFullError):
                self._statistics.rejected(tool.name)
            raise
        self._statistics.submitted(tool.name)
        return job

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
            taken_by=self._runner.owner,
            sealed_authorization=self._sealer.seal(job_id, submission.authorization),
        )

    async def _create(self, job: Job, submission: Submission, waiter: Waiter | None) -> Created:
        """Create a job if there is room for it. Of the end of a new one the waiter is told."""
        self._check_accepts()
        # Before there is a job: it may be cancelled before `create` returns. And before it can run: the result of a
        # quick one could be evicted from a small store.
        if waiter is not None:
            self._waiters.add(job.id, waiter)
        self._admission.arriving += 1
        is_new = False
        try:
            max_unfinished = self._admission.admit(submission.tool)
            created = await self._store.create(job, submission.body, max_unfinished=max_unfinished)
            is_new = created.is_new
        except QueueFullError as error:
            raise self._admission.refused(submission.tool, error) from None
        except UnavailableError:
            self._doubtful.add(job.id)  # it may have been made all the same
            raise
        finally:
            self._admission.arriving -= 1
            if waiter is not None and not is_new:
                self._waiters.remove(job.id, waiter)
        return created

    def is_stray(self, job: Job) -> bool:
        """Whether a job waits in this process's queue, as its record says, and does not: it was not told of it."""
        is_mine = job.status is JobStatus.PENDING and job.taken_by == self._runner.owner
        return is_mine and job.id not in self._runner.live and not self._scheduler.knows(job.id, job.tool)

    async def settle_doubts(self) -> None:
        """Forget the jobs that were made though their callers were told that the store is away.

        Raises:
            UnavailableError: if it is away.
        """
        for job_id in list(self._doubtful):
            if job_id not in self._runner.live:  # else its caller has come again
                job = await self._store.get(job_id)
                if job is not None and self.is_stray(job):
                    await self._store.discard(job_id)
            self._doubtful.discard(job_id)

    def _check_accepts(self) -> None:
        if not self._accepts_jobs():
            raise UnavailableError("the service is not taking jobs now")

    async def _discard(self, job_id: str, waiter: Waiter | None) -> None:
        self._runner.live.pop(job_id, None)
        for dispatcher in self._dispatchers:
            dispatcher.forget(job_id)
        if waiter is not None:
            self._waiters.remove(job_id, waiter)
        try:
            await self._store.discard(job_id)
        except UnavailableError as error:  # what kept it from being handed over is what the caller must know
            logger.warning("job %s was not handed over and stays pending: the store is away (%s)", job_id, error)

    async def _attached(self, known: Job, tool: BoundTool, digest: bytes, waiter: Waiter | None) -> Job:
        _check_same(known, tool, digest)
        if waiter is None:
            return known
        self._waiters.add(known.id, waiter)  # first add, then read: an end in between is not missed
        return await self._store.get(known.id) or known


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
